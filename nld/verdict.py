"""The four verdicts on a claim, and a verdict with the numbers it rests on."""

from dataclasses import dataclass

REPRODUCED = "reproduced"
CORRECTED = "reproduced with a correction"
REFUTED = "not reproduced"
UNTESTED = "not yet tested at this scale"
LABELS = (REPRODUCED, CORRECTED, REFUTED, UNTESTED)


@dataclass(frozen=True)
class Verdict:
    """What measurements say of a claim. A figure's module computes it in ``judge(data)``.

    Args:
        claim: name in ``nld.paper.CLAIMS``.
        label: one of ``LABELS``, the outcome of a comparison, never typed.
        numbers: one sentence with the numbers that decide.
    """

    claim: str
    label: str
    numbers: str

    def __post_init__(self):
        if self.label not in LABELS:
            raise ValueError(f"expected a label in {LABELS}, got {self.label!r}; let the comparison choose one")
