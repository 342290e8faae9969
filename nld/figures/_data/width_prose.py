"""Numbers and sentences for the caption, the verdicts and the prose about the figure on widths."""

import numpy as np
import xarray as xr

from nld.experiment.studies.width_transfer import DECAY
from nld.figures._data.width_contrasts import EARLY, LATE, alignment, best_rate, orders, plateau_angle, power
from nld.figures._data.width_courses import STEPS
from nld.figures._render.text import at_most, number, power_above

NAMES = {"coupled": "coupled decay", "independent": "independent decay", "held": "held norms"}


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    turning, moving = power(plateau_angle(data)), power(best_rate(data["judged_loss"]))
    shown = data["judged_angle"].isel(rate=0).mean("judging_seed")
    ratio = shown / data["angle_predicted"]
    gap = abs(ratio - 1).sel(look=slice(64, None))
    best = best_rate(data["judged_loss"]).sel(scheme="coupled decay").median("judging_seed").values[[0, -1]]
    fan_in = data["width"].values[[0, -1]] / data["width"].values[0]
    norm = data["judged_norm"].mean("judging_seed")
    carried = data["judged_multiplier"].mean("judging_seed").sel(multiplied="with").values
    told = {
        "steps": f"{STEPS}",
        "seeds": f"{data.sizes['judging_seed']}",
        "widths": ", ".join(f"{width}" for width in data["width"].values),
        "orders": " and ".join(f"{order:.2f}" for order in orders(data)),
        "sphere-same": power_above(data["sphere_same"].max()),
        "alignment-early": _means(alignment(data, EARLY)),
        "alignment-late": _means(alignment(data, LATE)),
        "norm-predicted": f"{float(data['norm_predicted']):.2f}",
        "norms-with": _range(norm.sel(multiplied="with").values),
        "norms-without": _range(norm.sel(multiplied="without").values),
        "multipliers": _range(carried),
        "errors": errors(data),
        "brief": brief(data),
        "short-early": f"{at_most(100 * (1 - float(ratio.sel(look=slice(0, 63)).min())))} %",
        "settling": " and ".join(f"{steps:.0f}" for steps in fan_in / (2 * best * DECAY)),
        "message": message(data),
        "transfer": transfer(data),
        "best-loss": best_losses(data),
    }
    for short, scheme in NAMES.items():
        told |= {
            f"power-{short}": _spread(turning.sel(scheme=scheme).values),
            f"moves-{short}": _spread(moving.sel(scheme=scheme).values),
            f"angles-{short}": ", ".join(
                f"{1e3 * x:.0f}" for x in plateau_angle(data).sel(scheme=scheme).mean("judging_seed").values
            ),
            f"gap-{short}": f"{at_most(100 * float(gap.sel(scheme=scheme).max()))} %",
            f"cost-{short}": _loss(float(cost(data).sel(scheme=scheme))),
        }
    return told


def cost(data: xr.Dataset) -> xr.DataArray:
    """By scheme, how much more loss the largest width has at the best rate of the smallest than at its own, in ℓ."""
    loss = data["judged_loss"].mean("judging_seed")
    chosen = loss.isel(width=0).argmin("rate")
    last = loss.isel(width=-1)
    return last.isel(rate=chosen) - last.min("rate")


def moves(data: xr.Dataset) -> dict[str, float]:
    """Mean of the octaves by which the best rate moves per doubling of the width, by scheme."""
    slopes = power(best_rate(data["judged_loss"])).mean("judging_seed")
    return {name: float(slopes.sel(scheme=name)) for name in NAMES.values()}


def message(data: xr.Dataset) -> str:
    """The first sentence of the caption: whether coupled decay moves the best rate further than both others."""
    size = {name: abs(move) for name, move in moves(data).items()}
    if size["coupled decay"] > 2 * max(size["independent decay"], size["held norms"]):
        return "Coupled decay moves the best learning rate with the width; independent decay and held norms keep it"
    return "Under all three schedules the best learning rate moves with the width"


def transfer(data: xr.Dataset) -> str:
    """Which schedules move the best rate least and most, in words."""
    sizes = {name: abs(move) for name, move in moves(data).items()}
    ordered = sorted(sizes, key=lambda name: sizes[name])
    return f"It moves least with {ordered[0]} and most with {ordered[-1]}"


def brief(data: xr.Dataset) -> str:
    """What remains of the early dependence of the alignment on the width, in words."""
    early, late = (
        float(power(alignment(data, looks)).sel(scheme="independent decay").mean()) for looks in (EARLY, LATE)
    )
    powers = f"As a power of the width it begins with {number(early, '.2f')} and ends with {number(late, '.2f')}"
    if late < early / 2:
        return f"{powers}: the root of the width is a matter of the first steps"
    return f"{powers}: the width does not leave it"


def errors(data: xr.Dataset) -> str:
    """Relative errors of the learned map by wanted size, with a multiplier and without, and how often it is lower."""
    mean = data["judged_error"].mean("judging_seed")
    with_it, without = mean.sel(multiplied="with").values, mean.sel(multiplied="without").values
    shown = [", ".join(f"{x:.1f}" for x in values) for values in (with_it, without)]
    better = int((with_it < without).sum())
    return f"{shown[0]} and {shown[1]}: lower with it at {better} of {len(with_it)} sizes"


def best_losses(data: xr.Dataset) -> str:
    """The loss of the largest width at the best of the rates, by scheme, and whether seeds tell them apart."""
    best = data["judged_loss"].isel(width=-1).min("rate")
    means = [f"{float(best.sel(scheme=name).mean()):.3f} with {name}" for name in NAMES.values()]
    apart = float(best.mean("judging_seed").max() - best.mean("judging_seed").min())
    spread = float(best.std("judging_seed").max())
    told = "more" if apart > spread else "no more"
    return f"{', '.join(means[:-1])} and {means[-1]}, which differ by {told} than one seed from the next"


def _spread(values: np.ndarray) -> str:
    return f"{number(values.mean(), '.2f')} ± {values.std(ddof=1) if len(values) > 1 else 0:.2f}"


def _loss(value: float) -> str:
    return f"{value:.3f}" if value else "0"


def _means(values: xr.DataArray) -> str:
    return ", ".join(f"{x:.1f}" for x in values.sel(scheme="independent decay").mean("judging_seed").values)


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"
