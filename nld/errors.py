"""The errors that `nld` raises on purpose. A message says what was expected, what was got, and what to do.

It is all that a command shows of them; any other exception is a fault of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class NldError(Exception):
    """Any error that `nld` raises on purpose; a command ends with its ``exit_code``: 1 failed, 2 wrong usage."""

    exit_code = 1


class InvalidInput(NldError, ValueError):
    """An argument, a field, or a line of a file that somebody wrote, which cannot be meant."""

    exit_code = 2


class ParameterError(InvalidInput):
    """A parameter that does not exist, or a value outside its type or range."""


class UsageError(NldError):
    """What the caller typed cannot be carried out; the message says what can."""

    exit_code = 2


class DataError(NldError, RuntimeError):
    """Data are missing, incomplete or altered; the message ends with the command that mends it."""


class SweepError(NldError, RuntimeError):
    """Some runs of a sweep ended in errors; the others are stored."""


class Missing(NldError, FileNotFoundError):
    """A file that should be there is not; the message says which, and what makes it."""


class ToolError(NldError, RuntimeError):
    """A program or a package that a command needs is not here, or failed; the message says what to do."""


class Damaged(NldError, RuntimeError):
    """What was kept is no longer what was written, and nothing can compute it again; the message says what to do."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """What a message about an unknown name adds: the nearest of those that are known, if one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
