"""Numbers and sentences of the chapter on forecasts, chosen by the data of fig-forecast."""

import numpy as np
import xarray as xr

from nld.figures._render.text import number
from nld.inference import Verdict
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES

RULES = ("AdamW", "Muon", "SGD")


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Means over judging seeds, in per cent or points."""
    mean = 100 * data[["error", "constant_error", "inside"]].mean("judging_seed")
    of_rule = mean.mean("schedule")
    told = {"seeds": str(data.sizes["judging_seed"])}
    for rule in RULES:
        row = of_rule.sel(rule=rule)
        for quantity in data["quantity"].values:
            told[f"{quantity}-{rule.lower()}"] = f"{float(row['error'].sel(quantity=quantity)):.1f}"
            told[f"constant-{quantity}-{rule.lower()}"] = f"{float(row['constant_error'].sel(quantity=quantity)):.1f}"
        difference = (row["constant_error"] - row["error"]).sel(quantity=["norm", "angle"]).mean()
        told[f"gain-{rule.lower()}"] = number(difference, ".1f")
    for quantity in data["quantity"].values:
        told[f"inside-{quantity}"] = f"{float(mean['inside'].sel(quantity=quantity).mean()):.0f}"
    worst = mean["error"].sel(quantity=["norm", "angle"])
    told["worst"] = f"{float(worst.max()):.0f}"
    place = np.unravel_index(int(worst.values.argmax()), worst.shape)
    told["worst-rule"], told["worst-schedule"], told["worst-quantity"] = (
        str(worst[axis].values[index]) for axis, index in zip(worst.dims, place, strict=True)
    )
    return told


def sentences(data: xr.Dataset, verdicts: list[Verdict]) -> dict[str, str]:
    """What became of each claim, in words."""
    told = numbers(data)
    by_claim = {verdict.claim: {finding.part: finding for finding in verdict.findings} for verdict in verdicts}
    said = {}
    for rule, bound in zip(RULES, (5, 10, 15), strict=True):
        parts = by_claim[f"first-fifth-foretells-{rule.lower()}"]
        each = [
            _bounded(name, float(told[f"{name}-{rule.lower()}"]), bound, parts[f"{name}s"].outcome)
            for name in ("norm", "angle")
        ]
        said[rule.lower()] = f"{' and '.join(each)}"
    gains = by_claim["drift-beats-a-constant-source"]
    words = {PASSES: "is better", OPPOSITE: "is worse", NEGLIGIBLE: "makes no difference that matters"}
    adamw, sgd = (words.get(gains[rule].outcome, "cannot be told from a constant one yet") for rule in ("AdamW", "SGD"))
    said["drift"] = (
        f"a source that drifts {adamw} under both"
        if adamw == sgd
        else (f"a source that drifts {adamw} under AdamW and {sgd} under SGD")
    )
    said["muon-drift"] = {
        PASSES: "not worse by as much as a point",
        OPPOSITE: "worse by more than a point",
        OPEN: "not shown to be no worse",
    }[gains["Muon, no worse"].outcome]
    covered = by_claim["forecast-intervals-cover"]
    holds = [name for name in covered if covered[name].outcome == PASSES]
    said["coverage"] = (
        "Between 80 and 97 % was asked for, and is shown for all three"
        if len(holds) == len(covered)
        else f"Between 80 and 97 % was asked for, and is shown for {' and '.join(holds)} alone"
        if holds
        else "Between 80 and 97 % was asked for, which these seeds do not show"
    )
    return said


def _bounded(name: str, value: float, bound: int, outcome: str) -> str:
    """How an error stands to what was asked for."""
    if outcome == PASSES:
        return f"{name}s within {value:.1f} % ({bound} % were asked for)"
    if value > bound:
        return f"{name}s within {value:.1f} %, missing the {bound} % that were asked for by {value - bound:.1f} points"
    return f"{name}s within {value:.1f} %, below the {bound} % that were asked for by less than the seeds can show"
