"""Experiments: what is trained on what and how, the loop that does it, and the store that keeps it."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
