"""What a record says of every block, whatever its symmetry: decay, length of steps, balance, gradients, power."""

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr

from nld.monitor.finding import Finding, count, followed, listed, recent, tolerance

NOTHING = 0.05  # a decay that takes less than this share of a weight in the whole run does nothing
EVERYTHING = 0.9  # from this share of a step on, decay is all that moves a weight
LONG = 0.1  # steps of more than this share of a block's norm replace it within ten steps
SPREAD = 10.0  # from this ratio on, blocks are said to learn at different speeds
LOPSIDED = 0.5  # an imbalance above this share of |q|²: one side has three times the other's
GROWTH = 2.0  # from this factor on, the growth of a gradient is worth a sentence


def of_blocks(record: xr.Dataset) -> Iterator[Finding]:
    """Findings about blocks of every kind, from the record alone."""
    trained = record.isel(block=followed(record))
    if trained.sizes["block"]:
        for of_subject in (_decay, _steps, _second_moment, _balance, _dead, _gradients, _power):
            yield from of_subject(trained)


def _names(blocks: xr.DataArray, chosen: np.ndarray) -> str:
    """The chosen blocks, at most three of them by name."""
    return listed([str(name) for name in blocks.block.values[chosen]])


def length(record: xr.Dataset) -> int:
    """Steps from the first that was recorded to the last."""
    return int(np.ptp(record.step.values)) + 1


def decay_rate(record: xr.Dataset) -> xr.DataArray:
    """The share of a weight that its decay takes in a step, (step, block).

    Decoupled: η k. Inside the gradient of SGD: η c k/(1 - β) in the mean. NaN for others, whose metric scales it.
    """
    decoupled = record.learning_rate * record.weight_decay
    inside = decoupled * record.coefficient / (1 - record.momentum)
    rate = xr.where(record.equilibrium == "decoupled", decoupled, inside)
    return rate.where(record.equilibrium.isin(["decoupled", "heavy_ball", "nesterov"]))


def _decay(record: xr.Dataset) -> Iterator[Finding]:
    """Weights whose decay does nothing in a run of this length, and those which nothing else moves."""
    rate, steps = decay_rate(record), length(record)
    taken = (rate.mean("step") * steps).values  # in the whole run, to first order
    nothing = (taken > 0) & (taken < NOTHING)
    if nothing.any():
        share = float(np.median(taken[nothing]))
        text = f"Weight decay takes {share:.1%} of a weight in these {steps:,} steps and does nothing yet, in "
        text += f"{nothing.sum()} of {len(taken)} blocks ({_names(rate, nothing)}). If the run ends about here, do not "
        text += f"tune it: 0 does the same. It is felt in a run {1 / share:.0f} times as long."
        yield Finding("decay", "", False, text)
    last = recent(record)
    step = np.sqrt(last.squared_step.sum("unit") / last.squared_norm.sum("unit"))
    share = (recent(rate) / step).where(step > 0).median("step")
    everything = (share > EVERYTHING).values
    if everything.any():
        text = f"Nothing but weight decay moves {_names(share, everything)}: the gradient adds less than "
        text += f"{1 - EVERYTHING:.0%} of a step, so the weights go to zero. Take them out of the decay, or see why "
        text += "their gradient has vanished."
        yield Finding("decay", "", False, text)


def relative_step(record: xr.Dataset) -> xr.DataArray:
    """Length of a step over the length of the weights, |Δq|/|q|, of all units together, (step, block)."""
    norm = record.squared_norm.sum("unit")
    return np.sqrt(record.squared_step.sum("unit") / norm.where(norm > 0))


def _steps(record: xr.Dataset) -> Iterator[Finding]:
    """How far a step moves each block, and by how much that differs between blocks."""
    linear = record.isel(block=(record.kind != "translation").values)  # a translation's |q| is no scale of its own
    share = recent(relative_step(linear)).median("step")
    share = share[(share > 0).values]
    if not share.sizes["block"]:
        return
    fast, slow = int(share.values.argmax()), int(share.values.argmin())
    name, most = str(share.block.values[fast]), float(share[fast])
    if most > LONG:
        text = f"{name}: a step moves it by {most:.0%} of its norm, so it is replaced within {count(1 / most)} steps "
        text += (
            f"and averages little. Lower its learning rate, {most / 0.01:.2g}-fold for steps of 1%, or raise its norm."
        )
        yield Finding("rate", name, False, text)
    elif most / float(share[slow]) > SPREAD:
        text = f"Blocks learn at different speeds: a step moves {name} by {most:.1%} of its norm and "
        text += f"{share.block.values[slow]} by {float(share[slow]):.2g}. A learning rate of its own for one of them "
        text += "(a parameter group) brings them together."
        yield Finding("rate", "", False, text)
    else:
        text = f"A step moves blocks by {float(share.min()):.2g} to {most:.2g} of their norm."
        yield Finding("rate", "", True, text)


def _second_moment(record: xr.Dataset) -> Iterator[Finding]:
    """Denominators of an Adam that still remember gradients much larger than today's."""
    groups = json.loads(record.attrs["hyperparameters"])
    betas = {float(group["betas"][1]) for group in groups if len(group.get("betas") or ()) == 2}
    if not betas or "Adam" not in record.attrs["optimizer"]:
        return
    memory, steps = 1 / (1 - max(betas)), length(record)
    size = np.sqrt(record.squared_gradient.sum(["block", "unit"]))
    fallen = float(np.sqrt((size**2).mean("step")) / recent(size).mean("step"))
    if memory > steps / 3 and fallen > GROWTH:
        text = f"β₂ = {max(betas):g} remembers {memory:,.0f} steps, and this run has {steps:,}: its denominators hold "
        # No other value is advised: where one was tried it changed the final loss by less than seeds do.
        text += f"gradients {fallen:.1f} times those of today, from its beginning, and its steps are as much shorter."
        yield Finding("gradient", "", False, text)


def imbalance(record: xr.Dataset) -> xr.DataArray:
    """|⟨q, A(q)⟩|/|q|²: 0 if both sides of a unit have the same size, 1 if one is zero, (step, block, unit).

    Of a matrix block ‖Q Qᵀ - K Kᵀ‖/(|Q|² + |K|²), which vanishes only if the sides agree in every direction.
    """
    return abs(record.imbalance) / record.squared_norm.where(record.squared_norm > 0)


def _balance(record: xr.Dataset) -> Iterator[Finding]:
    """Heads of attention whose query and key, or value and output, have drifted apart."""
    heads = (record.kind == "general_linear").values
    if "imbalance" not in record or not heads.any():
        return
    share = imbalance(record.isel(block=heads))
    first, last = share.isel(step=slice(0, 1)).mean("step"), recent(share).mean("step")
    block, unit = np.unravel_index(int(np.nan_to_num(last.values, nan=-1.0).argmax()), last.shape)
    name, now = str(last.block.values[block]), float(last[block, unit])
    before, steps = float(first[block, unit]), length(record)
    where = f"head {unit} of {name}" if int(record.units.sel(block=name)) > 1 and last.sizes["unit"] > 1 else name
    text = f"The two sides of {where} differ most: by {now:.0%} of |q|², {before:.0%} at the beginning, "
    text += f"{(now - before) / steps:+.1e} a step."
    good = not (now > LOPSIDED and now > before + 0.1)
    if not good:
        text += " Only their product matters: the heavier side learns it slower, the lighter faster. The same weight "
        text += "decay and learning rate on both sides bring them together."
    yield Finding("balance", name, good, text)


def _dead(record: xr.Dataset) -> Iterator[Finding]:
    """Units that have no gradient any more."""
    if record.sizes["unit"] == 1 and int(record.units.max()) > 1:
        return  # means over units
    gradient = record.squared_gradient
    there = record.unit < record.units
    half = recent(gradient, 0.5)
    still = (half == 0).all("step") & there
    ever = (gradient > 0).any("step") & there
    for name in record.block.values[(still.any("unit") & ever.any("unit")).values]:
        dead, units = int(still.sel(block=name).sum()), int(record.units.sel(block=name))
        text = f"{name}: {dead} of {units} units have no gradient in the last {half.sizes['step']} steps "
        text += f"recorded, {int((still & ever).sel(block=name).sum())} of which had one before: they are dead, or "
        text += (
            "of an embedding whose tokens did not occur. Lower the learning rate or warm it up, or use an activation "
        )
        text += "that is zero nowhere."
        yield Finding("gradient", str(name), False, text)


def _gradients(record: xr.Dataset) -> Iterator[Finding]:
    """A gradient that grows, split into 1/|w|, which a normalization makes, and the rest."""
    scale = record.isel(block=(record.kind == "scale").values)
    if scale.sizes["step"] < 20:
        return
    tenth = max(scale.sizes["step"] // 10, 1)
    early, late = scale.isel(step=slice(0, tenth)), scale.isel(step=slice(-tenth, None))
    growth = _ratio(late.squared_gradient, early.squared_gradient) ** 0.5
    shrinking = _ratio(early.squared_norm, late.squared_norm) ** 0.5
    for number in np.flatnonzero((growth.values > GROWTH) & np.isfinite(growth.values)):
        name, whole, short = str(scale.block.values[number]), float(growth[number]), float(shrinking[number])
        text = f"{name}: its gradient grew {whole:.2g}-fold since the beginning: {short:.2g}-fold because the weights "
        text += f"shrank, {whole / short:.2g}-fold by itself. "
        mostly = short > whole / short
        if mostly:
            text += "That is weight decay, not divergence; a smaller one, or nld.correct_decay, ends it."
        else:
            text += "That is the loss: a smaller learning rate, or clipping, ends it."
        yield Finding("gradient", name, mostly, text)


def _ratio(above: xr.DataArray, below: xr.DataArray) -> xr.DataArray:
    """Of the means over steps and units, (block,)."""
    return above.mean(["step", "unit"]) / below.mean(["step", "unit"])


def power(record: xr.Dataset) -> xr.DataArray:
    """The smallest violation |⟨g, A⟩|/(|g||A|) that a block's books would reveal, (block,).

    A violation v leaves the relative residual v c|g|/|π|, and χ = (1 - β²)|π|²/(c²|g|²) is recorded: the residual
    passes the tolerance where v = tolerance √(χ/(1 - β²)).
    """
    memory = np.sqrt(record.gradient_autocorrelation / (1 - record.momentum**2))
    return tolerance(record) * memory.where(memory > 0).median(["step", "unit"])


def _power(record: xr.Dataset) -> Iterator[Finding]:
    smallest = power(record).dropna("block")
    if smallest.sizes["block"]:
        worst = str(smallest.block.values[int(smallest.values.argmax())])
        text = f"The books would reveal a violation of {float(smallest.max()):.1e} of |g||A| or more in every block"
        text += f" (least of all in {worst})." if smallest.sizes["block"] > 1 else "."
        yield Finding("power", "", True, text)
