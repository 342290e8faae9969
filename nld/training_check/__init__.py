"""Whether a training loop does what it says: twenty of its steps, each computed a second time."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
