"""`nld figure`: list the figures, or compute and draw one into the store."""

import argparse
import ast
import sys

EXAMPLE = """examples:
  nld figure list
  nld figure show fig-1
  nld figure show fig-1 -p learning_rate 0.2
"""


def add_parser(subparsers) -> None:
    """Add `nld figure`."""
    parser = subparsers.add_parser("figure", help="list or draw figures")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="names and titles of all figures")
    listing.set_defaults(run=run_list)
    show = actions.add_parser(
        "show",
        help="compute and draw, and say where the files are",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("name", nargs="*", help="such as fig-1")
    show.add_argument("--all", action="store_true", help="every figure")
    show.add_argument("--profile", choices=("quick", "paper"), default="quick", help="size of the experiments")
    show.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    show.set_defaults(run=run_show)


def run_list(args) -> int:
    """Print every figure with the first line of its description."""
    from nld import figures

    for name in figures.names():
        print(f"{name:20s} {(figures.load(name).__doc__ or '').strip().splitlines()[0]}")
    return 0


def run_show(args) -> int:
    """Draw the named figures into the store and print where they are."""
    from nld import figures

    names = figures.names() if args.all else args.name
    if not names:
        print("nld figure show: name a figure or give --all; there are: " + ", ".join(figures.names()), file=sys.stderr)
        return 2
    try:
        for name in names:
            figures.load(name)
        for name in names:
            shown = figures.show(name, args.profile, **{key: _value(text) for key, text in args.parameter})
            print(f"{name}: {shown.folder}", flush=True)
    except ValueError as error:
        print(f"nld figure show: {error}", file=sys.stderr)
        return 2
    return 0


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
