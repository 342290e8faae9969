"""Noether's learning dynamics: theory, monitor, experiments and figures.

Names are imported on first use, so that ``import nld`` costs milliseconds and
never loads torch, sympy or matplotlib before they are needed.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = {
    "compare",
    "decoupled_rules",
    "experiment",
    "figures",
    "learning_rule",
    "monitor",
    "notation",
    "paper",
    "potential",
    "publish",
    "series",
    "symmetry",
    "theory",
}

# Public name -> module that defines it. A new public name is one line here.
_PUBLIC = {
    "Block": "nld.monitor",
    "Monitor": "nld.monitor",
    "check_symmetries": "nld.monitor",
    "find_symmetries": "nld.monitor",
    "LearningRule": "nld.learning_rule",
    "gradient_descent": "nld.learning_rule",
    "heavy_ball": "nld.learning_rule",
    "nesterov": "nld.learning_rule",
    "Symmetry": "nld.symmetry",
}

__all__ = sorted(_PUBLIC.keys() | _SUBMODULES | {"__version__"})  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"nld.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'nld' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
