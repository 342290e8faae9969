"""What decides the numbers of a run beside its fields: the source that it reaches, packages, threads, instructions."""

from functools import cache
from importlib import metadata

from nld.experiment.runs.spec import Experiment
from nld.results import arithmetic
from nld.results.dependencies import needed_modules, source_hashes
from nld.results.provenance import packages
from nld.results.store import content_key

# One run by itself, several together: both go through the one training loop.
_LOOPS = ("nld.experiment.runs.run", "nld.experiment.runs.ensemble")
# They bring images here and check them; the images that a run saw have a checksum of their own.
_BRINGING = ("nld.experiment.datasets.cache", "nld.experiment.datasets.fetch", "nld.experiment.datasets.unpack")
_RULES = "nld.learning_rules"  # the loop takes them too, but runs train by PyTorch's optimizer or the ensemble's update
_DRAWING = ("matplotlib", "sympy")


def origin(experiment: Experiment) -> dict:
    """All of it, by name. The processor is not part of it: the nodes of a cluster differ; a run's record names it."""
    versions = {name: version for name, version in packages().items() if name not in _DRAWING}
    if experiment.monitor_every:
        versions["numba"] = _compiler()
    return {
        "sources": _sources(bool(experiment.monitor_every)),
        "packages": versions,
        "arithmetic": arithmetic.identity(),
    }


def digest(experiment: Experiment) -> str:
    """Digest of ``origin``; a run stored under another one is stale."""
    return content_key(origin(experiment))


@cache
def _sources(monitored: bool) -> str:
    without = (*_BRINGING, _RULES) if monitored else (*_BRINGING, _RULES, "nld.monitor")
    modules = frozenset().union(*(needed_modules(loop, without) for loop in _LOOPS))
    return content_key(source_hashes(modules))


@cache
def _compiler() -> str:
    """Version of numba, with which the monitor keeps its books where it is installed."""
    try:
        return metadata.version("numba")
    except metadata.PackageNotFoundError:
        return "absent"
