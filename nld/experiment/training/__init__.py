"""The training loop, networks, batches, and many networks trained as one program."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
