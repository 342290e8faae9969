"""`nld compare A B`: what differs between two records of a monitor."""

from pathlib import Path

from nld.commands import add_command, positive
from nld.errors import DataError, InvalidInput

EXAMPLE = """examples:
  nld compare before.nc after.nc
  nld compare laptop.nc cluster.nc --within 0.05

exit status: 0 nothing differs, 1 something does, 2 wrong usage
"""


def add_parser(subparsers) -> None:
    """Add `nld compare`."""
    parser = add_command(subparsers, "compare", "what differs between two records of a monitor", EXAMPLE, run=run)
    for name in ("first", "second"):
        parser.add_argument(
            name, type=Path, metavar={"first": "A", "second": "B"}[name], help="a file as of `nld report`"
        )
    parser.add_argument(
        "--within",
        type=positive(float),
        default=0.01,
        metavar="SHARE",
        help="relative difference of numbers that is none (default: 0.01)",
    )


def run(args) -> int:
    """Carry out `nld compare`; returns the exit status."""
    from nld.monitor import differences, load

    try:
        found = differences(load(args.first), load(args.second), args.within)
    except InvalidInput as error:  # what the files hold, which nobody typed
        raise DataError(str(error)) from error
    for topic in dict.fromkeys(difference.topic for difference in found):
        print(f"{topic}:")
        print(*(f"  {difference.text}" for difference in found if difference.topic == topic), sep="\n")
    if not found:
        print(f"Nothing differs by more than {args.within:.2g}.")
    return int(bool(found))
