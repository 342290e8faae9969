"""Runs: what an experiment is, its record, the store of runs, sweeps, and workers that compute what is missing."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
