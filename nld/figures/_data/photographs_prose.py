"""Words about the sweeps on photographs: how far networks get, what decides, what the paper's scale would ask for."""

import xarray as xr

from nld.figures._data.experiment_table import CHANCE, advantage, results
from nld.figures._render.text import number, power
from nld.inference import Verdict
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES, Finding

SCALE = "photographs"
UNJUDGED = "No judging seed has been run yet."
LISTED = {"finite-learning-rate": "A", "momentum-advantage": "B", "weight-decay-helps": "C"}


def sentences(data: xr.Dataset, verdicts: list[Verdict]) -> dict[str, str]:
    """Sentences and numbers of the chapter, each chosen by the data."""
    chance = 100 * CHANCE["tiny-imagenet-20"]
    best = max(100 * float(results(data, panel, "test_accuracy", SCALE).mean("seed").max()) for panel in "ABC")
    leads = 100 * advantage(data, "A", "test_accuracy", SCALE).mean("seed")
    size, paper = float(data.attrs["flops"]), float(data.attrs["flops_paper"])
    said = {
        "best": f"{best:.0f} %, {best / chance:.0f} times what guessing gives",
        "size": f"A run costs {power(size)} floating-point operations, one of the paper profile {power(paper)}: "
        f"{paper / size:,.0f} times as many",
        "rates-first": number(leads[0], ".1f"),
        "rates-last": number(leads[-1], ".1f"),
        "decay": _decay(data),
        "curve": UNJUDGED,
        "steps": UNJUDGED,
        "needed": "open: none is run yet",
    }
    if not verdicts:
        return said
    findings = {verdict.claim: {each.part: each for each in verdict.findings} for verdict in verdicts}
    said["curve"] = _curve(findings["effective-rate-explains-loss"])
    said["steps"] = " ".join(_step(each) for each in findings["momentum-advantage"].values())
    said["needed"] = _needed(findings)
    return said


def _decay(data: xr.Dataset) -> str:
    gains = 100 * results(data, "C", "test_accuracy", SCALE).mean("seed")
    parts = []
    for mode, words in enumerate(("free", "held")):
        gained = (gains.sel(constrained=mode) - gains.sel(constrained=mode, value=0)).isel(value=slice(1, None))
        value = float(gained["value"].values[int(gained.values.argmax())])
        parts.append(f"{number(gained.max(), '+.1f')} points with {words} norms, at {value:g} ℓ/w²")
    return f"The largest mean change that a decay brings is {parts[0]}, and {parts[1]}"


def _step(finding: Finding) -> str:
    outcome = {
        PASSES: "the lead grows", OPPOSITE: "the lead falls", NEGLIGIBLE: "the lead hardly changes",
        OPEN: "these seeds cannot tell",
    }[finding.outcome]  # fmt: skip
    return f"From momentum {finding.part.removeprefix('from ').replace(' to ', ' to momentum ')} {outcome}."


def _curve(parts: dict[str, Finding]) -> str:
    """Whether the effective rate is what makes free and held norms differ."""
    same, explains, better = (
        parts[name].outcome
        for name in ("held norms on the same curve", "the rate explains", "better than the rate at the start")
    )
    first = {
        PASSES: "Free and held runs lie on one curve.", OPEN: "Whether free and held runs lie on one curve is open.",
    }.get(same, "Free and held runs do not lie on one curve.")  # fmt: skip
    second = {
        PASSES: "The effective rate explains as much of the loss as was asked.",
        OPEN: "Whether the effective rate explains as much of the loss as was asked, these seeds cannot tell.",
    }.get(explains, "The effective rate explains less of the loss than was asked.")
    third = {
        PASSES: "It explains more than the rate at the start does.",
        OPEN: "Whether it explains more than the rate at the start does is open.",
    }.get(better, "It explains no more than the rate at the start does.")
    return f"{first} {second} {third}"


def _needed(findings: dict[str, dict[str, Finding]]) -> str:
    """Seeds that decide each claim, if the effects and spreads at the paper's scale were those of this one."""
    counts = []
    for claim, panel in LISTED.items():
        tested = [each for each in findings[claim].values() if each.e_value is not None]
        seeds = [each.needed if each.outcome == OPEN else each.n for each in tested]
        counts.append(f"{panel} " + ("more than we can run" if None in seeds else f"{max(filter(None, seeds))}"))
    return ", ".join(counts)
