"""The command `nld`. Its subcommands are the modules of `nld.commands`."""

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

from nld import __version__, commands
from nld.errors import NldError

EPILOG = """examples:
  nld book build
  nld figure show fig-1
  nld symmetries torchvision.models:resnet18 --input 8,3,64,64

environment:
  NLD_STORE   folder of runs and figures (default: .nld in this folder; the book's own is beside its _toc.yml);
              `nld store` looks after it
  NLD_CACHE   folder of decoded data sets (default: your cache folder)
  NLD_DATA    folder with data sets that you have, which are then not downloaded
  NLD_THREADS threads of a run and of a figure of the quick profile (default: 1, for the same numbers everywhere)

`nld COMMAND --help` has more. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""
MISSING_PACKAGE = (
    "expected the package {}, which is not installed; "
    "in a checkout of nld, pip install '.[dev]' brings all that its commands use"
)


def make_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand that `nld.commands` holds."""
    about = "Noether's learning dynamics: book, experiments, monitor."
    parser = commands.CommandParser(prog="nld", description=about, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"nld {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        importlib.import_module(f"nld.commands.{module.name}").add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0 done, 1 failed, 2 usage, 130 interrupted.

    What the commands raise is told here, once: an error of ours, and a file that cannot be read or written, by one
    line; all else is a fault and keeps its traceback.
    """
    args = make_parser().parse_args(arguments)
    try:
        status = args.run(args)
        sys.stdout.flush()  # a reader that went away is noticed here, not when Python ends
        return status
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as of `nld figure list | head -1`: whoever read has what was wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except NldError as error:
        message, status = str(error), error.exit_code
    except OSError as error:
        from nld.results import store

        message, status = store.failure(error), 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "nld":
            raise
        message, status = MISSING_PACKAGE.format(error.name), 1
    print(f"{commands.name(args)}: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
