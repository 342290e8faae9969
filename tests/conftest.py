"""Settings of the whole suite."""

import os

# Before torch is imported: the networks of the tests are small, and on a busy machine two threads
# that wait for each other were measured to be thirty times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis

# Timings belong in benchmarks: a slow machine must not fail a law.
hypothesis.settings.register_profile("nld", deadline=None)
hypothesis.settings.load_profile("nld")
