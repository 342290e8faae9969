"""Scale-invariant weights tune their own step, and turn weight decay into a growing learning rate. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.figures._data import schedule_runs as runs
from nld.figures._render.style import BASELINE, COLOR, band, new_figure, predicted
from nld.figures._render.text import at_most, number, power, power_above
from nld.inference import FIRST_JUDGING_SEED, Evidence, Verdict, rule
from nld.learning_rules.rules import heavy_ball
from nld.paper import Claim
from nld.theory.schedules import slow_eigenvalue

CHAPTER = "book/auto-tuning-and-schedules"
TUNING, EXPONENTIAL = "arora2019theoretical", "li2020exponential"
CLAIMS = (
    Claim("scale-invariant-step-tunes-itself", "On scale-invariant weights gradient descent diverges at no learning "
          "rate: the norm grows until the effective learning rate is stable.", (), "fig-schedules", CHAPTER, TUNING),
    Claim("stationary-at-any-rate", "At any fixed learning rate the smallest gradient of T steps at unit norm is at "
          "most a constant over $T^{1/2}$.", (), "fig-schedules", CHAPTER, TUNING),
    Claim("stationary-with-noise", "With noisy gradients and a fixed learning rate the gradient at unit norm falls as "
          "$T^{-1/4}$.", (), "fig-schedules", CHAPTER, TUNING),
    Claim("decay-is-a-growing-rate", "Training with weight decay visits the same directions as training without it at "
          "a learning rate that grows exponentially, with momentum too.", (), "fig-schedules", CHAPTER, EXPONENTIAL),
    Claim("step-decay-is-tapered-growth", "Step decay with weight decay is exponential growth whose rate jumps by "
          "the step's factor and whose exponent becomes that of the new rate.", (), "fig-schedules", CHAPTER,
          EXPONENTIAL),
    Claim("normalization-with-decay-is-restless", "Normalization and weight decay together keep gradient descent from "
          "converging where each alone lets it converge.", (), "fig-schedules", CHAPTER, EXPONENTIAL),
)  # fmt: skip

SEEDS, RESTLESS_SEEDS = 3, 8  # judging seeds: nothing was chosen by looking at them
SAME = 1e-10  # what counts as one trajectory, in l
CALM, RESTLESS = 1e-6, 0.1  # unit gradients that count as converged and as not, in l
ROUNDING = ("identity", "difference", "cosine", "step_difference")


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
    first = FIRST_JUDGING_SEED + seed
    seeds = range(first, first + SEEDS)
    trained = heavy_ball(learning_rate, momentum, weight_decay)
    restless = runs.restless(range(first, first + RESTLESS_SEEDS))
    parts = [runs.tuning(seeds), runs.traded(trained, seeds), runs.stepped(trained, factor, seeds), restless]
    data = xr.merge(parts)
    attrs = {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "factor": factor}
    return data.assign_attrs(attrs | {"alpha": slow_eigenvalue(trained), "tuning_steps": runs.TUNING_STEPS})


def differences(data: xr.Dataset) -> dict[str, float]:
    """Largest |loss difference| to training with decay by run, over seeds and steps, in l."""
    return {str(run): float(np.abs(data["difference"].sel(run=run)).max()) for run in data["run"].values}


def noise_slopes(data: xr.Dataset) -> np.ndarray:
    """Slope of the logarithm of the noisy runs' unit gradient over that of the step, from step 500 on: (seed,)."""
    late = data["noisy_gradient"].sel(tuning_step=slice(500, None)).transpose("tuning_step", "seed")
    return np.polyfit(np.log(late["tuning_step"]), np.log(late.values), 1)[0]


def share_of_bound(data: xr.Dataset) -> np.ndarray:
    """Smallest unit gradient of all steps over its bound, (seed, rate)."""
    return (data["smallest_gradient"].isel(tuning_step=-1) / data["smallest_gradient_bound"]).values


def smallest_slope(data: xr.Dataset) -> float:
    """Flattest slope of log(smallest unit gradient) over log(step), all seeds and rates, last tenfold of steps."""
    last = data["smallest_gradient"].isel(tuning_step=-1)
    first = data["smallest_gradient"].sel(tuning_step=last["tuning_step"] / 10, method="nearest")
    with np.errstate(divide="ignore", invalid="ignore"):  # a gradient that is zero has no slope
        fall = np.log(last / first) / np.log(last["tuning_step"].item() / first["tuning_step"].item())
    return float(fall.max())


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    clean, noisy, found = data["effective_rate"].sel(noise=0), data["effective_rate"].sel(noise=1), differences(data)
    share, spread = share_of_bound(data), noisy.isel(rate=slice(1, 8))
    constant = data["smallest_gradient_bound"].values * data.attrs["tuning_steps"] ** 0.5
    ratio = data["norm"].sel(run="exponential") / data["norm"].sel(run="weight decay") / data["scale"]
    settles, jumps = data["step_difference"].values
    calm, restless = data["restless"].values
    excess = data["schedule"].values[-1] / data["warm_schedule"].values[-1] - 1
    return {
        "tuned-most": f"{float(clean.max()):.2f}",
        "tuned-least": power(clean.min(), 1),
        "identity": power_above(data["identity"].max()),
        "tuned-steps": f"{data.attrs['tuning_steps']}",
        "noisy-limit": power((2 * data.attrs["tuning_steps"]) ** -0.5, 2),
        "form-from": f"{data['rate'].values[data['form_diverged'].values == 1].min():.2g}",
        "noisy-low": power(spread.min(), 2),
        "noisy-high": power(spread.max(), 2),
        "bound-share": power_above(share.max(), 1),
        "constant-low": f"{constant.min():.1f}",
        "constant-high": power(constant.max(), 1),
        "slowest-gradient": f"{float(data['smallest_gradient'].isel(tuning_step=-1, rate=-1).max()):.2g}",
        "slowest-slope": at_most(smallest_slope(data)).replace("-", "−"),
        "noise-slope": number(noise_slopes(data).mean(), ".2f"),
        "alpha": f"{data.attrs['alpha']:.6f}",
        "growth": f"{float(data['schedule'][-1] / data['schedule'][0]):.3g}",
        "exact": power_above(max(found["exponential"], found["empty buffer"])),
        "cosine": power_above(data["cosine"].sel(run=["exponential", "empty buffer"]).max()),
        "naive": f"{found['naive']:.2g}",
        "dropped": f"{found['decay dropped']:.2g}",
        "excess": f"{100 * excess:.1f} %",
        "norm-error": power_above(abs(ratio - 1).max()),
        "settles": power_above(settles),
        "jumps": power(jumps, 1),
        "rate-error": power(data["rate_error"]),
        "rough": power(data["rough_difference"], 1),
        "calm": power_above(calm.max()),
        "restless": " to ".join(dict.fromkeys(f"{end:.2f}" for end in (restless.min(), restless.max()))),
        "starts": f"{data.sizes['judging_seed']}",
        "together": (
            "Normalization alone converges; a quadratic form with decay alone converges; together they do not."
            if calm.max() < CALM and restless.min() > RESTLESS
            else "At these values normalization and decay do not keep each other from converging."
        ),
    }


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the bound, slope or largest difference that it states."""
    clean = data["effective_rate"].sel(noise=0)
    inside = bool(((clean >= data["lowest"]) & (clean <= data["highest"])).all())
    rates, steps = data["rate"].values, data.attrs["tuning_steps"]
    diverged = rates[data["form_diverged"].values == 1]
    control = f"diverges from {diverged.min():.2g} on" if len(diverged) else "does not diverge either"
    share, found, slopes = share_of_bound(data), differences(data), noise_slopes(data)
    exact, (settles, jumps) = max(found["exponential"], found["empty buffer"]), data["step_difference"].values
    calm, restless = data["restless"].values
    return rule([
        Evidence(
            "scale-invariant-step-tunes-itself",
            f"For learning rates from {power(rates[0])} to {power(rates[-1])} w²/ℓ the last effective learning rates "
            f"are between {power(clean.min(), 1)} and {float(clean.max()):.2g} per ℓ; on the quadratic form itself "
            f"gradient descent {control}.",
            checks={"within the bounds": inside, "the form diverges": len(diverged) > 0},
        ),
        Evidence(
            "stationary-at-any-rate",
            f"The smallest unit gradient of {steps} steps is at most {at_most(share.max())} of the bound "
            r"$K/\sqrt{T}$ at every rate, with $K$ from the largest norm that gradient descent can reach.",
            checks={"bound": bool(share.max() <= 1)},
        ),
        Evidence(
            "stationary-with-noise",
            f"Mean slope of the logarithms {number(slopes.mean(), '.3f')}, for learning rates from 0.1 to 100 w²/ℓ "
            "together; claimed is −0.25.",
            {"slope": slopes + 0.25},
        ),
        Evidence(
            "decay-is-a-growing-rate",
            f"Losses of {data.sizes['step']} steps differ by at most {power_above(exact)} l; at the same rates "
            "with the "
            f"buffer left at zero by {found['naive']:.2g} ℓ, without decay at all by {found['decay dropped']:.2g} ℓ.",
            checks={"same trajectory": bool(exact < SAME)},
        ),
        Evidence(
            "step-decay-is-tapered-growth",
            f"Losses differ by up to {power(jumps, 1)} l if the growth jumps with the rate and the buffer is left as "
            f"it is, and by {power(settles)} l if the growth settles as the buffer forgets.",
            checks={"growth jumps": bool(jumps < SAME), "growth settles": bool(settles < SAME)},
        ),
        Evidence(
            "normalization-with-decay-is-restless",
            f"Largest unit gradient of the second half of {steps} steps, over seeds: up to {power_above(calm.max())} l "
            f"without decay, at least {restless.min():.2g} ℓ with it.",
            {
                "converges without decay": np.log10(CALM) - np.log10(np.maximum(calm, 1e-300)),
                "does not with it": np.log10(restless / RESTLESS),
            },
        ),
    ])  # fmt: skip


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
    axes.set(xscale="log", yscale="log", ylim=(3e-5, 3e3), xlabel="learning rate $\\eta$ [w²/ℓ]",
             ylabel="last effective rate $\\eta/r^2$ [1/ℓ]", title="(a)")  # fmt: skip
    small = {"fontsize": 7.5}
    axes.annotate("not scale-invariant:\ndiverges (×)", (30, 60), (-4, 2), textcoords="offset points", ha="right",
                  color="#888888", **small)  # fmt: skip
    axes.annotate("scale-invariant", (300, 0.15), (0, 0), textcoords="offset points", color=blue, **small)
    axes.annotate("with noise", (0.3, 0.0022), (0, -6), textcoords="offset points", color=red, **small)
    axes.annotate("bounds", (1.0, 0.02), (0, 0), textcoords="offset points", ha="center", **small)


def _draw_losses(axes, data: xr.Dataset) -> None:
    other = data["loss"] + data["difference"].sel(run="exponential").isel(seed=0)
    step, loss, other = (_tens(data[name] if name else other).mean(1) for name in ("step", "loss", ""))
    axes.plot(step, loss, color=COLOR["original"], linewidth=2.6, alpha=0.6)
    axes.plot(step, other, **predicted())
    axes.set(xlabel="step $n$", ylabel="training loss $f$ [ℓ]", xlim=(0, data.sizes["step"]), title="(b)", yscale="log")
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
    axes.set(xlabel="step $n$", ylabel="rate $\\eta$ [w²/ℓ], norm $r$ [w]", yscale="log", xlim=(0, data.sizes["step"]),
             title="(c)")  # fmt: skip


def _draw_differences(axes, data: xr.Dataset) -> None:
    lines = (
        ("decay dropped", None, "decay dropped, rate kept"),
        ("naive", COLOR["scale"], "growing rate, buffer at zero"),
        ("exponential", COLOR["transformed"], "growing rate, matched buffer"),
        ("empty buffer", COLOR["heavy_ball"], "warmed-up rate, empty buffer"),
    )
    step = _tens(data["step"]).mean(1)
    for run, color, _ in lines:
        size = np.array([_tens(abs(row)).max(1) for row in data["difference"].sel(run=run)]).clip(1e-16)
        if color:
            band(axes, step, size, color, linewidth=1.0)
        else:
            axes.plot(step, np.median(size, 0), **BASELINE)
    for place, (_, color, text) in zip((0.94, 0.74, 0.26, 0.18), lines, strict=True):
        axes.text(0.97, place, text, color=color or "#888888", transform=axes.transAxes, fontsize=8, ha="right")
    axes.set(xlabel="step $n$", ylabel="loss difference $|\\Delta f|$ [ℓ]", yscale="log", ylim=(3e-17, 3),
             xlim=(0, data.sizes["step"]), title="(d)")  # fmt: skip


def _tens(values) -> np.ndarray:
    """Ten steps a row; a rest of the run that does not fill a row is left out."""
    return np.asarray(values)[: len(values) // 10 * 10].reshape(-1, 10)


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    clean, found = data["effective_rate"].sel(noise=0), differences(data)
    grown = float(data["schedule"][-1] / data["schedule"][0])
    naive = f", if buffer and rates match, and {found['naive']:.1g} ℓ if the buffer is left at zero"
    return (
        "Weights in front of a normalization tune their own step, and for them weight decay is a growing learning "
        "rate. **(a)** Effective learning rate after "
        f"{data.attrs['tuning_steps']} steps of gradient descent on $\\langle q, Aq\\rangle/\\|q\\|^2$: blue between "
        f"the two bounds (dashed), at most {at_most(clean.max())} per ℓ, over six decades of $\\eta$; with noise "
        "(red) it forgets $\\eta$, as T&K (17) without momentum says (dashed). On $\\langle q, Aq\\rangle$ itself "
        "(grey), where no norm can grow, it diverges. **(b)** Losses of a batch-normalized network on digits with "
        "weight decay "
        "(blue) and without it at an exponentially growing learning rate (dashed, a training run). **(c)** Their "
        f"rates, one constant, one {grown:.3g} times larger at the end, and the norms of all their weights; dashed: "
        "the blue norm times $\\alpha^{-n}$. **(d)** Differences of the losses to the run with decay: at most "
        f"{power_above(max(found['exponential'], found['empty buffer']))} l"
        f"{naive if data.attrs['momentum'] else ', and without momentum there is no buffer to match'}. "
        "Largest of ten steps, median and range of "
        f"{data.sizes['seed']} seeds; zeros drawn at $10^{{-16}}$. $\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ, "
        f"$\\beta = {data.attrs['momentum']:g}$, $k = {data.attrs['weight_decay']:g}$ ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    (clean, noisy), found = data["effective_rate"].median("seed").transpose("noise", "rate").values, differences(data)
    sizes = [power(found[run]) for run in ("exponential", "empty buffer", "naive", "decay dropped")]
    return (
        f"Four panels. (a) Blue dots rise with the learning rate to {clean.max():.2g} and fall again, between dashed "
        f"bounds; red squares lie at {power(noisy.min(), 1)} to {power(noisy.max(), 1)}; grey crosses on the diagonal "
        "mark divergence. (b) A dashed loss curve lies on a solid blue one. (c) On a logarithmic axis one rate is "
        "level and the other a rising straight line; likewise one norm rises above the other. (d) Four differences of "
        f"losses; their largest values are {', '.join(sizes)} l."
    )
