"""`nld claims`: the verdict on every claim, computed from the figures' data."""

import sys
import textwrap


def add_parser(subparsers) -> None:
    """Add `nld claims`."""
    parser = subparsers.add_parser(
        "claims",
        help="rule on every claim of the paper and of the works around it",
        epilog="example: nld claims --profile quick",
    )
    parser.add_argument("--profile", choices=("quick", "paper"), default="quick", help="size of the experiments")
    parser.set_defaults(run=run)


def run(args) -> int:
    """Print the ledger, measuring what the store does not hold; returns the exit status."""
    from nld import store
    from nld.claims import ledger

    if args.profile == "paper":
        from nld import figures
        from nld.publish.foreword import paper_scale

        print(paper_scale(figures.names()), file=sys.stderr, flush=True)
    try:
        rulings = ledger(args.profile)
    except OSError as error:
        print(f"nld claims: {store.failure(error)}", file=sys.stderr)
        return 1
    for ruling in rulings:
        print(f"{ruling.claim.name}: {ruling.verdict.label}")
        for text in (ruling.claim.statement, ruling.verdict.numbers):
            print(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    "))
        if ruling.figure:
            print(f"    figure {ruling.figure}, profile {ruling.profile}")
    return 0
