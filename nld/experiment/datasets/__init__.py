"""Data sets: brought here once, checked, decoded, and kept on the device that computes."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
