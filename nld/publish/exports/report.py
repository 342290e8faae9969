"""One self-contained page about a monitor's record: findings in words, tables and pictures."""

import base64
import html
import json
import os
from pathlib import Path

import numpy as np
import xarray as xr

from nld.figures._render.monitor_report import pictures
from nld.monitor.audit import faults
from nld.monitor.diagnosis import (
    Finding,
    equilibrium_step,
    findings,
    ratio_to_equilibrium,
    recent,
    steps_to_equilibrium,
    tolerance,
)

# As in nld.monitor.diagnosis.equilibrium_step.
EQUILIBRIUM = {
    "heavy_ball": "√(2ηck/(1+β)), where c is what the momentum takes of a gradient,",
    "nesterov": "√(2ηck(1+2β−2β³)/(1+β)), where c is what the momentum takes of a gradient,",
    "decoupled": "√(2ηk(1−β)/(1+β))",
}
_STYLE = """
:root { color-scheme: light dark; --text: #222; --soft: #666; --line: #ddd; --page: #fff;
        --warn: #b45309; --good: #15803d }
@media (prefers-color-scheme: dark) {
  :root { --text: #d8d8d8; --soft: #999; --line: #444; --page: #161618; --warn: #f0a550; --good: #6cc58a } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 52rem;
       margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.soft, figcaption { color: var(--soft); font-size: .88rem }
ul.findings { list-style: none; padding: 0 } ul.findings li { padding: .25rem 0 .25rem 1.6rem; position: relative }
ul.findings li::before { position: absolute; left: 0; font-weight: bold }
li.good::before { content: "\\2713"; color: var(--good) }
li.warn::before { content: "!"; color: var(--warn); left: .3rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .86rem; width: 100% }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
figure { margin: 1.2rem 0 } figure img { width: 100%; height: auto }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .86rem }
dd { margin: 0; overflow-wrap: anywhere }
"""


def report(record: xr.Dataset, path: str | os.PathLike) -> Path:
    """Write a record's report as one HTML file that needs nothing else, not even a network.

    Raises:
        ValueError: the record has no steps, or lacks something that a monitor writes.
    """
    found = findings(record)
    parts = [_head(record, found), _findings(found)]
    if record.sizes["block"]:
        parts += [_symmetries(record), _layers(record)]
        parts += [_figure(*picture) for picture in pictures(record).values()]
    parts.append(_provenance(record))
    title = html.escape(f"{record.attrs['model']} under {record.attrs['optimizer']}")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


def _head(record: xr.Dataset, found: list[Finding]) -> str:
    steps = record.step.values
    count = sum(not finding.good for finding in found)
    attention = f"{count} finding{'s' if count != 1 else ''} to look at" if count else "nothing to look at"
    return (
        f"<h1>{html.escape(record.attrs['model'])} under {html.escape(record.attrs['optimizer'])}</h1>"
        f'<p class="soft">Steps {steps[0]:,} to {steps[-1]:,}, {len(steps):,} recorded; '
        f"{record.sizes['block']} symmetries; {attention}.</p>"
    )


def _findings(found: list[Finding], most: int = 40) -> str:
    rows = [f'<li class="{"good" if f.good else "warn"}">{html.escape(f.text)}</li>' for f in found[:most]]
    if len(found) > most:
        rows.append(f'<li class="good">… and {len(found) - most} more: nld.monitor.findings(record).</li>')
    return f'<h2>Findings</h2><ul class="findings">{"".join(rows)}</ul>'


def _table(head: list[str], rows: list[list], numbers: set[int]) -> str:
    def cells(values, tag):
        kinds = [' class="number"' if i in numbers else "" for i in range(len(values))]
        return "".join(f"<{tag}{k}>{html.escape(str(v))}</{tag}>" for k, v in zip(kinds, values, strict=True))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _symmetries(record: xr.Dataset) -> str:
    worst = record.relative_residual.max(["step", "unit"]).values
    faulty = faults(record)
    rows = [
        [
            name,
            kind.replace("_", " "),
            int(units),
            parameters,
            f"{value:.1e}",
            "yes" if value <= tolerance(record) and name not in faulty else "no",
        ]
        for name, kind, units, parameters, value in zip(
            record.block.values, record.kind.values, record.units.values, record.parameters.values, worst, strict=True
        )
    ]
    head = ["symmetry", "kind", "units", "parameters", "worst relative residual", "balanced"]
    return f"<h2>Symmetries and their books</h2>{_table(head, rows, {2, 4})}"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if np.isfinite(value) else "–"


def _layers(record: xr.Dataset) -> str:
    scale = (record.kind == "scale").values
    if not scale.any():
        return ""
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
    rows = [
        [str(name), *(_number(column[i]) for column in columns), f"{ahead[i]:,.0f}" if np.isfinite(ahead[i]) else "–"]
        for i, name in enumerate(record.block.values)
        if scale[i]
    ]
    head = ["layer", "|q|²", "η/|q|²", "angle a step", "at equilibrium", "ratio", "χ", "steps to equilibrium"]
    return (
        "<h2>Norms, rates and angles of scale-invariant layers</h2>"
        f'<p class="soft">Over the last {last.sizes["step"]} recorded steps. {_turning(record)} χ is 1 for '
        f"uncorrelated gradients and (1+β)/(1−β) for constant ones.</p>{_table(head, rows, set(range(1, 8)))}"
    )


def _turning(record: xr.Dataset) -> str:
    """The closed form of the angular step at equilibrium for each kind of decay in the record."""
    forms = [EQUILIBRIUM[form] for form in dict.fromkeys(record.equilibrium.values) if form in EQUILIBRIUM]
    return f"At equilibrium a layer turns by {' or '.join(forms)} a step." if forms else ""


def _figure(light: str, dark: str, caption: str) -> str:
    def address(svg):
        return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

    return (
        f'<figure><picture><source srcset="{address(dark)}" media="(prefers-color-scheme: dark)">'
        f'<img src="{address(light)}" alt="{html.escape(caption)}"></picture>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _provenance(record: xr.Dataset) -> str:
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
    items = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in rows)
    return f"<h2>Where this comes from</h2><dl>{items}</dl>"
