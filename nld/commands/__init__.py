"""The subcommands of `nld`: each module here with ``add_parser`` is one.

They raise what they cannot carry out as errors of `nld.errors`; `nld.cli` tells them.
"""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nld.errors import NldError, UsageError


class CommandParser(argparse.ArgumentParser):
    """A parser whose help keeps the lines of its examples, with the options that several commands share."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def add_root(self, holds: str = "_toc.yml") -> None:
        """Add the option for the folder of the book."""
        self.add_argument("--root", type=Path, default=Path(), help=f"folder with {holds} (default: here)")

    def add_profile(self) -> None:
        """Add the option for the size of the experiments."""
        self.add_argument("--profile", choices=("quick", "paper"), default="quick", help="size of the experiments")

    def add_pairs(self, *flags: str, help: str) -> None:
        """Add an option that takes a name and a value, as often as it is given."""
        self.add_argument(*flags, nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=help)

    def add_parameters(self, advice: str = "") -> None:
        """Add the options that `read_parameters` reads."""
        self.add_pairs("-p", "--parameter", help=f"change a parameter{advice}")
        text = "a YAML file of parameters, such as seed: 7; -p goes first"
        self.add_argument("--parameters", type=Path, metavar="FILE", help=text)


def add_command(subparsers, name: str, help: str, example: str = "", run: Callable | None = None, **more):
    """The parser of a command, or of an action of one, with ``example`` below its help; ``run`` carries it out."""
    parser = subparsers.add_parser(name, help=help, epilog=example, **more)
    parser.set_defaults(**{"run": run} if run else {})
    return parser


def add_actions(subparsers, name: str, help: str, example: str):
    """Where the actions of a command are added, such as "show" of `nld figure`."""
    parser = add_command(subparsers, name, help, example)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def read_parameters(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Names and values: those of the file, then those that were typed, which win."""
    typed = [(name, value) for name, value in args.parameter]
    if args.parameters is None:
        return typed
    from nld.publish.execution.parameters import read_file

    return [pair for pair in read_file(args.parameters) if pair[0] not in dict(typed)] + typed


def importable(name: str, example: str):
    """What MODULE:FACTORY names, looked for in this folder too.

    Raises:
        UsageError: it names nothing that can be imported.
    """
    module_name, _, factory_name = name.partition(":")
    if not module_name or not factory_name:
        raise UsageError(f"expected MODULE:FACTORY, got {name!r}; such as {example}")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name}: {error}; is it importable from this folder?") from error
    finally:
        sys.path.remove(os.getcwd())


def announce_scale(profile: str, figures: Iterable[str], top: Path | None = None) -> None:
    """Say on standard error what figures of the profile "paper" ask for, before anything is computed."""
    if profile == "paper":
        from nld.publish.execution.foreword import paper_scale

        print(paper_scale(figures, top), file=sys.stderr, flush=True)


def name(args: argparse.Namespace) -> str:
    """The command that was typed, such as "nld figure show"."""
    return " ".join(filter(None, ("nld", args.command, getattr(args, "action", ""))))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """While a file is written: what keeps it from being written becomes an NldError that names it."""
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
