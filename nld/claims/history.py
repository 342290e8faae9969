"""What changed in the ledger, when and why: `results/claims/history.toml`, one entry a change of a verdict or a test.

A registration whose digest no entry holds has been changed in silence, which a test refuses.
"""

import datetime
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from nld.inference.registration import digest, registrations
from nld.results import stored_results
from nld.results.places import ROOTS

PLACE = "results/claims/history.toml"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One entry.

    Args:
        date: as 2026-11-29.
        claim: its name; of a registration with "@scale" where it has one.
        what: "verdict" or "registration".
        before, after: labels, or digests of the registration; "" before the first.
        scale: of a verdict.
        why: one sentence.
    """

    date: str
    claim: str
    what: str
    before: str
    after: str
    why: str
    scale: str = ""


def history() -> list[Change]:
    """All entries, the oldest first; none where the file is missing."""
    path = next((path for root in ROOTS if (path := root / PLACE).is_file()), None)
    if path is None:
        return []
    text = stored_results.whole(path).read_text("utf-8")
    return [Change(**entry) for entry in tomllib.loads(text).get("change", ())]


def unlogged_registrations() -> list[str]:
    """Registrations that changed since their last entry, new ones included."""
    return [change.claim for change in changes((), why="")]


def changes(verdicts: Iterable[tuple[str, str, str]], why: str) -> list[Change]:
    """The entries that are due now, all because of ``why``, given claim, scale and label of every ruling."""
    now = [("registration", name, "", digest(name)) for name in registrations()]
    now += [("verdict", *verdict) for verdict in verdicts]
    logged = {(change.what, change.claim, change.scale): change.after for change in history()}
    today = datetime.date.today().isoformat()
    return [
        Change(date=today, claim=claim, what=what, before=before, after=after, why=why, scale=scale)
        for what, claim, scale, after in now
        if (before := logged.get((what, claim, scale), "")) != after
    ]


def append(entries: Iterable[Change]) -> Path:
    """Add entries to the file of the checkout."""
    path = ROOTS[0] / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(
        "\n[[change]]\n"
        + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in asdict(entry).items())
        for entry in entries
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    stored_results.note(path)
    return path
