"""The books of Noether charges in any training loop: what each did, and what it should have done."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
