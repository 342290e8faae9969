"""Settings of the whole suite."""

import os

# Before torch is imported: the networks of the tests are small, and on a busy machine two threads
# that wait for each other were measured to be thirty times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import sys

import hypothesis
import pytest

# Timings belong in benchmarks: a slow machine must not fail a law. The examples are the same in every run;
# --hypothesis-profile=explore draws others.
explore = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("explore", explore)
hypothesis.settings.register_profile("nld", explore, derandomize=True)
hypothesis.settings.load_profile("nld")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each process a half of the suite in order, so that what tests share is made in one of them."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """What a test draws without a seed of its own does not depend on the tests before it."""
    random.seed(0)
    for name, seed in (("numpy.random", "seed"), ("torch", "manual_seed")):
        if name in sys.modules:  # imported here, they would delay the process that only hands out tests
            getattr(sys.modules[name], seed)(0)
