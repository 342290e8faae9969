"""The monitor in trainers and on dashboards of others.

``nld.integrations.transformers`` and ``nld.integrations.lightning`` need the library that they are named after.
"""

import importlib

from nld.deprecation import attach

_load, __dir__, __all__ = attach(__name__, __file__)
_TRAINERS = ("lightning", "transformers")  # not offered, for they may not be installed


def __getattr__(name: str):
    return importlib.import_module(f"{__name__}.{name}") if name in _TRAINERS else _load(name)
