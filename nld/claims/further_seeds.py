"""What further seeds of a registration, run in other copies, say: shown beside a verdict, which they do not change.

A seed counts once, whatever the processor, and the seeds that this copy keeps do not count again. Of records that share
seeds, the one that begins earlier counts, or else the one of the smaller hash: two copies that merged the same records
say the same. The seeds of a record are fixed before they run, so its last e-value is one; e-values of separate batches
multiply (Shafer, J. R. Stat. Soc. A 184 (2021) 407).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nld.claims import batches
from nld.inference import e_test
from nld.inference.registration import Part, Registration, digest


@dataclass(frozen=True)
class Further:
    """Further seeds of one registered part.

    Args:
        part: its name.
        batches: records that count.
        signed: how many of them carry a signature.
        n: seeds in them.
        effect: mean over these seeds, in ``unit``.
        e_value: product over the batches, against no effect; None of a part that is not tested sequentially.
        towards: whether the effect has the claimed direction; None where none is claimed.
    """

    part: str
    batches: int
    signed: int
    n: int
    effect: float
    unit: str
    e_value: float | None
    towards: bool | None

    def __str__(self) -> str:
        many = f"{self.n} further seeds in {self.batches} {'batch' if self.batches == 1 else 'batches'} run elsewhere"
        words = [
            f"{self.part}: {many}, {self.signed} signed",
            f"effect {f'{self.effect:.3g}'.replace('-', '−')} {self.unit}".strip(),
        ]
        if self.e_value is not None:
            words.append(f"E = {self.e_value:.2g} against no effect")
        if self.towards is not None:
            words.append("in the claimed direction" if self.towards else "against the claimed direction")
        return ", ".join(words)


def further(registration: Registration, records: Sequence[dict], kept: set[int]) -> tuple[Further, ...]:
    """What the records say of a registration's parts, beyond the seeds in ``kept``; records of other ones are left out.

    Args:
        records: in the order in which `batches.merged` gives them.
    """
    name = registration.claim
    now = digest(name)
    relevant = [r for r in records if r["claims"].get(name, {}).get("registration") == now]
    seen, counted = set(kept), []
    for record in relevant:
        fresh = [index for index, seed in enumerate(record["seeds"]) if seed not in seen]
        seen.update(record["seeds"])
        if fresh:
            counted.append((record, fresh))
    if not counted:
        return ()
    return tuple(_of_part(part, name, counted) for part in registration.parts if part.test != "check")


def of_figure(registration: Registration, figure: str) -> tuple[Further, ...]:
    """What the merged records of a figure say of a registration."""
    records = [record for record in batches.merged() if record["figure"] == figure]
    return further(registration, records, batches.kept_seeds(figure)) if records else ()


def _of_part(part: Part, name: str, counted: list[tuple[dict, list[int]]]) -> Further:
    rows = [np.take(record["claims"][name]["parts"][part.name]["samples"], fresh) for record, fresh in counted]
    samples = np.concatenate(rows)
    effect = float(samples.mean())
    sequential = part.test == "sequential"
    log_e = sum(float(e_test.log_e_process(row)[-1]) for row in rows)
    sign = {"greater": 1, "less": -1, "either": 0}[part.direction]
    return Further(
        part.name,
        len(rows),
        sum(bool(record.get("signature")) for record, _ in counted),
        len(samples),
        effect,
        part.unit,
        math.exp(min(log_e, 700.0)) if sequential else None,
        sign * effect > 0 if sequential and sign else None,
    )
