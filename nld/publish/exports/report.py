"""One self-contained page about a monitor's record: findings in words, tables and pictures."""

import base64
import json
import os
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from nld.figures._render.monitor_report import pictures
from nld.monitor.audit import faults
from nld.monitor.block_findings import power, relative_step
from nld.monitor.diagnosis import (
    equilibrium_step,
    findings,
    ratio_to_equilibrium,
    steps_to_equilibrium,
)
from nld.monitor.finding import recent, tolerance
from nld.publish.rendering import render
from nld.results import store

# As in nld.monitor.diagnosis.equilibrium_step.
EQUILIBRIUM = {
    "heavy_ball": "√(2ηck/(1+β)), where c is what the momentum takes of a gradient,",
    "nesterov": "√(2ηck(1+2β−2β³)/(1+β)), where c is what the momentum takes of a gradient,",
    "decoupled": "√(2ηk(1−β)/(1+β))",
}
SYMMETRIES = (
    *("symmetry", "kind", "units", "parameters", "worst relative residual", "balanced"),
    *("power", "|q|²", "η/|q|²", "|Δq|/|q|"),
)
LAYERS = ("layer", "|q|²", "η/|q|²", "angle a step", "at equilibrium", "ratio", "χ", "steps to equilibrium")
MOST = 40  # findings that the page lists


def report(record: xr.Dataset, path: str | os.PathLike) -> Path:
    """Write a record's report as one HTML file that needs nothing else, not even a network.

    Raises:
        ValueError: the record has no steps, or lacks something that a monitor writes.
    """
    noticed = findings(record)
    count = sum(not finding.good for finding in noticed)
    steps = record.step.values
    page = render(
        "report.html",
        title=f"{record.attrs['model']} under {record.attrs['optimizer']}",
        first_step=f"{steps[0]:,}",
        last_step=f"{steps[-1]:,}",
        steps=f"{len(steps):,}",
        attention=f"{count} finding{'s' if count != 1 else ''} to look at" if count else "nothing to look at",
        findings=noticed,
        most=MOST,
        symmetries={"columns": _columns(SYMMETRIES, {2, 4, 6, 7, 8, 9}), "rows": _symmetries(record)},
        layers={"columns": _columns(LAYERS, range(1, len(LAYERS))), "rows": _layers(record)},
        recent_steps=recent(record).sizes["step"],
        turning=[EQUILIBRIUM[form] for form in dict.fromkeys(record.equilibrium.values) if form in EQUILIBRIUM],
        pictures=_pictures(record),
        origin=_origin(record),
    )
    store.write_atomically(Path(path), page)
    return Path(path)


def _columns(headings: Sequence[str], numbers: Container[int]) -> list[dict]:
    return [{"heading": heading, "number": place in numbers} for place, heading in enumerate(headings)]


def _symmetries(record: xr.Dataset) -> list[list]:
    """A row for each block, with the cells that ``SYMMETRIES`` names."""
    if not record.sizes["block"]:
        return []
    worst = record.relative_residual.max(["step", "unit"]).values
    faulty, last = faults(record), recent(record)
    numbers = (
        power(record).values,
        last.squared_norm.median(["step", "unit"]).values,
        last.effective_learning_rate.median(["step", "unit"]).values,
        relative_step(last).median("step").values,
    )
    return [
        [
            name,
            kind.replace("_", " "),
            int(units),
            parameters,
            f"{value:.1e}",
            "yes" if value <= tolerance(record) and name not in faulty else "no",
            *map(_number, more),
        ]
        for name, kind, units, parameters, value, *more in zip(
            *(record[name].values for name in ("block", "kind", "units", "parameters")), worst, *numbers, strict=True
        )
    ]


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if np.isfinite(value) else "–"


def _layers(record: xr.Dataset) -> list[list[str]]:
    """A row for each scale-invariant block, with the cells that ``LAYERS`` names."""
    scale = (record.kind == "scale").values
    if not scale.any():
        return []
    last = recent(record)
    over = ["step", "unit"]
    angle = ((last.angular_step**2).mean(over) ** 0.5).values
    columns = [
        last.squared_norm.median(over).values,
        last.effective_learning_rate.median(over).values,
        angle,
        equilibrium_step(last).mean("step").values,
        (ratio_to_equilibrium(record) ** 0.5).values,
        last.gradient_autocorrelation.median(over).values,
    ]
    ahead = steps_to_equilibrium(record).values
    return [
        [str(name), *(_number(column[i]) for column in columns), f"{ahead[i]:,.0f}" if np.isfinite(ahead[i]) else "–"]
        for i, name in enumerate(record.block.values)
        if scale[i]
    ]


def _pictures(record: xr.Dataset) -> list[dict[str, str]]:
    """The pictures as addresses that hold their own data, for light and dark pages, with their captions."""

    def address(svg: str) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

    drawn = pictures(record).values() if record.sizes["block"] else ()
    return [{"light": address(light), "dark": address(dark), "caption": caption} for light, dark, caption in drawn]


def _origin(record: xr.Dataset) -> list[tuple[str, object]]:
    """What the record says of the run, a name and a value each."""
    rows = []
    for name, value in record.attrs.items():
        if name == "hyperparameters":
            for i, group in enumerate(json.loads(value)):
                group.pop("param_names", None)  # one for each parameter
                shown = ((key, item) for key, item in group.items() if item is not None and item is not False)
                text = ", ".join(f"{key} {item}" for key, item in shown)
                rows.append((f"parameter group {i}", text))
        elif name != "equilibrium":
            rows.append((name.replace("_", " "), value))
    return rows
