"""The catalogue of figures: their names, the module that defines each, and how one is shown."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

from nld.errors import InvalidInput, did_you_mean
from nld.figures.recording.figure_record import Shown, record_figure

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all figures, such as "fig-1"."""
    modules = (module.name for module in pkgutil.iter_modules([str(FOLDER)]))
    return sorted(module.replace("_", "-") for module in modules if module.startswith("fig_"))


def load(name: str) -> ModuleType:
    """The module that defines a figure.

    Raises:
        ValueError: there is no such figure, or its module lacks a part.
    """
    if name not in names():
        hint = did_you_mean(name, names())
        raise InvalidInput(f"expected the name of a figure, got {name!r}{hint}; there are: {', '.join(names())}")
    module = importlib.import_module(f"nld.figures.{name.replace('-', '_')}")
    missing = [part for part in ("compute", "draw", "caption", "alt") if not callable(getattr(module, part, None))]
    if missing:
        raise InvalidInput(f"expected {module.__name__} to define compute, draw, caption and alt; it lacks {missing}")
    return module


def parameters(name: str) -> tuple[str, ...]:
    """Names of the parameters of a figure's ``compute``, without the profile."""
    return tuple(inspect.signature(load(name).compute).parameters)[1:]


def show(name: str, profile: str = "quick", **parameters) -> Shown:
    """Compute, draw and record a figure, and return it for display.

    What was computed for the same source and parameters is taken from the store.

    Args:
        name: one of ``names()``.
        profile: "quick" (seconds on a laptop) or "paper" (the paper's scale).
        parameters: keyword parameters of the figure's ``compute``.

    Raises:
        ValueError: unknown figure, profile or parameter, or an empty alt text.
    """
    return record_figure(name, load(name), profile, parameters)
