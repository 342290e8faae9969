"""`nld report`: a page about a monitor's record."""

import argparse
from pathlib import Path

EXAMPLE = """examples:
  nld report record.nc                 writes record.html
  nld report record.nc -o page.html
"""


def add_parser(subparsers) -> None:
    """Add `nld report`."""
    parser = subparsers.add_parser(
        "report",
        help="write a page about a monitor's record",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "record", type=Path, metavar="RECORD", help="a file written by nld.monitor.save or a streaming monitor"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (default: the record's name with .html)"
    )
    parser.set_defaults(run=run)


def run(args) -> int:
    """Carry out `nld report`; returns the exit status."""
    from nld.errors import DataError, InvalidInput
    from nld.monitor import load
    from nld.publish.exports.report import report

    try:
        print(report(load(args.record), args.output or args.record.with_suffix(".html")))
    except InvalidInput as error:  # what the file holds, which nobody typed
        raise DataError(str(error)) from error
    return 0
