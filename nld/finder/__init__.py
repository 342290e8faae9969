"""Symmetries of a model's loss: read off the operations of its forward pass, then measured."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
