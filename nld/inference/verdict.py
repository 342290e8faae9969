"""The verdicts on a claim, and a verdict with the findings that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nld.errors import InvalidInput

REPRODUCED = "reproduced"
BELOW = "reproduced, below the effect of interest"
CORRECTED = "reproduced with a correction"
PARTLY = "partly reproduced"
REFUTED = "not reproduced"
UNDECIDED = "undecided"
UNTESTED = "not yet tested at this scale"
LABELS = (REPRODUCED, BELOW, CORRECTED, PARTLY, REFUTED, UNDECIDED, UNTESTED)

PASSES, OPPOSITE, NEGLIGIBLE, OPEN = "passes", "opposite", "negligible", "undecided"
OUTCOMES = (PASSES, OPPOSITE, NEGLIGIBLE, OPEN)


@dataclass(frozen=True)
class Finding:
    """What one registered part of a claim came to.

    Args:
        part: its name in the registration.
        outcome: one of ``OUTCOMES``: the part passes, its opposite does, its effect is smaller than the smallest of
            interest, or none of these is shown.
        effect: mean over seeds, in ``unit``; None where no seed enters.
        low, high: the 95 % interval, of a confidence sequence or, at a fixed n, Student's; None where infinite.
        n: seeds.
        unit: of the effect.
        e_value: largest so far, of a sequential test; None of others.
        threshold: what the e-value must reach.
        p_value: of a test at a fixed n, adjusted for its family; None of others.
        needed: about how many seeds would decide; None where decided or out of reach.
        below: the effect is shown, and shown to be below the smallest of interest.
        alternative: whether the part belongs to a correction that was named beforehand.
    """

    part: str
    outcome: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str = ""
    e_value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    needed: int | None = None
    below: bool = False
    alternative: bool = False

    def __post_init__(self):
        if self.outcome not in OUTCOMES:
            raise InvalidInput(f"expected an outcome in {OUTCOMES}, got {self.outcome!r}")


@dataclass(frozen=True)
class Verdict:
    """What measurements say of a claim. A figure's module computes it in ``judge(data)``.

    Args:
        claim: name in the ledger.
        label: one of ``LABELS``, the outcome of the registered tests, never typed.
        numbers: sentences with the numbers that decide.
        findings: one for each registered part; none on a claim that nothing tests.
        scale: of the experiment.
        samples: by part, the per-seed numbers that its test took, in the order of the seeds.
    """

    claim: str
    label: str
    numbers: str
    findings: tuple[Finding, ...] = ()
    scale: str = ""
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self):
        if self.label not in LABELS:
            raise InvalidInput(f"expected a label in {LABELS}, got {self.label!r}; let the tests choose one")


def label_of(findings: tuple[Finding, ...]) -> str:
    """The label of a conjunction: every part must pass (intersection–union), and failing to detect refutes nothing.

    A correction is one that was named beforehand and passes whole. Where a part passes and another does not, the
    claim is partly reproduced; where none passes, one refuted part refutes it.
    """
    own = [finding for finding in findings if not finding.alternative]
    named = [finding for finding in findings if finding.alternative]
    passed = [finding.outcome == PASSES for finding in own]
    if all(passed):
        return BELOW if any(finding.below for finding in own) else REPRODUCED
    if named and all(finding.outcome == PASSES for finding in named):
        return CORRECTED
    if any(passed):
        return PARTLY
    return REFUTED if any(finding.outcome in (OPPOSITE, NEGLIGIBLE) for finding in own) else UNDECIDED


SAME, REVERSED, SHIFTED = "same", "reversed", "decided on one side only"


def compare(before: Verdict, now: Verdict) -> str:
    """How two verdicts on one claim differ: the same, reversed, or decided in one where the other is open.

    They are reversed if a part passes in one and is refuted in the other; an effect that is shown to be below the one
    of interest and one that is shown to be negligible do not contradict each other.
    """
    earlier = {finding.part: finding for finding in before.findings}
    shifted = before.label != now.label
    for finding in now.findings:
        other = earlier.get(finding.part)
        if other is None or finding.outcome == other.outcome:
            continue
        outcomes = {finding.outcome, other.outcome}
        small = outcomes == {PASSES, NEGLIGIBLE} and (finding.below or other.below)
        if PASSES in outcomes and OPEN not in outcomes and not small:
            return REVERSED
        shifted = True
    return SHIFTED if shifted else SAME
