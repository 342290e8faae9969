"""How a claim is ruled on: registered tests, error rates that survive looking, and verdicts; numpy and scipy only.

`registrations.toml` holds what is tested, `rule` applies it to what a figure measured.
"""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
