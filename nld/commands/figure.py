"""`nld figure`: list, draw, export, cite and verify the figures."""

import ast
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from math import inf
from pathlib import Path

from nld import figures
from nld.commands import add_actions, add_command, announce_scale, read_parameters
from nld.commands import name as command_name
from nld.errors import Missing, NldError, UsageError
from nld.results import seals, stored_results

EXAMPLE = """examples:
  nld figure list                                 names and what each shows
  nld figure show fig-1
  nld figure show fig-1 -p learning_rate 0.2
"""
EXPORT = """example:
  nld figure export fig-1 --to paper/figures      svg, pdf, png, csv with its schema, netCDF, …
"""
CITE = """example:
  nld figure cite fig-1 --format text             BibTeX by default
"""
VERIFY = """examples:
  nld figure verify --all                         exit status 1 when a number moved
  nld figure verify fig-1 --accept                make today's data the reference; say why in the commit
  nld figure verify --all --under baseline        and under the instructions of a processor without AVX
  nld figure verify --all --accept --add          add those of this processor's arithmetic to it
"""


def add_parser(subparsers) -> None:
    """Add `nld figure`."""
    actions = add_actions(subparsers, "figure", "list, draw, export, cite and verify figures", EXAMPLE)
    add_command(actions, "list", "names of all figures and what each shows", run=run_list)
    show = add_command(actions, "show", "compute and draw, and say where the files are", EXAMPLE, run=run_show)
    _add_names(show)
    show.add_profile()
    show.add_parameters("; a wrong name lists those of the figure")
    export = add_command(actions, "export", "copy a figure's files", EXPORT, run=run_export)
    export.add_argument("name", nargs=1, help="such as fig-1")
    export.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)")
    cite = add_command(actions, "cite", "print how to cite a figure", CITE, run=run_cite)
    cite.add_argument("name", nargs=1, help="such as fig-1")
    cite.add_argument("--format", choices=("bibtex", "csl", "text"), default="bibtex", help="default: bibtex")
    cite.add_root()
    verify = add_command(actions, "verify", "compare a figure's data with the stored reference", VERIFY, run=run_verify)
    _add_names(verify)
    verify.add_root("results/")
    verify.add_argument("--accept", action="store_true", help="store today's data as the reference")
    verify.add_argument("--add", action="store_true", help="with --accept: as one more arithmetic of it")
    verify.add_argument("--save", type=Path, metavar="FILE", help="write what differs to a JSON file")
    verify.add_argument(
        "--under", action="append", default=[], metavar="ARITHMETIC",
        help="compute under avx2, baseline, two-threads or rounding-twin, in a fresh store, judging seeds included",
    )  # fmt: skip


def _add_names(parser) -> None:
    parser.add_argument("name", nargs="*", help="such as fig-1")
    parser.add_argument("--all", action="store_true", help="every figure")


def run_list(args) -> int:
    """Print every figure with the first line of its description."""
    for name in figures.names():
        print(f"{name:20s} {(figures.load(name).__doc__ or '').strip().splitlines()[0]}")
    return 0


def run_show(args) -> int:
    """Draw the named figures into the store and print where they are."""
    args.parameter = read_parameters(args)
    parameters = {name: _value(text) for name, text in args.parameter}

    def show(name: str) -> None:
        print(f"{name}: {figures.show(name, args.profile, **parameters).folder}", flush=True)

    return _for_each(args, show)


def run_export(args) -> int:
    """Copy the files of one figure into a folder as NAME.svg, NAME.pdf, …"""
    from nld.figures.recording import data_package

    def export(name: str) -> None:
        args.to.mkdir(parents=True, exist_ok=True)
        for file in seals.sealed_files(figures.show(name).folder):
            target = args.to / data_package.exported_name(name, file.name)
            if file.name == data_package.FILE:  # it names the files beside it
                target.write_text(data_package.exported(file.read_text("utf-8")), "utf-8")
            else:
                shutil.copyfile(file, target)
            print(target)

    return _for_each(args, export)


def run_cite(args) -> int:
    """Print the citation of one figure."""
    from nld.publish.execution.chapters import read_chapters
    from nld.publish.pages.citation import citation

    pages = {chapter.document: [source for source, _ in chapter.cells] for chapter in read_chapters(args.root)}

    def cite(name: str) -> None:
        page = next((page for page, cells in pages.items() if any(f'"{name}"' in cell for cell in cells)), "book/index")
        print(getattr(citation(args.root, figures.show(name).folder, page), args.format))

    return _for_each(args, cite)


def run_verify(args) -> int:
    """Compare the data of figures with their references; print a table of what moved."""
    from nld.figures.verification.verify import reference_path

    folder = reference_path(args.root, "any").parent
    if not args.accept and not folder.is_dir():  # before anything is computed
        raise UsageError(f"no references in {folder}; run this in the root of a checkout")
    if args.under:
        from nld.figures.verification.under import table, verify_under

        seen = verify_under(args.under, figures.names() if args.all else args.name, args.root)
        print(table(seen))
        return int(not all(each.good for each in seen))
    if args.accept:
        return _for_each(args, lambda name: _accept(name, args))
    reports: dict[str, dict] = {}
    status = _for_each(args, lambda name: _agrees(name, args.root, reports))
    if args.save:
        args.save.write_text(json.dumps(reports, indent=1, ensure_ascii=False), "utf-8")
    return status


def _accept(name: str, args) -> None:
    """Store today's data as the reference, or as one more arithmetic of it."""
    import xarray as xr

    from nld.experiment.runs.fingerprint import arithmetic_name
    from nld.figures.verification import reference as references
    from nld.figures.verification.verify import reference_path

    path = reference_path(args.root, name)
    before = xr.load_dataset(stored_results.whole(path), engine="h5netcdf") if args.add and path.exists() else None
    references.write(references.joined(before, figures.show(name).data, arithmetic_name()), path)
    stored_results.note(path)
    print(f"{name}: reference of {arithmetic_name()} stored in {path}", flush=True)


def _agrees(name: str, root: Path, reports: dict[str, dict]) -> bool:
    """Whether no number of a figure moved and no verdict is reversed; what differs is printed and reported."""
    import xarray as xr

    from nld.figures.verification.verify import compare_with_reference, moved_verdicts, reference_path
    from nld.inference.verdict import REVERSED

    data, path = figures.show(name).data, reference_path(root, name)
    try:
        reference = xr.load_dataset(stored_results.whole(path), engine="h5netcdf")
    except Missing:
        print(f"{name}: no reference in {path}; look at the figure, then: nld figure verify {name} --accept")
        return False
    rows = compare_with_reference(figures.load(name), data, reference)
    moved = [row for row in rows if not row.holds]
    verdicts = moved_verdicts(figures.load(name), data, reference)
    good = not moved and all(how != REVERSED for how, _ in verdicts)
    ways = Counter(row.how for row in rows)
    print(
        f"{name}: {'agrees' if good else 'moved'} ({', '.join(f'{n} by {way}' for way, n in ways.items())})", flush=True
    )
    for row in moved:
        by = f"by {row.difference:.2g}, allowed {row.allowed:.2g} ({row.how})"
        by = by if row.difference < inf else "in shape, in words or in where it is finite"
        print(f"    {row.variable:32s} differs {by}")
    for how, words in verdicts:
        print(f"    verdict {how}: {words}")
    listed = [f"{row.variable} by {row.difference:.3g}, allowed {row.allowed:.3g} ({row.how})" for row in moved]
    reports[name] = {"moved": listed, "verdicts": verdicts, "compared": dict(ways)}
    return good


def _for_each(args, do: Callable[[str], bool | None]) -> int:
    """Apply ``do``, which returns False where not all is well, to each named figure; all names are checked first.

    Returns:
        The largest exit status. What one figure lacks is told and does not keep the others from their turn; it is
        wrong usage only if a parameter was typed, which the figure may not take.
    """
    names = figures.names() if getattr(args, "all", False) else args.name
    if not names:
        raise UsageError("name a figure or give --all; there are: " + ", ".join(figures.names()))
    for name in names:
        figures.load(name)
    announce_scale(getattr(args, "profile", "quick"), names)

    def status(name: str) -> int:
        try:
            return int(do(name) is False)
        except (NldError, ValueError) as error:
            print(f"{command_name(args)}: {error}", file=sys.stderr)
            return 2 if isinstance(error, ValueError) and getattr(args, "parameter", []) else 1

    return max([status(name) for name in names])


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
