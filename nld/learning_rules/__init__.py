"""Learning rules: what is run (the discrete update) and what models it (potential, mass, friction) in one value."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
