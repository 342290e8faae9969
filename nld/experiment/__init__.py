"""Experiments: networks, data, the specification of a run, the loop that runs it."""

from nld.experiment.run import run
from nld.experiment.spec import Experiment, Sweep

__all__ = ["Experiment", "Sweep", "run"]
