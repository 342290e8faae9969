"""Predictions in symbols and closed forms; never sees a run.

``lagrangian``, ``bregman``, ``noether`` and ``adaptive`` derive in sympy, ``continuum`` and ``counter_terms`` go from
updates to flows, ``solutions`` and ``integral_laws`` predict from measured gradients and velocities, ``discrete`` and
``adam`` are exact, ``equilibrium`` and ``rotation`` are where they end; ``auto_tuning`` bounds a step that limits
itself, ``schedules`` trades weight decay for a growing learning rate.
"""

import importlib

_SUBMODULES = {
    "adam",
    "adaptive",
    "auto_tuning",
    "bregman",
    "continuum",
    "counter_terms",
    "discrete",
    "equilibrium",
    "integral_laws",
    "lagrangian",
    "noether",
    "rotation",
    "schedules",
    "solutions",
    "tables",
}

# Public name -> module that defines it; imported on first use, for sympy takes half a second.
_PUBLIC = {
    "exponential_schedule": "schedules",
    "predict_linear_charge": "solutions",
    "predict_quadratic_charge": "solutions",
    "predict_quadratic_charge_from_steps": "discrete",
    "predict_root_mean_square": "solutions",
    "predict_squared_norm": "solutions",
    "predict_squared_norm_from_steps": "discrete",
    "predict_squared_norm_from_updates": "adam",
}

__all__ = sorted(_PUBLIC.keys() | _SUBMODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"nld.theory.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"nld.theory.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'nld.theory' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
