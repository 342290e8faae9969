"""From the numbers of a figure to verdicts, by what was registered and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from nld.errors import InvalidInput
from nld.inference import e_test, fixed
from nld.inference.registration import Family, Part, Registration, families, registrations
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES, Finding, Verdict, label_of


@dataclass(frozen=True)
class Evidence:
    """What a figure measured for one claim.

    Args:
        claim: its name; with "@scale" where it is registered at more than one.
        numbers: sentences with the numbers, for a reader.
        samples: by part, the per-seed estimand in the order of the seeds.
        checks: by part, whether a comparison without seeds holds.
    """

    claim: str
    numbers: str
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    checks: Mapping[str, bool] = field(default_factory=dict)


def rule(evidence: Sequence[Evidence]) -> list[Verdict]:
    """A verdict for each claim; tests at a fixed n are adjusted together within their family.

    Raises:
        ValueError: a claim is not registered, or its parts are not those that are registered.
    """
    known, found = registrations(), []
    for each in evidence:
        if each.claim not in known:
            raise InvalidInput(f"expected a registered claim, got {each.claim!r}; register it before it is looked at")
        registration = known[each.claim]
        given, wanted = {*each.samples, *each.checks}, {part.name for part in registration.parts}
        if given != wanted:
            raise InvalidInput(f"expected the parts {sorted(wanted)} of {each.claim}, got {sorted(given)}")
        findings = [_finding(registration, part, each) for part in registration.parts]
        found.append((registration, each, findings))
    _adjust([(r, findings) for r, _, findings in found])
    return [
        Verdict(
            each.claim.partition("@")[0],
            label_of(tuple(findings)),
            each.numbers,
            tuple(findings),
            registration.scale,
            {part: tuple(map(float, samples)) for part, samples in each.samples.items()},
        )
        for registration, each, findings in found
    ]


def _finding(registration: Registration, part: Part, evidence: Evidence) -> Finding:
    if part.test == "check":
        holds = bool(evidence.checks[part.name])
        return Finding(part.name, PASSES if holds else OPPOSITE, alternative=part.alternative)
    samples = e_test.finite_row(evidence.samples[part.name])
    if part.test == "sequential":
        return sequential(part, samples, families()[registration.family])
    return _fixed(part, samples)


def sequential(part: Part, samples: np.ndarray, family: Family) -> Finding:
    """The e-test, stopped where it crosses the family's threshold first; at n_max, whether the effect is negligible.

    The effect and its interval use all seeds that there are, also those after the stop.
    """
    samples = samples[: part.n]
    threshold, n = family.threshold, len(samples)
    sign = -1 if part.direction == "less" else 1
    stop = e_test.first_crossing(samples, threshold)
    mean, (low, high) = float(samples.mean()), e_test.confidence_sequence(samples)
    e_value = float(np.exp(e_test.log_e_process(samples).max()))
    outcome, needed, below = OPEN, None, False
    if stop is not None:
        towards = sign * samples[:stop].mean() > 0 or part.direction == "either"
        outcome = PASSES if towards else OPPOSITE
        below = outcome == PASSES and n >= 2 and fixed.agreement(samples, part.delta) < family.alpha
    elif n >= part.n and fixed.agreement(samples, part.delta) < family.alpha:
        outcome = NEGLIGIBLE
    else:
        needed = e_test.samples_needed(mean, float(samples.std(ddof=1)), threshold) if n > 1 else None
    return Finding(part.name, outcome, mean, _finite(low), _finite(high), n, part.unit, e_value, threshold,
                   needed=needed, below=below, alternative=part.alternative)  # fmt: skip


def _fixed(part: Part, samples: np.ndarray) -> Finding:
    """A test at the registered n; with fewer seeds it is undecided. ``p_value`` is raw until ``_adjust``."""
    enough = len(samples) >= part.n
    samples = samples[: part.n]
    test = fixed.agreement if part.test == "agreement" else fixed.non_inferiority
    low, high = fixed.interval(samples)
    sign = -1 if part.direction == "less" and part.test == "non-inferiority" else 1
    p_value = test(sign * samples, part.margin) if enough else 1.0
    return Finding(part.name, OPEN, float(samples.mean()), _finite(low), _finite(high), len(samples), part.unit,
                   p_value=p_value, needed=None if enough else part.n, alternative=part.alternative)  # fmt: skip


def _adjust(found: list[tuple[Registration, list[Finding]]]) -> None:
    """Holm over the fixed-n tests of each family, in place; then the outcome of each."""
    places: dict[str, list[tuple[list[Finding], int, Part]]] = {}
    for registration, findings in found:
        for index, part in enumerate(registration.parts):
            if part.test in ("agreement", "non-inferiority"):
                places.setdefault(registration.family, []).append((findings, index, part))
    for name, rows in places.items():
        family = families()[name]
        adjusted = fixed.holm([findings[index].p_value for findings, index, _ in rows], family.fixed)
        for (findings, index, part), p_value in zip(rows, adjusted, strict=True):
            finding = findings[index]
            outcome = OPEN
            if finding.n >= part.n:
                outcome = PASSES if p_value < family.alpha else _refuted(part, finding, family)
            findings[index] = replace(finding, p_value=float(p_value), outcome=outcome)


def _refuted(part: Part, finding: Finding, family: Family) -> str:
    """The opposite of an agreement: the interval, at the family's Bonferroni level, lies outside the margin."""
    if finding.low is None or finding.high is None or finding.effect is None:
        return OPEN
    widened = (finding.high - finding.low) / 2 * _widening(finding.n, family)
    low, high = finding.effect - widened, finding.effect + widened
    sign = -1 if part.direction == "less" else 1
    if part.test == "non-inferiority":
        return OPPOSITE if max(sign * low, sign * high) < -part.margin else OPEN
    return OPPOSITE if low > part.margin or high < -part.margin else OPEN


def _widening(n: int, family: Family) -> float:
    return float(stats.t.ppf(1 - family.alpha / 2 / max(family.fixed, 1), n - 1) / stats.t.ppf(0.975, n - 1))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
