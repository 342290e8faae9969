"""Results: the content-addressed store, checksums, provenance, and the code that a result depends on."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
