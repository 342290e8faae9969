"""Findings in words and numbers, for terminals, pages and badges."""

import math

from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES, Finding

WORDS = {PASSES: "holds", OPPOSITE: "fails", NEGLIGIBLE: "fails: negligible", OPEN: "undecided"}


def effect(finding: Finding) -> str:
    """Effect with its 95 % interval and unit, such as "3.5 [2.7, 4.3] points"; "" where no seed enters.

    >>> effect(Finding("x", "passes", 3.51, 2.7, 4.31, 8, "points"))
    '3.5 [2.7, 4.3] points'
    """
    if finding.effect is None:
        return ""
    low, high = (_number(end, finding) if end is not None else "∞" for end in (finding.low, finding.high))
    low = "−∞" if low == "∞" else low
    return f"{_number(finding.effect, finding)} [{low}, {high}] {finding.unit}".strip()


def certainty(finding: Finding) -> str:
    """n with e-value and threshold, or with the adjusted p-value; and what would decide where it is open."""
    if finding.effect is None:
        return ""
    parts = [f"n = {finding.n}"]
    if finding.e_value is not None and finding.threshold is not None:
        parts.append(f"E = {finding.e_value:.2g} of {finding.threshold:.0f}")
    if finding.p_value is not None:
        parts.append(f"p = {finding.p_value:.2g}")
    if finding.outcome == OPEN:
        parts.append(f"about {finding.needed} needed" if finding.needed else "more than 100,000 needed")
    return ", ".join(parts)


def outcome(finding: Finding) -> str:
    """The outcome of a part in words."""
    words = WORDS[finding.outcome] + (", below the effect of interest" if finding.below else "")
    return f"{words} (a correction named beforehand)" if finding.alternative else words


def finding_in_words(finding: Finding) -> str:
    """One line: part, outcome, effect and certainty."""
    rest = "; ".join(filter(None, (effect(finding), certainty(finding))))
    return f"{finding.part}: {outcome(finding)}" + (f"; {rest}" if rest else "")


def _number(value: float, finding: Finding) -> str:
    """Digits enough to tell the ends of the interval apart; what rounds to zero has no sign."""
    if finding.low is None or finding.high is None or finding.high <= finding.low:
        text = f"{value:.3g}"
    else:
        digits = max(0, 1 - math.floor(math.log10(finding.high - finding.low)))
        text = f"{value:z.{min(digits, 9)}f}"
    return text.replace("-", "−")
