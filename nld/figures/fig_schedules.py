"""Scale-invariant weights tune their own step, and turn weight decay into a growing learning rate. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.experiment import auto_tuning as tuned
from nld.experiment import scheduled
from nld.figures.style import BASELINE, COLOR, band, new_figure, predicted
from nld.figures.text import power
from nld.learning_rule import LearningRule, gradient_descent, heavy_ball
from nld.paper import Claim
from nld.theory import auto_tuning, schedules
from nld.theory.solutions import predict_squared_norm
from nld.verdict import CORRECTED, REFUTED, REPRODUCED, Verdict

CHAPTER = "book/auto-tuning-and-schedules"
TUNING, EXPONENTIAL = "arora2019theoretical", "li2020exponential"
CLAIMS = (
    Claim("scale-invariant-step-tunes-itself", "On scale-invariant weights gradient descent diverges at no learning "
          "rate: the norm grows until the effective learning rate is stable.", (), "fig-schedules", CHAPTER, TUNING),
    Claim("stationary-at-any-rate", "At any fixed learning rate the smallest gradient of T steps at unit norm falls as "
          "T^(-1/2) or faster.", (), "fig-schedules", CHAPTER, TUNING),
    Claim("stationary-with-noise", "With noisy gradients and a fixed learning rate the gradient at unit norm falls as "
          "T^(-1/4).", (), "fig-schedules", CHAPTER, TUNING),
    Claim("decay-is-a-growing-rate", "Training with weight decay visits the same directions as training without it at "
          "a learning rate that grows exponentially, with momentum too.", (), "fig-schedules", CHAPTER, EXPONENTIAL),
    Claim("step-decay-is-tapered-growth", "Step decay with weight decay is exponential growth whose rate jumps by "
          "the step's factor and whose exponent becomes that of the new rate.", (), "fig-schedules", CHAPTER,
          EXPONENTIAL),
    Claim("normalization-with-decay-is-restless", "Normalization and weight decay together keep gradient descent from "
          "converging where each alone lets it converge.", (), "fig-schedules", CHAPTER, EXPONENTIAL),
)  # fmt: skip

RATES = np.geomspace(1e-2, 1e4, 13)
TUNING_STEPS = 20_000
NOISE = (0.0, 1.0)
SEEDS = 3
STEPS = 1000
RUNS = ("weight decay", "exponential", "empty buffer", "naive", "decay dropped")
RESTLESS = (0.1, 0.1)  # learning rate, weight decay
SAME = 1e-10  # what counts as one trajectory, in l
# The first burst after the gradients have died depends on how they were rounded.
TOLERANCE = {"loss": 1e-5, "restless": 0.5}


def compute(
    profile: str,
    *,
    seed: int = 0,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 2e-3,
    factor: float = 0.1,
) -> xr.Dataset:
    """Effective learning rates over six decades, and a network trained with decay and at schedules without it."""
    seeds = range(seed, seed + SEEDS)
    rule = heavy_ball(learning_rate, momentum, weight_decay)
    parts = [_tuning(seeds), _scheduled(rule, seeds), _stepped(rule, factor, seed)]
    data = xr.merge([*parts, _restless(seed)])
    attrs = {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "factor": factor}
    return data.assign_attrs(attrs | {"alpha": schedules.slow_eigenvalue(rule), "tuning_steps": TUNING_STEPS})


def _tuning(seeds) -> xr.Dataset:
    landscape = auto_tuning.rayleigh_landscape(tuned.eigenvalues())
    found = [[tuned.train(RATES, TUNING_STEPS, noise=noise, seed=seed) for seed in seeds] for noise in NOISE]
    low, high, noisy = [], [], []
    for seed in seeds:
        first = np.linalg.norm(tuned.unit_gradient(tuned.start(20, seed), tuned.eigenvalues()))
        bounds = auto_tuning.squared_norm_bounds(landscape, RATES, 1.0, first)
        low.append(RATES / bounds[1])
        high.append(RATES / bounds[0])
        kicked = auto_tuning.squared_norm_bounds(landscape, RATES, 1.0, np.hypot(first, NOISE[1]))[0]
        noisy.append([_noisy(rate, start) for rate, start in zip(RATES, kicked, strict=True)])
    clean = found[0]
    identity = [[np.abs(run["counted"] / run["squared_norm"] - 1).max("step") for run in row] for row in found]
    limit = auto_tuning.smallest_gradient_bound(landscape, RATES, 1.0, TUNING_STEPS)
    square = np.mean([run["unit_gradient"].isel(rate=slice(2, 9)) ** 2 for run in found[1]], axis=(0, 1))
    kept = (("seed", "rate"), "1/l")
    variables: dict = {
        "effective_rate": (("noise", "seed", "rate"), [[_effective(run) for run in row] for row in found], "1/l"),
        "lowest": (kept[0], low, kept[1]),
        "highest": (kept[0], high, kept[1]),
        "noisy_law": (kept[0], noisy, kept[1]),
        "identity": (("noise", "seed", "rate"), np.array(identity), "1"),
        "smallest_gradient": (kept[0], [run["smallest_gradient"].isel(step=-1).values for run in clean], "l"),
        "smallest_gradient_bound": (("rate",), limit, "l"),
        "noisy_gradient": (("tuning_step",), np.sqrt(square), "l"),
        "form_diverged": (("rate",), _diverged(seeds[0]), "1"),
    }
    return xr.Dataset(
        {name: (dims, np.asarray(values), {"units": unit}) for name, (dims, values, unit) in variables.items()},
        coords={"noise": list(NOISE), "rate": RATES, "tuning_step": clean[0]["step"].values},
    )


def _effective(run: xr.Dataset) -> np.ndarray:
    return (run["learning_rate"] / run["squared_norm"].isel(step=-1)).values


def _noisy(rate: float, start: float) -> float:
    """Eq 17 without momentum and decay, driven by the noise alone, from the norm after the first step."""
    law = predict_squared_norm(gradient_descent(rate), np.full(TUNING_STEPS - 1, NOISE[1] ** 2), start)
    return rate / law.value[-1]


def _diverged(seed: int) -> np.ndarray:
    return (tuned.squared_norms_on_the_form(RATES, TUNING_STEPS, seed=seed) > 1e6).astype(int)


def _scheduled(rule: LearningRule, seeds) -> xr.Dataset:
    """Five trainings a seed: with decay, and without it at schedules that trade it or fail to."""
    constant = np.full(STEPS, rule.learning_rate)
    eigen = schedules.exponential_schedule(rule, constant)
    warm = schedules.exponential_schedule(rule, constant, "empty buffer")
    beta = rule.momentum
    runs = [
        scheduled.Run(constant, beta, rule.weight_decay),
        scheduled.Run(eigen.learning_rate, beta, buffer=eigen.buffer),
        scheduled.Run(warm.learning_rate, beta),
        scheduled.Run(eigen.learning_rate, beta),
        scheduled.Run(constant, beta),
    ]
    found = [scheduled.train(runs, seed=seed) for seed in seeds]
    loss = np.stack([run["loss"].values for run in found])
    rough = scheduled.train(runs[:2], seed=seeds[0], epsilon=1e-5)["loss"].values
    return xr.Dataset(
        {
            "loss": (("step",), loss[0, 0], {"units": "l", "long_name": "loss of the mini-batch, first seed"}),
            "difference": (("seed", "run", "step"), loss - loss[:, :1], {"units": "l"}),
            "norm": (("run", "point"), found[0]["norm"].values, {"units": "w", "long_name": "norm of all weights"}),
            "cosine": (("seed", "run"), np.stack([run["cosine"].values for run in found]), {"units": "1"}),
            "schedule": (("step",), eigen.learning_rate, {"units": "w²/l"}),
            "warm_schedule": (("step",), warm.learning_rate, {"units": "w²/l"}),
            "scale": (("point",), np.exp(eigen.log_scale), {"units": "1"}),
            "rough_difference": ((), np.abs(rough[1] - rough[0]).max(), {"units": "l"}),
        },
        coords={"seed": list(seeds), "run": list(RUNS), "step": np.arange(STEPS), "point": np.arange(STEPS + 1)},
    )


def _stepped(rule: LearningRule, factor: float, seed: int) -> xr.Dataset:
    """Largest loss differences for a rate that is multiplied by ``factor`` half-way: exact growth, jumping growth."""
    rates = np.where(np.arange(STEPS) < STEPS // 2, 1.0, factor) * rule.learning_rate
    exact = schedules.exponential_schedule(rule, rates)
    runs = [
        scheduled.Run(rates, rule.momentum, rule.weight_decay),
        scheduled.Run(exact.learning_rate, rule.momentum, buffer=exact.buffer),
        scheduled.Run(schedules.tapered_schedule(rule, rates), rule.momentum, buffer=exact.buffer),
    ]
    loss = scheduled.train(runs, seed=seed)["loss"].values
    return xr.Dataset({"step_difference": (("growth",), np.abs(loss[1:] - loss[0]).max(1), {"units": "l"})},
                      coords={"growth": ["settles", "jumps"]})  # fmt: skip


def _restless(seed: int) -> xr.Dataset:
    """Largest unit gradient of the last half of the recorded steps, without decay and with it."""
    rate, decay = RESTLESS
    late = [tuned.train([rate], TUNING_STEPS, weight_decay=k, seed=seed).isel(rate=0) for k in (0.0, decay)]
    values = [float(run["largest_late_gradient"].isel(step=-1)) for run in late]
    return xr.Dataset({"restless": (("decay",), values, {"units": "l"})}, coords={"decay": [0.0, decay]})


def differences(data: xr.Dataset) -> dict[str, float]:
    """Largest |loss difference| to training with decay by run, over seeds and steps, in l."""
    return {str(run): float(np.abs(data["difference"].sel(run=run)).max()) for run in data["run"].values}


def noise_slope(data: xr.Dataset) -> float:
    """Slope of the logarithm of the noisy runs' unit gradient over that of the step, from step 100 on."""
    late = data["noisy_gradient"].sel(tuning_step=slice(100, None))
    return float(np.polyfit(np.log(late["tuning_step"]), np.log(late), 1)[0])


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the bound, slope or largest difference that it states."""
    clean = data["effective_rate"].sel(noise=0)
    inside = bool(((clean >= data["lowest"]) & (clean <= data["highest"])).all())
    diverged = data["rate"].values[data["form_diverged"].values == 1]
    share = (data["smallest_gradient"] / data["smallest_gradient_bound"]).values
    slope, found = noise_slope(data), differences(data)
    exact, (settles, jumps) = max(found["exponential"], found["empty buffer"]), data["step_difference"].values
    calm, restless = data["restless"].values
    stepped = REPRODUCED if jumps < SAME else CORRECTED if settles < SAME else REFUTED
    return [
        Verdict(
            "scale-invariant-step-tunes-itself",
            REPRODUCED if inside and len(diverged) else REFUTED,
            f"For learning rates from {power(RATES[0])} to {power(RATES[-1])} w²/l the last effective learning rates "
            f"are between {clean.min():.1e} and {clean.max():.2g} per l, within the bounds; on the quadratic form "
            f"itself gradient descent diverges from {diverged.min():.2g} on."
            if len(diverged)
            else "The control does not diverge either.",
        ),
        Verdict(
            "stationary-at-any-rate",
            REPRODUCED if share.max() <= 1 else REFUTED,
            f"The smallest unit gradient of {TUNING_STEPS} steps is at most {share.max():.2g} of the bound K/sqrt(T).",
        ),
        Verdict(
            "stationary-with-noise",
            REPRODUCED if abs(slope + 0.25) < 0.05 else REFUTED,
            f"Slope of the logarithms {slope:.3f}, for learning rates from 0.1 to 100 w²/l together.",
        ),
        Verdict(
            "decay-is-a-growing-rate",
            REPRODUCED if exact < SAME else REFUTED,
            f"Losses of {STEPS} steps differ by at most {power(exact)} l. With the buffer left at zero and the same "
            f"rates they differ by {found['naive']:.2g} l; without decay at all by {found['decay dropped']:.2g} l.",
        ),
        Verdict(
            "step-decay-is-tapered-growth",
            stepped,
            f"Losses differ by up to {jumps:.1e} l if the growth jumps with the rate and the buffer is left as it is, "
            f"and by {power(settles)} l if the growth settles as the buffer forgets.",
        ),
        Verdict(
            "normalization-with-decay-is-restless",
            REPRODUCED if calm < 1e-6 and restless > 0.1 else REFUTED,
            f"Largest unit gradient of the second half of {TUNING_STEPS} steps: {calm:.1e} l without decay, "
            f"{restless:.2g} l with it.",
        ),
    ]


def draw(data: xr.Dataset):
    """Effective rates; losses; rates and norms; differences of losses."""
    figure, axes = new_figure(2, 2, size=(6.4, 5.4))
    _draw_tuning(axes[0, 0], data)
    _draw_losses(axes[0, 1], data)
    _draw_schedule(axes[1, 0], data)
    _draw_differences(axes[1, 1], data)
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
    axes.set(xscale="log", yscale="log", ylim=(3e-5, 3e3), xlabel="learning rate $\\eta$ [w²/l]",
             ylabel="last effective rate $\\eta/r^2$ [1/l]", title="(a)")  # fmt: skip
    small = {"fontsize": 7.5}
    axes.annotate("not scale-invariant:\ndiverges (×)", (30, 60), (-4, 2), textcoords="offset points", ha="right",
                  color="#888888", **small)  # fmt: skip
    axes.annotate("scale-invariant", (300, 0.15), (0, 0), textcoords="offset points", color=blue, **small)
    axes.annotate("with noise", (0.3, 0.0022), (0, -6), textcoords="offset points", color=red, **small)
    axes.annotate("bounds", (1.0, 0.02), (0, 0), textcoords="offset points", ha="center", **small)


def _draw_losses(axes, data: xr.Dataset) -> None:
    every = 10
    step = data["step"].values.reshape(-1, every).mean(1)
    loss = data["loss"].values.reshape(-1, every).mean(1)
    other = (data["loss"].values + data["difference"].sel(run="exponential").isel(seed=0).values).reshape(-1, every)
    axes.plot(step, loss, color=COLOR["original"], linewidth=2.6, alpha=0.6)
    axes.plot(step, other.mean(1), **predicted())
    axes.set(xlabel="step $n$", ylabel="training loss $f$ [l]", xlim=(0, STEPS), title="(b)", yscale="log")
    axes.set_yticks([1.2, 1.5, 2.0], ["1.2", "1.5", "2"])
    axes.minorticks_off()
    at = len(step) // 3
    axes.annotate("decay, constant rate", (step[at], loss[at]), (4, 38), textcoords="offset points", fontsize=8,
                  color=COLOR["original"])  # fmt: skip
    axes.annotate("no decay, growing rate", (step[at], loss[at]), (4, 26), textcoords="offset points", fontsize=8)


def _draw_schedule(axes, data: xr.Dataset) -> None:
    before, after = COLOR["original"], COLOR["transformed"]
    step, point = data["step"].values, data["point"].values
    axes.plot(step, np.full(len(step), data.attrs["learning_rate"]), color=before)
    axes.plot(step, data["schedule"], color=after)
    axes.plot(point, data["norm"].sel(run="weight decay"), color=before)
    axes.plot(point, data["norm"].sel(run="exponential"), color=after)
    axes.plot(point, data["norm"].sel(run="weight decay") * data["scale"], **predicted())
    at = int(0.55 * len(step))
    places = (
        ("rate with decay", data.attrs["learning_rate"], before, (0, 5)),
        ("rate without", float(data["schedule"][at]), after, (22, -10)),
        ("norm with decay", float(data["norm"].sel(run="weight decay")[at]), before, (0, -11)),
        ("norm without", float(data["norm"].sel(run="exponential")[at]), after, (-16, 8)),
    )
    for text, value, color, shift in places:
        axes.annotate(text, (at, value), shift, textcoords="offset points", color=color, fontsize=8, ha="center")
    axes.set(xlabel="step $n$", ylabel="rate $\\eta$ [w²/l], norm $r$ [w]", yscale="log", xlim=(0, STEPS),
             title="(c)")  # fmt: skip


def _draw_differences(axes, data: xr.Dataset) -> None:
    lines = (
        ("decay dropped", None, "decay dropped, rate kept"),
        ("naive", COLOR["scale"], "growing rate, buffer at zero"),
        ("exponential", COLOR["transformed"], "growing rate, matched buffer"),
        ("empty buffer", COLOR["heavy_ball"], "warmed-up rate, empty buffer"),
    )
    every = 10
    step = data["step"].values.reshape(-1, every).mean(1)
    for run, color, _ in lines:
        size = np.abs(data["difference"].sel(run=run).values).reshape(data.sizes["seed"], -1, every).max(2)
        size = np.maximum(size, 1e-16)
        if color:
            band(axes, step, size, color, linewidth=1.0)
        else:
            axes.plot(step, np.median(size, 0), **BASELINE)
    for place, (_, color, text) in zip((0.94, 0.74, 0.26, 0.18), lines, strict=True):
        axes.text(0.97, place, text, color=color or "#888888", transform=axes.transAxes, fontsize=8, ha="right")
    axes.set(xlabel="step $n$", ylabel="loss difference $|\\Delta f|$ [l]", yscale="log", ylim=(3e-17, 3),
             xlim=(0, STEPS), title="(d)")  # fmt: skip


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    clean, found = data["effective_rate"].sel(noise=0), differences(data)
    grown = float(data["schedule"][-1] / data["schedule"][0])
    return (
        "Weights in front of a normalization tune their own step, and for them weight decay is a growing learning "
        "rate. **(a)** Effective learning rate after "
        f"{data.attrs['tuning_steps']} steps of gradient descent on $\\langle q, Aq\\rangle/\\|q\\|^2$: blue between "
        f"the two bounds (dashed), at most {float(clean.max()):.2g} per l, over six decades of $\\eta$; with noise "
        "(red) it forgets $\\eta$, as Eq 17 without momentum says (dashed). On $\\langle q, Aq\\rangle$ itself (grey), "
        "where no norm can grow, it diverges. **(b)** Losses of a batch-normalized network on digits with weight decay "
        "(blue) and without it at an exponentially growing learning rate (dashed, a training run). **(c)** Their "
        f"rates, one constant, one {grown:.3g} times larger at the end, and the norms of all their weights; dashed: "
        "the blue norm times $\\alpha^{-n}$. **(d)** Differences of the losses to the run with decay: at most "
        f"{power(max(found['exponential'], found['empty buffer']))} l, if buffer and rates match, and "
        f"{found['naive']:.1g} l if the buffer is left at zero. Largest of ten steps, median and range of "
        f"{data.sizes['seed']} seeds; zeros drawn at $10^{{-16}}$. $\\eta = {data.attrs['learning_rate']:g}$ w²/l, "
        f"$\\beta = {data.attrs['momentum']:g}$, $k = {data.attrs['weight_decay']:g}$ l/w²."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    clean, found = data["effective_rate"].sel(noise=0).median("seed").values, differences(data)
    return (
        f"Four panels. (a) Blue dots rise with the learning rate to {clean.max():.2g} and fall again, between dashed "
        "bounds; red squares are level over four decades; grey crosses on the diagonal mark divergence. (b) A dashed "
        "loss curve lies on a solid blue one. (c) On a logarithmic axis one rate is level and the other a rising "
        "straight line; likewise one norm rises above the other. (d) Two differences of losses stay near "
        f"{power(max(found['exponential'], found['empty buffer']))}, two others rise to {found['naive']:.1g} and "
        f"{found['decay dropped']:.1g}."
    )
