"""Scale-invariant weights tune their own step, and turn weight decay into a growing learning rate. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.figures._data import schedule_runs as runs
from nld.figures._data.schedule_runs import differences
from nld.figures._data.schedules_evidence import CLAIMS, evidence
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, band, new_mosaic, predicted
from nld.figures._render.text import at_most, power, power_above
from nld.inference import FIRST_JUDGING_SEED, Verdict, rule
from nld.learning_rules.rules import heavy_ball
from nld.theory.schedules import slow_eigenvalue

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge"]

SEEDS, RESTLESS_SEEDS = 3, 8  # judging seeds: nothing was chosen by looking at them
ROUNDING = ("identity", "difference", "cosine", "step_difference")


def compute(
    profile: str, *, seed: int = 0, learning_rate: float = 0.1, momentum: float = 0.9, weight_decay: float = 2e-3,
    factor: float = 0.1,
) -> xr.Dataset:  # fmt: skip
    """Effective learning rates over six decades, and a network trained with decay and at schedules without it."""
    first = FIRST_JUDGING_SEED + seed
    seeds = range(first, first + SEEDS)
    trained = heavy_ball(learning_rate, momentum, weight_decay)
    restless = runs.restless(range(first, first + RESTLESS_SEEDS))
    data = xr.merge([runs.tuning(seeds), runs.traded(trained, seeds), runs.stepped(trained, factor, seeds), restless])
    attrs = {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "factor": factor}
    return data.assign_attrs(attrs | {"alpha": slow_eigenvalue(trained), "tuning_steps": runs.TUNING_STEPS})


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the bound, slope or largest difference that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Effective rates and losses above; rates, norms and differences of losses below."""
    figure, axes = new_mosaic([[*"aaabbb"], [*"ccddee"]], (6.4, 5.2))
    _draw_tuning(axes["a"], data)
    _draw_losses(axes["b"], data)
    _draw_rates(axes["c"], data)
    _draw_norms(axes["d"], data)
    _draw_differences(axes["e"], data)
    return figure


def _draw_tuning(axes, data: xr.Dataset) -> None:
    rate = data["rate"].values
    blue, red = COLOR["gradient_descent"], COLOR["scale"]
    axes.plot(rate, rate, **BASELINE)
    gone = rate[data["form_diverged"].values == 1]
    axes.plot(gone, gone, "x", color=BASELINE["color"], markersize=4)
    for name in ("highest", "noisy_law"):
        axes.plot(rate, data[name].median("seed"), **predicted())
    axes.plot(rate, data["lowest"].median("seed"), **predicted(linewidth=0.8))
    for noise, color, marker in zip(data["noise"].values, (blue, red), ("o", "s"), strict=True):
        values = data["effective_rate"].sel(noise=noise).values
        axes.plot(rate, np.median(values, 0), marker, color=color, markersize=3.5)
    axes.set(xscale="log", yscale="log", ylim=(3e-5, 3e3), xlabel="learning rate $\\eta$ [w²/ℓ]",
             ylabel="last effective rate $\\eta/r^2$ [1/ℓ]", title="(a)")  # fmt: skip
    small = {"fontsize": 7.5}
    label_point(axes, "not scale-invariant:\ndiverges (×)", (30, 60), (-4, 2), ha="right", color="#888888", **small)
    label_point(axes, "scale-invariant", (300, 0.15), color=blue, **small)
    label_point(axes, "with noise", (0.3, 0.0022), (0, -6), color=red, **small)
    label_point(axes, "bounds", (1.0, 0.02), ha="center", **small)


def _draw_losses(axes, data: xr.Dataset) -> None:
    other = data["loss"] + data["difference"].sel(run="exponential").isel(seed=0)
    step, loss, other = (_tens(data[name] if name else other).mean(1) for name in ("step", "loss", ""))
    axes.plot(step, loss, color=COLOR["original"], linewidth=2.6, alpha=0.6)
    axes.plot(step, other, **predicted())
    axes.set(xlabel="step $n$", ylabel="training loss $f$ [ℓ]", xlim=(0, data.sizes["step"]), title="(b)", yscale="log")
    ticks_at(axes.yaxis, [1.2, 1.5, 2.0])
    at = len(step) // 3
    label_point(axes, "decay, constant rate", (step[at], loss[at]), (4, 38), color=COLOR["original"])
    label_point(axes, "no decay, growing rate", (step[at], loss[at]), (4, 26))


def _draw_rates(axes, data: xr.Dataset) -> None:
    before, after = COLOR["original"], COLOR["transformed"]
    step, rate = data["step"].values, data["schedule"].values
    axes.plot(step, np.full(len(step), data.attrs["learning_rate"]), color=before)
    axes.plot(step, rate, color=after)
    at = int(0.5 * len(step))
    label_point(axes, "with decay", (at, data.attrs["learning_rate"]), (0, 5), color=before, ha="center")
    label_point(axes, "without", (at, rate[at]), (-4, 4), color=after, ha="right")
    axes.set(xlabel="step $n$", ylabel="learning rate $\\eta$ [w²/ℓ]", yscale="log", xlim=(0, data.sizes["step"]),
             title="(c)")  # fmt: skip


def _draw_norms(axes, data: xr.Dataset) -> None:
    before, after = COLOR["original"], COLOR["transformed"]
    point, norm = data["point"].values, data["norm"]
    axes.plot(point, norm.sel(run="weight decay"), color=before)
    axes.plot(point, norm.sel(run="exponential"), color=after, linewidth=2.6, alpha=0.75)
    axes.plot(point, norm.sel(run="weight decay") * data["scale"], **predicted())
    at = int(0.55 * len(point))
    with_decay, without = (float(norm.sel(run=run)[at]) for run in ("weight decay", "exponential"))
    label_point(axes, "with decay", (point[at], with_decay), (0, 6), color=before, ha="center")
    label_point(axes, "without", (point[at], without), (-4, 8), color=after, ha="right")
    label_point(axes, "predicted", (point[at], without), (4, -10))
    axes.set(xlabel="step $n$", ylabel="norm $r$ [w]", yscale="log", xlim=(0, data.sizes["step"]), title="(d)")
    ticks_at(axes.yaxis, [5, 10, 20, 50])


def _draw_differences(axes, data: xr.Dataset) -> None:
    lines = (
        ("decay dropped", None, "decay dropped"),
        ("naive", COLOR["scale"], "buffer left at zero"),
        ("exponential", COLOR["transformed"], "buffer matched"),
        ("empty buffer", COLOR["heavy_ball"], "rate warmed up"),
    )
    step = _tens(data["step"]).mean(1)
    for run, color, _ in lines:
        size = np.array([_tens(abs(row)).max(1) for row in data["difference"].sel(run=run)]).clip(1e-16)
        if color:
            band(axes, step, size, color, linewidth=1.0)
        else:
            axes.plot(step, np.median(size, 0), **BASELINE)
    for place, (_, color, text) in zip((0.94, 0.74, 0.26, 0.18), lines, strict=True):
        label_panel(axes, text, 0.97, place, color=color or "#888888", ha="right")
    axes.set(xlabel="step $n$", ylabel="loss difference $|\\Delta f|$ [ℓ]", yscale="log", ylim=(3e-17, 3),
             xlim=(0, data.sizes["step"]), title="(e)")  # fmt: skip


def _tens(values) -> np.ndarray:
    """Ten steps a row; a rest of the run that does not fill a row is left out."""
    return np.asarray(values)[: len(values) // 10 * 10].reshape(-1, 10)


def caption(data: xr.Dataset) -> str:
    clean, found = data["effective_rate"].sel(noise=0), differences(data)
    grown = float(data["schedule"][-1] / data["schedule"][0])
    naive = f", if buffer and rates match, and {found['naive']:.1g} ℓ if the buffer is left at zero"
    return (
        "Weights in front of a normalization tune their own step, and for them weight decay is a growing learning "
        f"rate. **(a)** Effective learning rate after {data.attrs['tuning_steps']} steps of gradient descent on "
        f"$\\langle q, Aq\\rangle/\\|q\\|^2$: blue between the two bounds (dashed), at most {at_most(clean.max())} per "
        "ℓ, over six decades of $\\eta$; with noise (red) it forgets $\\eta$, as T&K (17) without momentum says "
        "(dashed). On $\\langle q, Aq\\rangle$ itself (grey), where no norm can grow, it diverges. **(b)** Losses of a "
        "batch-normalized network on digits with weight decay (blue) and without it at an exponentially growing "
        f"learning rate (dashed, a training run). **(c)** Their rates, one constant, one {grown:.3g} times larger at "
        "the end. **(d)** The norms of all their weights; dashed: the blue norm times $\\alpha^{-n}$. **(e)** "
        f"Differences of the losses to the run with decay: at most "
        f"{power_above(max(found['exponential'], found['empty buffer']))} ℓ"
        f"{naive if data.attrs['momentum'] else ', and without momentum there is no buffer to match'}. Largest of ten "
        f"steps, median and range of {data.sizes['seed']} seeds; zeros drawn at $10^{{-16}}$. $\\eta = "
        f"{data.attrs['learning_rate']:g}$ w²/ℓ, $\\beta = {data.attrs['momentum']:g}$, $k = "
        f"{data.attrs['weight_decay']:g}$ ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    (clean, noisy), found = data["effective_rate"].median("seed").transpose("noise", "rate").values, differences(data)
    sizes = [power(found[run]) for run in ("exponential", "empty buffer", "naive", "decay dropped")]
    return (
        f"Five panels. (a) Blue dots rise with the learning rate to {clean.max():.2g} and fall again, between dashed "
        f"bounds; red squares lie at {power(noisy.min(), 1)} to {power(noisy.max(), 1)}; grey crosses on the diagonal "
        "mark divergence. (b) A dashed loss curve lies on a solid blue one. (c) On a logarithmic axis one rate is "
        "level and the other a rising straight line. (d) One norm rises above the other. (e) Four differences of "
        f"losses; their largest values are {', '.join(sizes)} ℓ."
    )
