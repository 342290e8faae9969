"""Where Eq 17 ends: three closures and the exact law against measured filter norms. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.figures._data import norm_closures
from nld.figures._data.norm_closures import ARMS, RATES, STEPS
from nld.figures._render.labels import label_point
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures._render.text import at_most, power_above
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule

LINES = {"smooth": (0, (5, 2)), "white": (0, (1, 1.2)), "measured": (0, (6, 2, 1, 2))}
SHADE = {"smooth": COLOR["constrained"], "white": COLOR["nesterov"], "measured": COLOR["adam"], "exact": "#888888"}
EVIDENCE, KEPT_SEEDS = "results/evidence/fig-closures.nc", 8


def compute(profile: str, *, seed: int = 0, weight_decay: float = 5e-4) -> xr.Dataset:
    """Measured and predicted squared norm of every filter at each (learning rate, momentum); one for all profiles."""
    ruling = judged(EVIDENCE, lambda s: measure(s, weight_decay), seed=seed, registered=weight_decay == 5e-4)
    return norm_closures.runs(seed, weight_decay).merge(ruling, combine_attrs="no_conflicts")


def measure(seeds, weight_decay: float = 5e-4) -> xr.Dataset:
    """Eq 17 over the measured squared norm at the end, medians over filters, by arm: (judging_seed, arm)."""
    return norm_closures.judged_ratios(seeds, weight_decay)


def errors(data: xr.Dataset) -> xr.DataArray:
    """Median over the filters of |predicted/measured - 1|: (closure, member, point)."""
    return abs(data["predicted"] / data["squared_norm"] - 1).median("filter")


def ratios(data: xr.Dataset) -> xr.DataArray:
    """Median over the filters of predicted/measured at the end: (closure, member)."""
    return (data["predicted"] / data["squared_norm"]).isel(point=-1).median("filter")


def late_chi(data: xr.Dataset) -> xr.DataArray:
    """Median over the filters of the mean chi of the last third: (member)."""
    return data["chi"].isel(step=slice(2 * STEPS // 3, None)).mean("step").median("filter")


def judge(data: xr.Dataset) -> list[Verdict]:
    """Eq 17 within 10 % at the end of a run, where it assumes to hold and where it is used."""
    ratio = data["judged_ratio"]
    listed = ", ".join(f"{float(ratio.sel(arm=arm).mean()):.3g} with {arm}" for arm in ARMS)
    numbers = (
        f"T&K (17) over the measured squared norm at the end, means: {listed}. Given the correlation sum $\\chi$ "
        "measured in the same run, the law only says again what the exact identity says."
    )
    samples = {arm: np.log(ratio.sel(arm=arm).values) for arm in ARMS}
    return rule([Evidence("norm-closed-form", numbers, samples)])


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare the closures, chosen by the data; of the runs with momentum."""
    ratio, full = ratios(data).isel(member=slice(1, None)), data["judged_ratio"].sel(arm="full batches, large rate")
    smooth, measured = (abs(np.log(ratio.sel(closure=name).values)) for name in ("smooth", "measured"))
    if (measured < smooth).all():
        repairs = f"takes away {'most' if (measured < 0.5 * smooth).all() else 'a part'} of its error"
    else:
        repairs = "does not always lessen its error"
    off = abs(float(np.log(full).mean())) > np.log(1.1)
    norm = data["squared_norm"].median("filter")
    memory = [norm.isel(member=i, point=round(1 / (1 - RATES[i][1]))) / norm.isel(member=i, point=0) for i in (2, 3)]
    return {
        "repairs": repairs,
        "full-batches": (
            f"Full batches do not make gradients smooth by themselves: at the large rate T&K (17) ends at "
            f"{float(full.mean()):.2f} times the measured norm without any noise. A filter turns so far within one "
            "memory of momentum that its gradient is another one."
            if off
            else f"With full batches T&K (17) ends at {float(full.mean()):.2f} times the measured norm at the large "
            "rate, too."
        ),
        "early-growth": " and ".join(f"{float(value):.2g}" for value in memory),
    }


def draw(data: xr.Dataset):
    """One column a run: norms above, relative errors below."""
    figure, axes = new_figure(2, len(RATES), size=(6.4, 4.4), sharex=True, height_ratios=[1.5, 1])
    error, points = errors(data), np.arange(data.sizes["point"])
    for index, (eta, beta) in enumerate(RATES):
        above, below = axes[:, index]
        norm = data["squared_norm"].isel(member=index).median("filter")
        above.plot(points, norm, color=COLOR["unconstrained"], linewidth=2.4, alpha=0.7)
        for closure, dashes in LINES.items():
            law = data["predicted"].sel(closure=closure).isel(member=index).median("filter")
            above.plot(points, law, **predicted(linestyle=dashes))
            below.plot(points[1:], error.sel(closure=closure).isel(member=index)[1:], color=SHADE[closure],
                       linestyle=dashes)  # fmt: skip
        exact = np.maximum(error.sel(closure="exact").isel(member=index)[1:], 1e-17)
        below.plot(points[1:], exact, color=SHADE["exact"], linewidth=0.8)
        above.set_title(f"$\\eta = {eta:g}$, $\\beta = {beta:g}$", fontsize=8)
        top = float(data["predicted"].isel(member=index).median("filter").max())
        above.set(ylim=(0.9 * float(norm.min()), 1.1 * max(top, float(norm.max()))), yscale="log")
        above.minorticks_off()
        low, high = above.get_ylim()
        ticks = np.geomspace(low, high, 6)[1:-1]
        above.set_yticks(ticks, [f"{tick:.2g}" for tick in ticks])
        below.set(yscale="log", ylim=(3e-17, 1e3), xlim=(0, STEPS), xticks=[0, STEPS // 2, STEPS])
        if index:
            below.tick_params(labelleft=False)
    _label(axes, data, error)
    axes[0, 0].set_ylabel("squared norm $r^2$ [w²]")
    axes[1, 0].set_ylabel("relative error")
    figure.supxlabel("step $n$", fontsize=9)
    return figure


def _label(axes, data: xr.Dataset, error: xr.DataArray) -> None:
    """Names of the lines, in the second column, where they lie apart."""
    at = int(0.5 * data.sizes["point"])
    names = {"smooth": ("T&K (17)", (14, -14), (0, 5)), "white": ("white", (0, -13), (20, -19))}
    names["measured"] = ("measured, $\\chi$", (0, 6), (-20, -13))
    for closure, (name, shift, below) in names.items():
        law = data["predicted"].sel(closure=closure).isel(member=1).median("filter").values[at]
        color = COLOR["unconstrained"] if closure == "measured" else predicted()["color"]
        label_point(axes[0, 1], name, (at, law), shift, color=color, ha="center")
        place = (at, float(error.sel(closure=closure).isel(member=1)[at]))
        leader = {"arrowstyle": "-", "color": SHADE[closure], "linewidth": 0.7} if closure == "white" else None
        short = name.split()[-1] if closure == "measured" else name
        label_point(axes[1, 1], short, place, below, ha="center", color=SHADE[closure], arrowprops=leader)
    place = (at, float(error.sel(closure="exact").isel(member=1)[at]))
    label_point(axes[1, 1], "exact law", place, (0, 7), ha="center", color=SHADE["exact"])


def caption(data: xr.Dataset) -> str:
    found, chi = ratios(data), late_chi(data).values
    worst = float(errors(data).sel(closure="exact").max())
    smooth = [f"{float(value):.1f}" for value in found.sel(closure="smooth")[1:]]
    return (
        "T&K (17) assumes smooth gradients, and mini-batches are not. **Top:** the squared norm of a filter (blue, "
        f"measured; medians over the {data.sizes['filter']} filters of a batch-normalized network on digits) and three "
        "predictions from its measured gradients: T&K (17) (long dashes), white gradients (short dashes), and $\\chi$ "
        "measured in the same run (dash-dotted). Without momentum the three are one. At the end T&K (17) is "
        f"{', '.join(smooth[:-1])} and {smooth[-1]} times the measurement in the other three columns. **Bottom:** "
        "relative errors; the grey line is the exact discrete law, which is fed with the lengths of the steps, at most "
        f"{power_above(worst)}. Mean $\\chi$ over the last third: {', '.join(f'{value:.2f}' for value in chi)}. $k = "
        f"{data.attrs['weight_decay']:g}$ ℓ/w², batches of 64, $\\eta$ in w²/ℓ."
    )


def alt(data: xr.Dataset) -> str:
    found, still = ratios(data).isel(member=2), 100 * float(abs(ratios(data).isel(member=0) - 1).max())
    return (
        "Four columns, one for each learning rate and momentum; norms above, errors below. In the first, without "
        f"momentum, all predictions end within {at_most(still)} % of the measured norm. In the third, at momentum 0.9, "
        f"the smooth closure ends at {float(found.sel(closure='smooth')):.1f}, the white one at "
        f"{float(found.sel(closure='white')):.2f} and the measured one at {float(found.sel(closure='measured')):.2f} "
        "times the measurement. The exact law's error is at most "
        f"{power_above(errors(data).sel(closure='exact').max())}."
    )
