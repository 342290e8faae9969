"""`nld book build`: execute the chapters and build the pages."""

import argparse
import sys
from pathlib import Path

EXAMPLE = """examples:
  nld book build                                   the whole book
  nld book build --chapter 01 -p learning_rate 0.2 one chapter with another learning rate
  nld book build --why                             say what runs again, and because of what
"""


def add_parser(subparsers) -> None:
    """Add `nld book`."""
    parser = subparsers.add_parser("book", help="build the book")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="execute the chapters that changed and render all pages",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument("--root", type=Path, default=Path(), help="folder with _toc.yml (default: here)")
    build.add_argument("--profile", choices=("quick", "paper"), default="quick", help="size of the experiments")
    build.add_argument(
        "--chapter", action="append", default=[], metavar="NAME", help="only this chapter: name or number"
    )
    build.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="change a parameter"
    )
    build.add_argument("--jobs", type=_positive(int), metavar="N", help="chapters at once (default: one a core)")
    build.add_argument("--force", action="store_true", help="run chapters also when nothing changed")
    build.add_argument("--why", action="store_true", help="say why each chapter runs")
    build.add_argument("--timeout", type=_positive(float), metavar="SECONDS", help="wall-clock limit of a chapter")
    build.add_argument("--no-html", dest="html", action="store_false", help="execute only, render no page")
    build.set_defaults(run=run_build)


def _positive(kind):
    def positive(text: str):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    positive.__name__ = f"positive {kind.__name__}"
    return positive


def run_build(args) -> int:
    """Carry out `nld book build`; returns the exit status."""
    from nld.publish.build import Options, build, store_error
    from nld.publish.chapters import UsageError

    options = Options(
        profile=args.profile,
        chapters=tuple(args.chapter),
        parameters=tuple(map(tuple, args.parameter)),
        jobs=args.jobs,
        force=args.force,
        why=args.why,
        timeout=args.timeout,
        html=args.html,
    )
    try:
        return build(args.root.resolve(), options)
    except UsageError as error:
        print(f"nld book build: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"nld book build: {store_error(error)}", file=sys.stderr)
        return 1
