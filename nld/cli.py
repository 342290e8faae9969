"""The command `nld`. Its subcommands are the modules of `nld.commands`."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from nld import __version__, commands


def make_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand that `nld.commands` holds."""
    parser = argparse.ArgumentParser(prog="nld", description="Noether's learning dynamics: book, experiments, monitor.")
    parser.add_argument("--version", action="version", version=f"nld {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        importlib.import_module(f"nld.commands.{module.name}").add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0 done, 1 failed, 2 usage, 130 interrupted."""
    args = make_parser().parse_args(arguments)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
