"""Words about the sweeps of fig-experiments, whatever their scale: panels, accuracies, and sentences that compare."""

import numpy as np
import xarray as xr

from nld.figures._data.experiment_table import CHANCE, PANELS, advantage, decisive, results, selected
from nld.figures._render.text import at_most, number
from nld.inference import Verdict
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES


def sentences(data: xr.Dataset, verdicts: list[Verdict]) -> dict[str, str]:
    """Sentences of the chapter that compare, each chosen by the data; empty ones where they hold no quick runs."""
    names = ("largest-momentum", "decay-control", "half-way", "tuned-held")
    if "judged_accuracy" not in data:
        return dict.fromkeys(names, "")
    found = {finding.part: finding for verdict in verdicts for finding in verdict.findings}
    *_, last = (part for part in found if part.startswith("from "))
    step = {
        PASSES: "it does.", OPPOSITE: "it falls instead.", NEGLIGIBLE: "it hardly changes.",
        OPEN: "these seeds cannot tell.",
    }[found[last].outcome]  # fmt: skip
    control = {
        PASSES: "It does.", OPPOSITE: "It gains less: at this scale the freedom of the norm does not explain the "
        "gain.", NEGLIGIBLE: "The two gain alike.", OPEN: "These seeds cannot tell.",
    }[found["more than with held norms"].outcome]  # fmt: skip
    loss = results(data, "C", "test_loss", "quick", point=None).sel(constrained=1, value=selected(data, "quick")["C"])
    middle = float(loss.isel(point=loss.sizes["point"] // 2).mean("seed"))
    guess = float(-np.log(CHANCE["digits"]))
    where = "near that of guessing" if middle > 0.9 * guess else "below that of guessing"
    rates = results(data, "A", "test_accuracy", "quick").mean("seed").max("value")
    free, held = (100 * float(rates.sel(constrained=mode)) for mode in (0, 1))
    peak = "no less accurate than" if held >= free else f"within {at_most(free - held)} points of"
    return dict(zip(names, (
        f"from {last.removeprefix('from ')} {step}",
        control,
        f"Half-way through panel C-2, before the schedule lowers the rate, the held run with decay has a test loss of "
        f"{middle:.2g} ℓ, {where}, {guess:.1f} ℓ.",
        f"the held run of panel A is {peak} the best free one.",
    ), strict=True))  # fmt: skip


def panels(data: xr.Dataset, scale: str) -> str:
    """What the panels of one scale show, for a caption."""
    a, b, c = (decisive(data, panel, scale) for panel in PANELS)
    gained = {panel: 100 * advantage(data, panel, "test_accuracy", scale).mean("seed") for panel in ("A", "B")}
    first = {panel: (number(lead[0], ".1f"), f"{float(lead['value'][0]):g}") for panel, lead in gained.items()}
    then = {panel: number(gained[panel].sel(value=value), ".1f") for panel, value in (("A", a), ("B", b))}
    free = results(data, "C", "test_accuracy", scale).sel(constrained=0).mean("seed")
    count = results(data, "A", "test_loss", scale).sizes["seed"]
    return (
        f"**A:** constant learning rates; the free run is {first['A'][0]} percentage points more accurate at "
        f"$\\eta = {first['A'][1]}$ and {then['A']} at $\\eta = {a:g}$. **B:** momentum under a step decay; "
        f"{first['B'][0]} points at $\\beta = {first['B'][1]}$ and {then['B']} at $\\beta = {b:g}$. **C:** weight "
        "decay; the free run's accuracy goes from "
        f"{100 * float(free.isel(value=0)):.1f} % without to {100 * float(free.sel(value=c)):.1f} % at $k = {c:g}$. "
        f"Bands are the range over {count} seeds; a cross is a diverged run."
    )


def accuracies(data: xr.Dataset, scale: str) -> str:
    """Mean final accuracies of one scale in words."""
    parts = []
    for panel, (_, _, _, words) in PANELS.items():
        ends = results(data, panel, "test_accuracy", scale).mean("seed")
        ranges = [f"{100 * float(ends.sel(constrained=m, value=v)):.2g}" for v in ends["value"].values for m in (0, 1)]
        pairs = ", ".join(f"{one} and {two}" for one, two in zip(ranges[::2], ranges[1::2], strict=True))
        parts.append(f"{panel}, over {words}, unconstrained and constrained accuracy in percent: {pairs}.")
    return " ".join(parts)
