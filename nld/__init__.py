"""Noether's learning dynamics: theory, monitor, experiments and figures.

Names are imported on first use, so that ``import nld`` costs milliseconds and
never loads torch, sympy or matplotlib before they are needed.
"""

__version__ = "0.1.0"

from nld.deprecation import attach, install

install()
__getattr__, __dir__, __all__ = attach(__name__, __file__)
__all__ += ["__version__"]
