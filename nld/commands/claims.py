"""`nld claims`: the verdict on every claim, computed from the figures' data."""

import os
import textwrap
from pathlib import Path

from nld import figures
from nld.commands import add_command, announce_scale, positive, writing
from nld.errors import InvalidInput

AT_ONCE = 8  # further seeds
ADD_EXAMPLE = """examples:
  nld claims add-evidence fig-dyt                                     eight further seeds
  nld claims add-evidence fig-dyt --count 4 --key ~/.ssh/id_ed25519   four, in a record that is signed
"""
MERGE_EXAMPLE = """example:
  nld claims merge-evidence fig-dyt-0123456789abcdef.json
"""

EXAMPLE = """examples:
  nld claims                          the ledger: verdict, effect, interval, seeds, e-value, processor
  nld claims --history                what changed, when and why
  nld claims --live --seed 10000      run judging seeds from 20,000 here, instead of reading kept ones
  nld claims --against ledger.json    compare with a ledger that --save wrote; exit status 1 if a verdict reverses
  nld claims --gather fig-dyt         run the judging seeds of a figure on this processor and keep them in results/
  nld claims --repeat fig-dyt         run one judging seed here and compare its numbers with the kept ones
  nld claims --replay                 whether today's code gives the kept seeds to the bit
  nld claims --log WHY                log what changed since the last entry, with the reason
  nld claims add-evidence fig-dyt     run further judging seeds here, as a record that another copy can merge
  nld claims merge-evidence FILE      merge such a record: the ledger shows its seeds beside the verdicts
"""


def add_parser(subparsers) -> None:
    """Add `nld claims`."""
    parser = add_command(
        subparsers, "claims", "rule on every claim of the paper and of the works around it", EXAMPLE, run=run
    )
    parser.add_profile()
    parser.add_argument("--seed", type=int, default=0, help="shift of the seeds: judging seeds begin at 10,000 + SEED")
    parser.add_argument("--live", action="store_true", help="run judging seeds here, do not read kept ones")
    parser.add_argument("--history", action="store_true", help="print the changes of verdicts and registrations")
    parser.add_argument("--save", metavar="FILE", help="write the ledger to a JSON file")
    parser.add_argument("--against", metavar="FILE", help="compare with a ledger written by --save")
    parser.add_argument(
        "--gather", metavar="FIGURE", action="append", default=[], help="keep judging seeds of a figure"
    )
    parser.add_argument(
        "--repeat", metavar="FIGURE", help="run judging seed 10,000 + SEED here; exit status 1 if it is unlike the kept"
    )
    parser.add_argument(
        "--replay",
        metavar="FIGURE",
        nargs="*",
        help="rerun the first kept seeds, of all figures that need no fetched data; equal to the bit, they are today's "
        "code's too",
    )
    parser.add_argument("--log", metavar="WHY", help="log changed verdicts and registrations")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    add = add_command(actions, "add-evidence", "run further judging seeds as a record for others", ADD_EXAMPLE, _add)
    add.add_argument("figure", help="that keeps judging seeds")
    add.add_argument("--count", type=positive(int), default=AT_ONCE, help=f"seeds to run (default: {AT_ONCE})")
    add.add_argument("--first", type=int, help="the first of them (default: the next that nobody merged here)")
    add.add_argument("--key", type=Path, help="an SSH key that signs the record")
    add.add_argument("--output", type=Path, help="file to write (default: named by figure and content, here)")
    merge = add_command(actions, "merge-evidence", "merge such records into this copy", MERGE_EXAMPLE, _merge)
    merge.add_argument("files", type=Path, nargs="+", help="records of `nld claims add-evidence`")


def run(args) -> int:
    """Carry out `nld claims`; returns the exit status."""
    if args.history:
        return _print_history()
    if args.live:
        os.environ["NLD_EVIDENCE"] = "live"
    announce_scale(args.profile, figures.names())
    for name in args.gather:
        _gather(name)
    if args.repeat:
        return _repeat(args.repeat, args.seed)
    if args.replay is not None:
        return _replay(args.replay)
    return 0 if args.gather else _rule(args)


def _add(args) -> int:
    """Run further judging seeds and write them as a record."""
    from nld.claims import batches

    record = batches.measured(args.figure, args.count, args.first)
    record = batches.signed(record, args.key) if args.key else record
    path = args.output or Path(f"{args.figure}-{batches.content_hash(record)[:16]}.json")
    with writing(path):
        path.write_text(batches.text(record), "utf-8")
    print(f"{path}: seeds {record['seeds'][0]} to {record['seeds'][-1]} of {', '.join(record['claims'])}")
    return 0


def _merge(args) -> int:
    """Merge records of further judging seeds."""
    from nld.claims import batches

    for path in args.files:
        print(batches.merge(path))
    return 0


def _rule(args) -> int:
    """Print the ledger, measuring what the store does not hold."""
    from nld.claims import history as claim_history
    from nld.claims.ledger_file import differences, read, write
    from nld.claims.rulings import ledger, scoreboard
    from nld.inference.report import finding_in_words
    from nld.publish.pages.plain_math import plain, typeset

    before = read(args.against) if args.against else None
    rulings = ledger(args.profile, seed=args.seed)
    if args.log:
        due = claim_history.changes([(r.claim.name, r.scale, r.verdict.label) for r in rulings], args.log)
        claim_history.append(due)
        print(f"{len(due)} entries logged in {claim_history.ROOTS[0] / claim_history.PLACE}")
        return 0
    if args.save:
        write(rulings, args.save)
    if before is not None:
        rows, reversed_ = differences(before, rulings)
        for row in rows:
            print(row)
        print(f"{len(rows)} of {len(rulings)} rulings differ, {reversed_} are reversed")
        return int(reversed_ > 0)
    print("; ".join(f"{count} {label}" for label, count in scoreboard(rulings).items() if count))
    for ruling in rulings:
        print(f"\n{ruling.claim.name} ({ruling.scale}): {ruling.verdict.label}")
        for text in (ruling.claim.statement, ruling.verdict.numbers):
            print(textwrap.fill(plain(typeset(text)), 100, initial_indent="    ", subsequent_indent="    "))
        for finding in ruling.verdict.findings:
            print(f"    - {plain(typeset(finding_in_words(finding)))}")
        for further in ruling.further:
            print(f"    - {plain(typeset(str(further)))}")
        if ruling.figure:
            print(f"    figure {ruling.figure}, profile {ruling.profile}, {ruling.processor}")
    return 0


def _print_history() -> int:
    from nld.claims.history import history

    for change in history():
        where = f" ({change.scale})" if change.scale else ""
        arrow = f"{change.before or 'new'} -> {change.after}"
        print(f"{change.date} {change.what} of {change.claim}{where}: {arrow}\n    {change.why}")
    return 0


def _replay(names: list[str]) -> int:
    """Rerun the first kept seeds of the figures; 1 if one came out differently."""
    from nld.figures.evidence import AT_ONCE, replay

    differ = 0
    for name in names or [each for each in _keeping() if not hasattr(figures.load(each), "DATASET")]:
        module = _keeper(name)
        equal = replay(module.EVIDENCE, module.measure, getattr(module, "AT_ONCE", AT_ONCE))
        differ += not equal
        print(f"{name}: {'equal to the bit' if equal else 'differs; gather it again'}", flush=True)
    return int(differ > 0)


def _gather(name: str) -> None:
    """Run the judging seeds of a figure that are missing on this processor."""
    from nld.figures.evidence import AT_ONCE, KEPT_SEEDS, gather

    module = _keeper(name)
    count, at_once = getattr(module, "KEPT_SEEDS", KEPT_SEEDS), getattr(module, "AT_ONCE", AT_ONCE)
    print(gather(module.EVIDENCE, module.measure, count, at_once=at_once))


def _repeat(name: str, shift: int) -> int:
    """Run one judging seed; 1 if one of its numbers lies where no further seed would."""
    from nld.figures.repeated import repeat

    module = _keeper(name)
    rows = repeat(module.EVIDENCE, module.measure, shift)
    print(f"{'':48} {'here':>10} {'kept':>10}   a further seed lies in")
    for row in rows:
        place = f"[{row.low:.4g}, {row.high:.4g}]"
        print(f"{row.name:48} {row.here:10.4g} {row.kept:10.4g}   {place}{'' if row.inside else '  OUTSIDE'}")
    outside = sum(not row.inside for row in rows)
    print(f"{len(rows) - outside} of {len(rows)} numbers lie where those of a further seed would.")
    return int(outside > 0)


def _keeping() -> list[str]:
    return [name for name in figures.names() if hasattr(figures.load(name), "EVIDENCE")]


def _keeper(name: str):
    """The module of a figure that keeps judging seeds."""
    module = figures.load(name)
    if not hasattr(module, "EVIDENCE"):
        raise InvalidInput(f"expected a figure that keeps judging seeds, one of {', '.join(_keeping())}, got {name!r}")
    return module
