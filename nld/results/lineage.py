"""Which runs a computation rests on, collected while it goes on: who reads a run says so, who wants them listens.

Listeners nest: what is read while an inner one listens is heard by the outer ones too.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

# What is kept of each run's own record, beside its key.
KEPT = ("nld_version", "commit", "torch", "device", "threads")
_listening: ContextVar[tuple[dict[str, dict], ...]] = ContextVar("listening", default=())


@contextlib.contextmanager
def collected() -> Iterator[dict[str, dict]]:
    """A table that fills up, while the block lasts, with every run that is read: key to ``KEPT``."""
    runs: dict[str, dict] = {}
    token = _listening.set((*_listening.get(), runs))
    try:
        yield runs
    finally:
        _listening.reset(token)


def note(key: str, origin: dict) -> None:
    """Say that the run of this key is read; ``origin`` is what is known about it."""
    for runs in _listening.get():
        runs[key] = {name: origin[name] for name in KEPT if name in origin}


def listed(runs: dict[str, dict]) -> list[dict]:
    """The table as a list of plain rows, sorted by key, to be kept with a result."""
    return [{"key": key, **runs[key]} for key in sorted(runs)]
