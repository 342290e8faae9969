"""What to do about it: groups of parameters, held norms and forecasts, from the symmetries of a model's loss."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
