"""What a record says, in plain words: are the books balanced, what breaks them, how far is equilibrium."""

import json

import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.monitor.audit import faults
from nld.monitor.block_findings import of_blocks
from nld.monitor.finding import TOLERANCE as TOLERANCE
from nld.monitor.finding import Finding, count, followed, listed, precisions, recent, together, tolerance
from nld.monitor.monitor_record import require
from nld.monitor.turn_findings import of_turn
from nld.monitor.velocity import follows_momentum, metric_drift, moved_share

EUCLIDEAN = ("SGD", "ASGD")  # optimizers whose step is along their momentum
# Relative spacing of numbers, by precision.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
STILL = 0.5  # above this share of entries that a step does not move, steps are said to be rounded away
EPSILON_MARGIN = 100  # a normalization's epsilon may break a symmetry so many times as much as where it was looked at
NEAR = 0.1  # within this relative distance of its equilibrium a squared norm counts as there


def equilibrium_step(record: xr.Dataset) -> xr.DataArray:
    """Angular step of a scale-invariant block whose norm no longer changes, in radians, (step, block).

    Heavy ball: θ² = 2 η c k / (1 + β), without approximation. Nesterov: that times 1 + 2β - 2β³, if
    gradients are uncorrelated. Decoupled decay (AdamW): 2 η k (1 - β) / (1 + β), if the metric changes
    slowly. NaN where none of these applies, or without weight decay.
    Reference: stationary |q|² in the exact law of nld.monitor.charge_balance.
    """
    rate, decay, c, k = (record[name] for name in ("learning_rate", "momentum", "coefficient", "weight_decay"))
    heavy = 2 * rate * c * k / (1 + decay)
    nesterov = heavy * (1 + 2 * decay - 2 * decay**3)
    decoupled = 2 * rate * k * (1 - decay) / (1 + decay)
    squared = xr.full_like(heavy, np.nan)
    for form, value in {"heavy_ball": heavy, "nesterov": nesterov, "decoupled": decoupled}.items():
        squared = xr.where(record.equilibrium == form, value, squared)
    known = (squared > 0) & (record.kind == "scale")
    return (squared.where(known) ** 0.5).transpose("step", "block")


def ratio_to_equilibrium(record: xr.Dataset) -> xr.DataArray:
    """Mean squared angular step over its equilibrium value, in the last part of a record, (block,)."""
    last = recent(record)
    return (last.angular_step**2).mean(["step", "unit"]) / (equilibrium_step(last) ** 2).mean("step")


def steps_to_equilibrium(record: xr.Dataset) -> xr.DataArray:
    """Steps until squared norms are within 10 % of equilibrium, (block,), if nothing else changes.

    With x the ratio of squared angular steps: coupled decay relaxes r⁴ at the rate 4 η c k / (1 - β)
    a step towards x r⁴, decoupled decay r² at the rate 2 η k towards x r² (the length of AdamW's step
    does not depend on r). 0 where it is reached, NaN where no equilibrium is known.
    """
    last = recent(record).mean("step")
    x = ratio_to_equilibrium(record)
    decoupled = record.equilibrium == "decoupled"
    rate = xr.where(
        decoupled,
        2 * last.learning_rate * last.weight_decay,
        4 * last.learning_rate * last.coefficient * last.weight_decay / (1 - last.momentum),
    )
    near = xr.where(decoupled, NEAR, 2 * NEAR)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.log(abs(1 / x - 1) / near) / rate).clip(min=0.0)


def findings(record: xr.Dataset) -> list[Finding]:
    """Everything worth a sentence in a record, most urgent first.

    Raises:
        ValueError: the record has no steps, or lacks something that a monitor writes.
    """
    require(record)
    if record.sizes["step"] == 0:
        raise InvalidInput("expected a record of at least one step, got none; train with the monitor attached")
    if record.sizes["block"] == 0:
        return [Finding("books", "", True, "No symmetry was given to the monitor: there are no books to keep.")]
    subjects = (_weights, _rounded_away, _books, _metric, _equilibria, _rates, of_turn, of_blocks)
    found = [finding for of_subject in subjects for finding in of_subject(record)]
    return sorted(found, key=lambda finding: finding.good)


def _weights(record: xr.Dataset):
    """Weights that are no numbers any more: what is said of the rest is about the steps before."""
    there = record.unit < (record.units if record.sizes["unit"] > 1 else 1)
    lost = (~np.isfinite(record.squared_norm) & there).any("unit")
    if bool(lost.any()):
        first = int(record.step[lost.any("block")][0])
        names = ", ".join(str(name) for name in record.block[lost.sel(step=first)].values)
        text = f"From step {first:,} on there are weights that are not finite ({names}): the run diverged."
        yield Finding("weights", "", False, text)


def _rounded_away(record: xr.Dataset):
    """Steps too short for the precision of the weights; see nld.monitor.precision.Unmoved."""
    shares = json.loads(record.attrs.get("unmoved", "{}"))
    still = sorted((name for name in shares if shares[name] > STILL), key=lambda name: -shares[name])
    if still:
        worst, count = still[0], f"{len(still)} of {len(shares)} tensors in half precision"
        text = (
            f"Rounding eats the steps of {count}: of the entries of {worst} that have a gradient, {shares[worst]:.0%} "
        )
        text += "stay where they are in a step, for it is less than half the spacing of numbers there. Keep a float32 "
        text += "copy of the weights that the optimizer steps (autocast does), or round stochastically."
        yield Finding("weights", "", False, text)


def _rounding(record: xr.Dataset, name: str) -> float | None:
    """Where all that unbalances a block is rounding: its gradient there over the record's largest one; else None.

    Autograd rounds at the size of what it adds up. Where that cancels, as behind a loss that is nearly constant, the
    little that is left of a gradient respects no symmetry, while residuals are relative to that little.
    """
    epsilon = max(EPSILON.get(kind, EPSILON["float32"]) for kind in precisions(record))
    size = np.sqrt(record.squared_gradient)
    share = size.sel(block=name) / size.max()
    residual = record.relative_residual.sel(block=name)
    beyond = residual > tolerance(record)
    explained = share * residual <= 10 * epsilon
    return float(share.where(beyond).max()) if bool((explained | ~beyond).all()) else None


def _broken_by_epsilon(record: xr.Dataset) -> set[str]:
    """Blocks that only a normalization's epsilon unbalances: the search saw it do so, and all other books balance."""
    parts = json.loads(record.attrs.get("broken_by_epsilon", "{}"))
    residual = record.relative_residual.max(["step", "unit"])
    violation = abs(record.violation).max(["step", "unit"])
    names = [str(name) for name in record.block.values]
    part = np.array([parts.get(name, 0.0) for name in names])
    beyond = ~(residual <= tolerance(record)).values & (record.note == "").values
    explained = (residual <= EPSILON_MARGIN * part).values
    explained &= (violation >= 0.1 * residual).values
    others = [
        _rounding(record, name) is not None for name, open_ in zip(names, beyond & ~explained, strict=True) if open_
    ]
    return {name for name, one in zip(names, beyond & explained, strict=True) if one} if all(others) else set()


def _books(record: xr.Dataset):
    allowed = tolerance(record)
    worst = record.relative_residual.max(["step", "unit"])
    faulty, by_epsilon = faults(record), _broken_by_epsilon(record)
    yield from (Finding("books", name, False, text) for name, text in faulty.items())
    for name in (name for name in record.block.values if str(name) not in faulty):
        value, note = float(worst.sel(block=name)), str(record.note.sel(block=name).values)
        small = None if value <= allowed or note else _rounding(record, name)
        if small is not None:
            text = f"{name}: its gradient falls to {small:.1e} of the largest one and less: what is left of it there, "
            text += f"and the relative residual of {value:.1e}, are rounding errors."
            yield Finding("books", name, True, text)
        elif str(name) in by_epsilon:
            text = (
                f"{name}: this symmetry holds up to a normalization's epsilon only, and that is what its books show: "
            )
            text += (
                f"{value:.1e} of the gradient's length lies along it. A smaller epsilon or larger weights make that "
            )
            text += "less."
            yield Finding("books", name, True, text)
        elif not value <= allowed:
            text = f"{name}: the books do not balance (relative residual {value:.1e}): {note or _cause(record, name)}."
            yield Finding("books", name, False, text)
        elif note:
            yield Finding("books", name, True, f"{name}: {note}.")
    moved, open_books = followed(record), ~record.block.isin(list(by_epsilon))
    if not moved.any():
        text = "Nothing was followed: no parameter of these blocks had a gradient or moved. Give the monitor the "
        text += "optimizer that trains them, and see that the loss depends on them (requires_grad, no detach)."
        yield Finding("books", "", False, text)
    elif bool((worst[open_books] <= allowed).all()) and open_books.any() and not faulty:
        count, still = int((moved & open_books.values).sum()), int((~moved).sum())
        text = f"All {'other ' if by_epsilon else ''}{count} books balance" if count > 1 else "The books balance"
        text += f" (not counting {still} of blocks that had no gradient and did not move)" if still else ""
        text += f": the relative residual is at most {float(worst[open_books].max()):.1e}"
        yield Finding("books", "", True, text + f" ({', '.join(dict.fromkeys(precisions(record)))}).")


def _cause(record: xr.Dataset, name: str) -> str:
    row = record.sel(block=name)
    if float(row.violation.max()) < 0.1 * float(row.relative_residual.max()):
        return (
            "the gradient respects the symmetry, so the momentum is not what the optimizer's adapter says "
            "(it was changed from outside, or the adapter is wrong)"
        )
    return {
        "scale": "the gradient has a part along the weights; a normalization's epsilon does this, and so does "
        "low precision",
        "rescale": "the gradients of its tensors do not match; clipping single tensors does this, and so do "
        "low precision and the epsilon of a normalization behind it",
        "general_linear": "the gradients of its tensors do not match; clipping single tensors does this, and so does "
        "low precision",
    }.get(
        str(row.kind.values),
        "the gradient has a part along the symmetry; low precision, elementwise clipping, or the padding row of an "
        "embedding (padding_idx) where its token is not masked do this",
    )


def _metric(record: xr.Dataset):
    """Rotations and translations are isometries: only a metric that is not Euclidean moves their charges."""
    optimizer = record.attrs["optimizer"]
    balanced = record.relative_residual.max(["step", "unit"]) <= tolerance(record)
    for name in record.block.values[(record.kind == "rotation").values & balanced.values]:
        row = record.sel(block=name)
        share = float((abs(row.kinetic_symmetry_breaking)).max() / max(float(row.squared_norm.max()), 1e-300))
        charge, residual = float(row.charge.max()), float(abs(row.residual).max())
        if charge > 100 * residual and charge > 0 and share > 0:
            # SGD's metric is Euclidean: what breaks a rotation there is a gradient taken elsewhere than at q.
            cause = "look-ahead" if optimizer == "SGD" else "metric"
            text = f"{optimizer}'s {cause} breaks the rotation; its charge reaches {charge:.1e} instead of 0."
        elif optimizer not in EUCLIDEAN and not float(row.momentum.max()) > 0:
            text = f"{optimizer} keeps no momentum, so its charge is the gradient's and stays 0, whatever the metric "
            text += "does: steps along the symmetry that the metric makes do not show in it."
        else:
            text = f"the rotation charge stays 0 under {optimizer}: nothing in the dynamics breaks this symmetry."
        yield Finding("metric", name, True, f"{name}: {text}")
    share, ratio = metric_drift(record)
    charge_of = "the gradient" if bool((record.momentum == 0).all()) else "its momentum"
    for name in record.block.values[(ratio > 3).values & balanced.values & (optimizer not in EUCLIDEAN)]:
        text = f"{name}: {optimizer}'s metric breaks the conservation of its norm: it moves |q|² by "
        text += f"{float(share.sel(block=name)):.1%} a step, {float(ratio.sel(block=name)):.2g} times what the steps' "
        text += "length and momentum do; under gradient flow |q|² stays as it is. That is the steps' velocity along "
        text += f"the symmetry, which the books, those of {charge_of}, do not show."
        yield Finding("metric", name, True, text)
    moved = moved_share(record).mean("step")
    moved = moved[((moved > 0) & ~follows_momentum(record) & balanced).values]
    if moved.sizes["block"]:
        least, most = float(moved.min()), float(moved.max())
        rule = f"{optimizer} with look-ahead" if optimizer == "SGD" else optimizer
        text = f"Under {rule} steps do not follow the charges of {charge_of}: along the symmetries of "
        text += f"{listed([str(name) for name in moved.block.values])} their velocity moves |q|², or the balance of "
        text += f"its sides, by {f'{least:.1e} to ' if least < most else ''}{most:.1e} of |q|² a step."
        yield Finding("metric", "", True, text)


def _equilibria(record: xr.Dataset):
    yield from together(_equilibrium(record))


def _equilibrium(record: xr.Dataset):
    ratio, ahead = ratio_to_equilibrium(record), steps_to_equilibrium(record)
    last, length = recent(record).mean("step"), int(np.ptp(record.step.values)) + 1
    for name in record.block.values[(record.kind == "scale").values]:
        x, steps = float(ratio.sel(block=name)), float(ahead.sel(block=name))
        if not float(last.angular_step.sel(block=name).max()) > 0:
            continue  # it does not turn: frozen, or out of reach of the loss
        if float(last.weight_decay.sel(block=name)) == 0:
            text = f"{name}: without weight decay its norm has no equilibrium: "
            # Only a Euclidean step without look-ahead cannot shorten what a normalization protects.
            heavy = str(record.equilibrium.sel(block=name).values) == "heavy_ball"
            text += "at this learning rate its effective one only falls." if heavy else "nothing bounds it."
            yield Finding("equilibrium", name, False, text)
        elif not np.isfinite(steps):
            continue
        elif steps == 0:
            text = f"{name} is at its equilibrium: it turns by the predicted angle a step."
            yield Finding("equilibrium", name, True, text)
        else:
            side = "short of" if x < 1 else "beyond"
            text = f"{name} will take {count(steps)} steps to reach equilibrium at this weight decay"
            text += f"; its angular step is {np.sqrt(x):.2g} times the equilibrium value, {side} it."
            if steps > length:
                text += f" That is {steps / length:.2g} times the run so far: two runs of this length that differ in "
                text += "weight decay only train it alike. A larger weight decay shortens it in proportion."
            yield Finding("equilibrium", name, False, text)


def _rates(record: xr.Dataset):
    scale = record.sel(block=(record.kind == "scale").values)
    rate = recent(scale).effective_learning_rate.median(["step", "unit"])
    turns = recent(scale).angular_step.max(["step", "unit"]) > 0
    rate = rate[((rate > 0) & turns).values]  # of layers that are trained
    if rate.sizes["block"] > 1:
        fast, slow = (str(rate.block.values[index]) for index in (rate.values.argmax(), rate.values.argmin()))
        spread = float(rate.max() / rate.min())
        text = f"Effective learning rates differ {spread:.2g}-fold between layers"
        yield Finding("rate", "", spread < 10, f"{text}: {fast} learns fastest, {slow} slowest.")
