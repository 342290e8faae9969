"""Experiments: what is trained on what and how, the loop that does it, and the store that keeps it."""

from nld.experiment.run import run
from nld.experiment.spec import Experiment, Sweep
from nld.experiment.store import RunStore
from nld.experiment.sweep import gather, run_sweep, status

__all__ = ["Experiment", "RunStore", "Sweep", "gather", "run", "run_sweep", "status"]
