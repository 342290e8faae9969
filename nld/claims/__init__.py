"""The ledger: the verdict of the measurements on each claim, and how verdicts changed."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
