"""What is measured in training, one file a study; each observes steps and takes none of its own."""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
