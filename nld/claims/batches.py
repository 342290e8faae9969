"""Judging seeds that somebody ran elsewhere, as a small record that another copy can check and merge.

A record holds what one copy measured at consecutive seeds of a figure's registrations: every per-seed number, none left
out, with effects, e-values, versions and the processor. Its name is the hash of its content. It may be signed with an
SSH key, which says who vouches for it; nothing else in it needs trust that can be computed again from its numbers.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nld import figures
from nld.claims import signatures
from nld.errors import InvalidInput
from nld.experiment.runs.fingerprint import arithmetic_name
from nld.figures import evidence
from nld.inference import FIRST_JUDGING_SEED, e_test
from nld.inference.registration import digest, registration_name, registrations
from nld.inference.verdict import Verdict
from nld.results import stored_results
from nld.results.places import ROOTS
from nld.results.provenance import provenance
from nld.results.store import write_atomically

FORMAT = 1
PLACE = "results/external"
FIELDS = {"format", "figure", "seeds", "sources", "arithmetic", "provenance", "claims"}


def measured(figure: str, count: int, first: int | None = None) -> dict:
    """Run ``count`` judging seeds of a figure here: the record.

    Args:
        first: of the seeds; by default the one after those that are kept or merged in this copy.

    Raises:
        ValueError: the figure keeps no judging seeds, or ``first`` is one that this copy holds already.
    """
    module = figures.load(figure)
    if not hasattr(module, "EVIDENCE"):
        raise InvalidInput(
            f"expected a figure that keeps judging seeds, got {figure!r}; nld claims --gather names them"
        )
    free = first_free_seed(figure)
    first = free if first is None else first
    if first < free:
        raise InvalidInput(
            f"expected seeds of {figure} from {free}, the first that is neither kept nor merged, got {first}"
        )
    seeds = list(range(first, first + count))
    shown = figures.show(figure).data
    rows = module.measure(seeds)
    others = [name for name in shown.variables if "judging_seed" in shown[name].dims]
    verdicts = module.judge(shown.drop_vars(others).merge(rows, compat="override", combine_attrs="override"))
    return {
        "format": FORMAT,
        "figure": figure,
        "seeds": seeds,
        "sources": evidence.sources(module.measure.__module__),
        "arithmetic": arithmetic_name(),
        "provenance": provenance(),
        "claims": {name: part for verdict in verdicts if (part := _stochastic(verdict)) for name in [_name(verdict)]},
    }


def first_free_seed(figure: str) -> int:
    """The first judging seed of a figure that is neither kept, nor to be kept, nor merged in this copy."""
    module = figures.load(figure)
    last = FIRST_JUDGING_SEED + getattr(module, "KEPT_SEEDS", evidence.KEPT_SEEDS) - 1
    return 1 + max([last, *kept_seeds(figure), *(s for r in merged() if r["figure"] == figure for s in r["seeds"])])


def kept_seeds(figure: str) -> set[int]:
    """The judging seeds that this copy keeps of a figure, on whatever processor."""
    place = getattr(figures.load(figure), "EVIDENCE", "")
    if evidence.kept_path(place) is None:
        return set()
    return {int(seed) for seed in evidence.kept(place, figures.load(figure).measure.__module__)["judging_seed"].values}


def merged() -> list[dict]:
    """The records that were merged into this copy, each found to be what it says, ordered by first seed and hash."""
    found = [read(path) for root in ROOTS for path in stored_results.matching(root, f"{PLACE}/*.json")]
    return sorted(found, key=lambda record: (record["seeds"][0], content_hash(record)))


def merge(path: Path) -> Path:
    """Merge a record that somebody sent into this copy; the file in the checkout.

    Raises:
        ValueError: it is no whole record, or of a registration that is not the one of this copy.
    """
    record = read(path)
    for name in record["claims"]:
        known = registrations()
        if name not in known or digest(name) != record["claims"][name]["registration"]:
            raise InvalidInput(
                f"expected a record of the registrations of this copy, got another one of {name} in {path}; its seeds "
                "were run for another question, run them again with this version"
            )
    target = ROOTS[0] / PLACE / f"{record['figure']}-{content_hash(record)[:16]}.json"
    write_atomically(target, text(record))
    stored_results.note(target)
    return target


def read(path: Path) -> dict:
    """A record, once its hash, its completeness, its effects and its e-values were found to hold.

    Raises:
        ValueError: they do not; the message says which.
    """
    try:
        record = json.loads(Path(path).read_text("utf-8"))
        if record["hash"] != content_hash(record):
            raise InvalidInput("its content is not that of its hash; ask for the file again")
        if missing := FIELDS - record.keys():
            raise InvalidInput(f"it lacks {', '.join(sorted(missing))}")
        _check(record)
        if record.get("signature"):
            signatures.check(_canonical(record), record["signature"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"expected a record of `nld claims add-evidence`, got {path}: {error}") from error
    return record


def text(record: Mapping) -> str:
    """The record as it is written, its hash included."""
    return json.dumps({**record, "hash": content_hash(record)}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def content_hash(record: Mapping) -> str:
    """SHA-256 of what a record says, without its hash and its signature."""
    return hashlib.sha256(_canonical(record)).hexdigest()


def signed(record: dict, key: Path) -> dict:
    """The record with a signature by an SSH key.

    Raises:
        ToolError: ssh-keygen is missing or refuses the key.
    """
    return {**record, "signature": signatures.sign(_canonical(record), key)}


def _check(record: dict) -> None:
    """That seeds are consecutive and fresh, every registered part is there at every seed, and the numbers follow."""
    seeds = record["seeds"]
    if record["format"] != FORMAT or record["figure"] not in figures.names():
        raise InvalidInput(f"it has format {record['format']} and figure {record['figure']}; update nld")
    if seeds != list(range(seeds[0], seeds[0] + len(seeds))) or seeds[0] < FIRST_JUDGING_SEED:
        raise InvalidInput(f"its seeds are not consecutive from {FIRST_JUDGING_SEED} or later: {seeds}")
    known = registrations()
    for name, claim in record["claims"].items():
        wanted = {part.name for part in known[name].parts if part.test != "check"} if name in known else claim["parts"]
        if set(claim["parts"]) != set(wanted):
            raise InvalidInput(f"of {name} it reports {sorted(claim['parts'])}, registered are {sorted(wanted)}")
        for part, numbers in claim["parts"].items():
            again = _numbers(numbers["samples"])
            if len(numbers["samples"]) != len(seeds):
                raise InvalidInput(f"{part} of {name} has {len(numbers['samples'])} numbers for {len(seeds)} seeds")
            if any(not math.isclose(again[word], numbers[word], rel_tol=1e-9) for word in ("effect", "e_value")):
                raise InvalidInput(f"effect and e-value of {part} of {name} do not follow from its numbers")


def _stochastic(verdict: Verdict) -> dict:
    """What a record holds of a verdict: per-seed numbers, effect and e-value of every part that seeds decide."""
    parts = {part: _numbers(samples) for part, samples in verdict.samples.items()}
    return {"registration": digest(_name(verdict)), "parts": parts} if parts else {}


def _numbers(samples) -> dict:
    row = e_test.finite_row(samples)
    e_value = math.exp(min(e_test.log_e_process(row)[-1], 700.0))
    return {"samples": [float(x) for x in row], "effect": float(np.mean(row)), "e_value": e_value}


def _name(verdict: Verdict) -> str:
    return registration_name(verdict.claim, verdict.scale)


def _canonical(record: Mapping) -> bytes:
    content = {name: value for name, value in record.items() if name not in ("hash", "signature")}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
