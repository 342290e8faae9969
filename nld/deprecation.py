"""Names as they were one minor version ago: they still work, and a DeprecationWarning says what they are called now.

The policy: a public name (one that completion offers, or that the book's page of names lists) is moved or renamed here,
never just removed; its row goes when the next minor version is out.
"""

import importlib
import sys
import warnings
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import lazy_loader

# A module as it was called, and where what it had is now.
MODULES = {
    "nld.decoupled_rules": "nld.learning_rules",
    "nld.experiment.data": "nld.experiment.datasets.data",
    "nld.experiment.measure": "nld.experiment.studies.measure",
    "nld.experiment.monitored": "nld.experiment.studies.monitored",
    "nld.experiment.networks": "nld.experiment.training.networks",
    "nld.experiment.spec": "nld.experiment.runs.spec",
    "nld.learning_rule": "nld.learning_rules",
    "nld.notation": "nld.paper.notation",
    "nld.potential": "nld.learning_rules.potentials",
    "nld.store": "nld.results.store",
}
# A name of a package as it was called, and what it is now.
NAMES = {
    "nld.monitor": {
        name: f"nld.finder.{name}"
        for name in ("Block", "Member", "Symmetries", "Violation", "check_symmetries", "find_symmetries")
    },
}


class _MovedModules(MetaPathFinder, Loader):
    """Imports a module by its old name: as one that has all names of the module which took its place."""

    def find_spec(self, fullname, path=None, target=None):
        return ModuleSpec(fullname, self) if fullname in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        name, now = module.__name__, MODULES[module.__name__]
        _warn(name, now, stacklevel=3)
        vars(module)["__getattr__"] = lambda attribute: getattr(importlib.import_module(now), attribute)


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose stub beside it names what it offers.

    Names are imported on first use, so that importing a package costs milliseconds; type checkers read the stub.

    Args:
        package: its ``__name__``.
        file: its ``__file__``.
    """
    load, names, public = lazy_loader.attach_stub(package, file)
    moved = NAMES.get(package, {})

    def __getattr__(name: str):
        if name in public:
            return load(name)
        if name in moved:
            _warn(f"{package}.{name}", moved[name], stacklevel=3)
            module, _, attribute = moved[name].rpartition(".")
            return getattr(importlib.import_module(module), attribute)
        if f"{package}.{name}" in MODULES:
            return importlib.import_module(f"{package}.{name}")
        offered = "" if name.startswith("_") else f"; it has {', '.join(public)}"
        raise AttributeError(f"module {package!r} has no attribute {name!r}{offered}")

    return __getattr__, names, public


def install() -> None:
    """Let modules be imported by the names they had."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


def _warn(name: str, now: str, stacklevel: int) -> None:
    text = f"{name} is now {now}; the old name will go with the next minor version"
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)
