"""Predictions in symbols and closed forms; never sees a run.

``lagrangian``, ``bregman``, ``noether`` and ``adaptive`` derive in sympy, ``continuum`` and ``counter_terms`` go from
updates to flows, ``solutions`` and ``integral_laws`` predict from measured gradients and velocities, ``discrete`` and
``adam`` are exact, ``equilibrium`` and ``rotation`` are where they end; ``auto_tuning`` bounds a step that limits
itself, ``schedules`` trades weight decay for a growing learning rate, ``mirror_laws`` has the charges of
other metrics, ``spectral_laws`` those of Muon, ``linear_networks`` what weight decay leaves of singular values, and
``adapters`` where on its orbit a product is conditioned best.
"""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
