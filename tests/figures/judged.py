"""Fabricated judging seeds: rows of exactly a given mean and deviation."""

import numpy as np


def row(mean: float, deviation: float = 0.01, n: int = 32) -> np.ndarray:
    """n numbers with this mean and sample deviation, in a fixed random order."""
    x = np.random.default_rng(n).normal(size=n)
    x -= x.mean()
    return mean + deviation * x / x.std(ddof=1)


def labels(module, data) -> dict[str, str]:
    """Labels by claim."""
    return {verdict.claim: verdict.label for verdict in module.judge(data)}


def outcomes(module, data, claim: str) -> dict[str, str]:
    """Outcomes by part of one claim."""
    (verdict,) = [verdict for verdict in module.judge(data) if verdict.claim == claim]
    return {finding.part: finding.outcome for finding in verdict.findings}
