"""A ledger as a file, and two ledgers compared: what another processor or other seeds would have ruled."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nld.claims.rulings import Ruling
from nld.errors import InvalidInput
from nld.inference.report import finding_in_words
from nld.inference.verdict import REVERSED, SAME, Finding, Verdict, compare

Rows = dict[tuple[str, str], tuple[Verdict, str]]


def write(rulings: Sequence[Ruling], path: str | Path) -> None:
    """Write verdicts with their findings, scale and processor as JSON."""
    rows = [{**asdict(ruling.verdict), "scale": ruling.scale, "processor": ruling.processor} for ruling in rulings]
    for row in rows:
        del row["samples"]  # the figures' data hold them
    Path(path).write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")


def read(path: str | Path) -> Rows:
    """Verdict and processor by claim and scale.

    Raises:
        ValueError: the file is no ledger.
    """
    try:
        rows = json.loads(Path(path).read_text("utf-8"))
        ledger = {}
        for row in rows:
            processor = row.pop("processor")
            findings = tuple(Finding(**finding) for finding in row.pop("findings"))
            ledger[row["claim"], row["scale"]] = Verdict(**row, findings=findings), processor
        return ledger
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"expected a ledger that `nld claims --save` wrote, got {path} ({error})") from error


def differences(before: Rows, rulings: Sequence[Ruling]) -> tuple[list[str], int]:
    """What differs, a line each, and how many verdicts are reversed.

    Decided on one side and open on the other is listed and no reversal: the two have seen different samples.
    """
    lines, reversed_ = [], 0
    for ruling in rulings:
        earlier = before.get((ruling.claim.name, ruling.scale))
        if earlier is None:
            continue
        verdict, _ = earlier
        how = compare(verdict, ruling.verdict)
        if how == SAME:
            continue
        reversed_ += how == REVERSED
        was = {finding.part: finding for finding in verdict.findings}
        parts = [
            f"{finding_in_words(was[f.part])} -> {finding_in_words(f)}"
            for f in ruling.verdict.findings
            if f.part in was and was[f.part].outcome != f.outcome
        ]
        place = f"{ruling.claim.name} ({ruling.scale})"
        lines.append(f"{how}: {place}: {verdict.label} -> {ruling.verdict.label}; " + " | ".join(parts))
    return lines, reversed_
