"""The subcommands of `nld`: each module here with ``add_parser`` is one.

They raise what they cannot carry out as errors of `nld.errors`; `nld.cli` tells them.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from nld.errors import NldError


def name(args: argparse.Namespace) -> str:
    """The command that was typed, such as "nld figure show"."""
    return " ".join(filter(None, ("nld", args.command, getattr(args, "action", ""))))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """While a file is written: what keeps it from being written names it.

    Raises:
        NldError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise NldError(f"cannot write {path}: {error.strerror or error}") from error


def positive(kind: type) -> Callable[[str], int | float]:
    """The type of an option whose value is a number of this kind above zero."""

    def positive(text: str):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    positive.__name__ = f"positive {kind.__name__}"  # argparse names it in its error
    return positive
