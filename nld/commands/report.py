"""`nld report`: a page about a monitor's record."""

from pathlib import Path

from nld.commands import add_command
from nld.errors import DataError, InvalidInput

EXAMPLE = """examples:
  nld report record.nc                 writes record.html
  nld report record.nc -o page.html
"""


def add_parser(subparsers) -> None:
    """Add `nld report`."""
    parser = add_command(subparsers, "report", "write a page about a monitor's record", EXAMPLE, run=run)
    parser.add_argument(
        "record", type=Path, metavar="RECORD", help="a file written by nld.monitor.save or a streaming monitor"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (default: the record's name with .html)"
    )


def run(args) -> int:
    """Carry out `nld report`; returns the exit status."""
    from nld.monitor import load
    from nld.publish.exports.report import report

    try:
        print(report(load(args.record), args.output or args.record.with_suffix(".html")))
    except InvalidInput as error:  # what the file holds, which nobody typed
        raise DataError(str(error)) from error
    return 0
