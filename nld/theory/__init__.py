"""Predictions in symbols and closed forms; never sees a run.

``lagrangian``, ``bregman``, ``noether`` and ``adaptive`` derive in sympy, ``continuum`` and ``counter_terms`` go from
updates to flows, ``solutions`` and ``integral_laws`` predict from measured gradients and velocities, ``discrete`` and
``adam`` are exact, ``equilibrium`` and ``rotation`` are where they end, ``width_laws`` how they get there at several
widths; ``auto_tuning`` bounds a step that limits itself, ``schedules`` trades weight decay for a growing learning rate,
``mirror_laws`` has the charges of other metrics, ``spectral_laws`` those of Muon and ``gauge_laws`` the charge density
of a linear neural ODE.

Where on an orbit a network ends: ``linear_networks`` (with weight decay), ``linear_neuron`` (from an imbalance),
``activation_charges``, ``valley_sharpness`` and ``edge_of_stability`` (in its valley), ``adapters`` (conditioned best).
``data_dependent_action`` says what else leaves outputs as they are, ``orbit_kernels`` how a kernel errs on an orbit.
"""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
