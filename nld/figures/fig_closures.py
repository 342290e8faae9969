"""Where Eq 17 ends: three closures and the exact law against measured filter norms. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.figures._data import norm_closures
from nld.figures._data.norm_closures import ARMS, RATES, STEPS
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import COLOR, new_mosaic, predicted
from nld.figures._render.text import at_most, power_above
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule

LINES = {"smooth": (0, (5, 2)), "white": (0, (1, 1.2)), "measured": (0, (6, 2, 1, 2))}
SHADE = {"smooth": COLOR["constrained"], "white": COLOR["nesterov"], "measured": COLOR["adam"], "exact": "#888888"}
NAMES = {
    "smooth": "T&K (17), smooth",
    "white": "white noise",
    "measured": "with measured $\\chi$",
    "exact": "exact law",
}
MARKERS = {"smooth": "D", "white": "o", "measured": "s", "exact": "x"}
SHOWN = 2  # the run whose errors are drawn
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
    """Predicted over measured norms at the end; errors of one run; below, norms of the runs with momentum."""
    with_momentum = [index for index, (_, beta) in enumerate(RATES) if beta]
    layout = [["ratios"] * 3 + ["errors"] * 3, [f"norm {index}" for index in with_momentum for _ in range(2)]]
    figure, axes = new_mosaic(layout, (6.4, 4.9), height_ratios=[1.15, 1])
    _draw_ratios(data, axes["ratios"])
    _draw_errors(data, axes["errors"])
    for letter, index in zip("cde", with_momentum, strict=True):
        _draw_norms(data.isel(member=index), axes[f"norm {index}"])
        axes[f"norm {index}"].set_title(f"({letter}) {_setting(index)}")
    axes[f"norm {with_momentum[0]}"].set_ylabel("squared norm $r^2$ [w²]")
    axes[f"norm {with_momentum[1]}"].set_xlabel("step $n$")
    _draw_names(data.isel(member=with_momentum[0]), axes[f"norm {with_momentum[0]}"])
    return figure


def _setting(index: int, between: str = ", ") -> str:
    eta, beta = RATES[index]
    return f"$\\eta = {eta:g}${between}$\\beta = {beta:g}$"


def _draw_ratios(data: xr.Dataset, axes) -> None:
    found, places = ratios(data), np.arange(len(RATES))
    axes.axhline(1, **predicted(linewidth=0.8))
    shifts = {"smooth": (0, 9), "white": (0, -16), "measured": (0, 8)}
    for closure, shift in shifts.items():
        values = found.sel(closure=closure).values
        axes.plot(places, values, MARKERS[closure], color=SHADE[closure], markersize=6)
        label_point(axes, NAMES[closure], (places[-2], values[-2]), shift, ha="center", color=SHADE[closure])
    label_point(axes, "all three", (places[0], float(found.isel(member=0).max())), (0, 9), ha="center")
    axes.set_xticks(places, [_setting(index, "\n") for index in range(len(RATES))])
    axes.set(yscale="log", ylabel="predicted / measured $r^2$ [1]", xlim=(-0.5, len(RATES) - 0.4))
    axes.set_ylim(0.45, 2.2 * float(found.max()))
    ticks_at(axes.yaxis, [0.5, 1, 2, 5, 10])
    axes.set_title("(a) at the end of four runs")


def _draw_errors(data: xr.Dataset, axes) -> None:
    error, points = errors(data).isel(member=SHOWN), np.arange(data.sizes["point"])
    heights = {"smooth": 12, "white": 0.004, "measured": 2e-5, "exact": 2e-11}
    for closure, color in SHADE.items():
        values = np.maximum(error.sel(closure=closure)[1:], 1e-17)
        axes.plot(points[1:], values, color=color, linestyle=LINES.get(closure, "-"), linewidth=1.3)
        label_point(axes, NAMES[closure], (0.97 * STEPS, heights[closure]), ha="right", color=color)
    axes.set(yscale="log", ylim=(3e-17, 1e3), xlim=(0, STEPS), xlabel="step $n$", ylabel="relative error [1]")
    axes.set_title(f"(b) {_setting(SHOWN)}")


def _draw_norms(run: xr.Dataset, axes) -> None:
    points = np.arange(run.sizes["point"])
    norm, laws = run["squared_norm"].median("filter"), run["predicted"].median("filter")
    axes.plot(points, norm, color=COLOR["unconstrained"], linewidth=2.6, alpha=0.7)
    for closure, dashes in LINES.items():
        axes.plot(points, laws.sel(closure=closure), **predicted(linestyle=dashes))
    axes.set(ylim=(0.85 * float(norm.min()), 1.15 * float(max(laws.max(), norm.max()))), yscale="log")
    low, high = axes.get_ylim()
    ticks_at(axes.yaxis, [tick for tick in (0.3, 0.5, 0.8, 1, 2, 5, 10, 20) if low <= tick <= high])
    axes.set(xlim=(0, STEPS), xticks=[0, STEPS // 2, STEPS])


def _draw_names(run: xr.Dataset, axes) -> None:
    """Names of the lines, in the run where they lie apart."""
    at, laws = int(0.55 * run.sizes["point"]), run["predicted"].median("filter")
    label_point(axes, "T&K (17)", (at, float(laws.sel(closure="smooth")[at])), (10, -19), ha="center")
    label_point(axes, "white noise", (at, float(laws.sel(closure="white")[at])), (14, -13), ha="center")
    norm = (at, float(run["squared_norm"].median("filter")[at]))
    label_point(axes, "measured", norm, (0, 18), ha="center", color=COLOR["unconstrained"])
    label_point(axes, "with $\\chi$", norm, (0, 6), ha="center")


def caption(data: xr.Dataset) -> str:
    found, chi = ratios(data), late_chi(data).values
    worst = float(errors(data).sel(closure="exact").max())
    smooth = [f"{float(value):.1f}" for value in found.sel(closure="smooth")[1:]]
    return (
        "T&K (17) assumes smooth gradients, and mini-batch gradients are not smooth. **(a)** Predicted over measured "
        f"squared norm after {STEPS} steps, at four settings. Three predictions use the measured gradients: T&K (17), "
        "which takes them for smooth; white noise; and the correlation sum $\\chi$ measured in the same run. Without "
        f"momentum the three are one; with it T&K (17) is {', '.join(smooth[:-1])} and {smooth[-1]} times the "
        "measurement. **(b)** Relative errors at one setting. The grey line is the exact discrete law, which is given "
        f"the lengths of the steps; at all settings its error is at most {power_above(worst)}. **(c, d, e)** Squared "
        "norms: measured (blue), T&K (17) (long dashes), white noise (dots) and measured $\\chi$ (dash-dotted). All "
        f"values are medians over the {data.sizes['filter']} filters of a batch-normalized network on digits. Mean "
        f"$\\chi$ over the last third: {', '.join(f'{value:.2f}' for value in chi)}. $k = "
        f"{data.attrs['weight_decay']:g}$ ℓ/w², batches of 64, $\\eta$ in w²/ℓ."
    )


def alt(data: xr.Dataset) -> str:
    found, still = ratios(data).isel(member=2), 100 * float(abs(ratios(data).isel(member=0) - 1).max())
    return (
        "Five panels. Top left, predicted over measured norm at four settings: without momentum all predictions end "
        f"within {at_most(still)} % of the measured norm; at learning rate {RATES[2][0]:g} and momentum "
        f"{RATES[2][1]:g} the smooth closure ends at {float(found.sel(closure='smooth')):.1f}, the white one at "
        f"{float(found.sel(closure='white')):.2f} and the one with measured chi at "
        f"{float(found.sel(closure='measured')):.2f} times the measurement. Below, norms over the steps of three runs "
        "with momentum. Top right, relative errors on a logarithmic axis; the exact law's is at most "
        f"{power_above(errors(data).sel(closure='exact').max())}."
    )
