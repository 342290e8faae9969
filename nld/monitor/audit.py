"""Whether a record can be what a monitor wrote: all is a number, and the books add up.

The law of charge_balance leaves two ways to the prediction of a charge from what is written down, one over the step
before and one over the step itself, with dissipation = (β - 1) last:

    charge - residual = last + dissipation + kinetic symmetry breaking + weight decay term
                      = -β/(1 - β) dissipation + kinetic symmetry breaking + weight decay term

The first fails where the momentum was replaced between two steps, the second where parameters had no gradient; only
where both fail is a step called out. Of matrices of charges the norms are known: as the vectors add up to zero, none
may be longer than the others together. Of a record that keeps few digits the sums are as good as these.
"""

import numpy as np
import xarray as xr

from nld.monitor.quantities import BALANCE
from nld.monitor.significant_digits import unit_roundoff

_RESIDUALS = ("residual", "relative_residual")
_MARGIN = 1000.0  # roundings of the largest term that a step's sum may be off by


def faults(record: xr.Dataset) -> dict[str, str]:
    """For each block whose books no monitor can have written, a sentence that says why: block -> sentence."""
    sentences = {}
    for number, name in enumerate(record.block.values):
        row = record.isel(block=number)
        fault = _not_numbers(row) or _sums(row)
        if fault:
            sentences[str(name)] = f"{name}: these books do not add up: {fault}."
    return sentences


def _not_numbers(row: xr.Dataset) -> str:
    """Terms that are no numbers, though weights and gradient are; once weights are lost, so are the terms."""
    whole = row.squared_norm.notnull() & np.isfinite(row.squared_norm) & np.isfinite(row.squared_gradient)
    for name in (*BALANCE, "relative_residual"):
        bad = (~np.isfinite(row[name]) & whole).any("unit")
        if bool(bad.any()):
            return f"{name} is not a number at step {int(row.step[bad][0]):,}, where weights and gradient are"
    return ""


def _sums(row: xr.Dataset) -> str:
    steps = row.step.values
    if len(steps) < 2:
        return ""
    terms = {name: row[name].transpose("step", "unit").values.astype(float) for name in BALANCE}
    matrix = int(row.matrix_size) > 1
    charge, last = terms["charge"][1:], terms["charge"][:-1]
    dissipation, breaking, decay, residual = (terms[name][1:] for name in BALANCE[1:])
    beta = row.momentum.values[1:, None].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        remaining = np.where(beta > 0, beta / (1 - beta), 0.0) * dissipation
    sizes = [abs(value) for value in (charge, last, dissipation, remaining, breaking, decay, residual)]
    if matrix:
        between = _excess(charge, breaking, decay, residual, last, dissipation)
        within = _excess(charge, breaking, decay, residual, remaining)
    else:
        rest = charge - breaking - decay - residual
        between, within = abs(rest - last - dissipation), abs(rest + remaining)
    size = np.maximum(np.nanmax(np.sum(sizes, 0), axis=0, initial=0.0), _natural_size(row))
    names = ("charge", "charge", "dissipation", "dissipation", *BALANCE[2:])
    written = np.sum([unit_roundoff(row[name]) * value for name, value in zip(names, sizes, strict=True)], 0)
    allowed = _MARGIN * np.finfo(row.charge.dtype).eps * size + written
    follows = (np.diff(steps) == 1)[:, None]
    wrong = (follows & (between > allowed) & ((within > allowed) | ~np.isfinite(within))).any(1)
    if not wrong.any():
        return ""
    first = int(np.argmax(wrong))
    where = f"at step {steps[1 + first]:,}" + (f" and {wrong.sum() - 1:,} others" if wrong.sum() > 1 else "")
    return (
        f"{where} the residual is not what charge and terms give; the record was changed after it was written, or the "
        "momentum was replaced at a step that left out parameters"
    )


def _natural_size(row: xr.Dataset) -> np.ndarray:
    """|π| |A(q)| of each unit, in which a charge is rounded even where it vanishes: the median step's, (units,)."""
    residual, relative = (abs(row[n].transpose("step", "unit").values.astype(float)) for n in _RESIDUALS)
    known = np.where(relative > 0, residual, np.nan) / np.where(relative > 0, relative, np.nan)
    return np.array([np.median(unit[np.isfinite(unit)]) if np.isfinite(unit).any() else 0.0 for unit in known.T])


def _excess(*norms: np.ndarray) -> np.ndarray:
    """By how much the longest of some vectors is longer than the others together."""
    sizes = np.abs(norms)
    return 2 * sizes.max(0) - sizes.sum(0)
