"""`nld report`: the findings of a monitor's record, and a page about it."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nld.commands import add_command
from nld.errors import DataError, InvalidInput

if TYPE_CHECKING:
    from nld.monitor.finding import Finding

EXAMPLE = """examples:
  nld report record.nc                 prints what was found and writes record.html
  nld report record.nc -o page.html
  nld report record.nc --quiet         prints the page's path alone
"""
WIDEST, NARROWEST = 100, 30  # columns of a line
MARKS = {True: "ok    ", False: "look  "}  # of findings, by whether nothing needs attention


def add_parser(subparsers) -> None:
    """Add `nld report`."""
    parser = add_command(
        subparsers, "report", "what a monitor's record says, in sentences and as a page", EXAMPLE, run=run
    )
    parser.add_argument(
        "record", type=Path, metavar="RECORD", help="a file written by nld.monitor.save or a streaming monitor"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (default: the record's name with .html)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the path of the page alone")


def run(args) -> int:
    """Carry out `nld report`; returns the exit status."""
    from nld.monitor import findings, load
    from nld.publish.exports.report import MOST, report

    try:
        record = load(args.record)
        page = report(record, args.output or args.record.with_suffix(".html"))
        if not args.quiet:
            columns = shutil.get_terminal_size().columns
            print(*lines(findings(record), MOST, min(max(columns, NARROWEST), WIDEST)), sep="\n")
        print(page)
    except InvalidInput as error:  # what the file holds, which nobody typed
        raise DataError(str(error)) from error
    return 0


def lines(findings: Sequence["Finding"], most: int, width: int) -> Iterator[str]:
    """Findings in the order given, each with its block, at most so many of them, in lines of ``width`` columns."""
    if not findings:
        yield from textwrap.wrap("No finding: the record has nothing that a sentence is made of.", width)
    for finding in findings[:most]:
        named = finding.text if finding.block in finding.text else f"{finding.block}: {finding.text}"
        mark = MARKS[finding.good]
        # Names of parameters and numbers with a sign stay whole where there is room for them.
        yield from textwrap.wrap(
            named, width, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False
        )
    if len(findings) > most:
        yield f"… and {len(findings) - most} more: nld.monitor.findings(record)."
