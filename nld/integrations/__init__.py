"""The monitor in trainers and on dashboards of others; each module needs the library that it is named after."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
