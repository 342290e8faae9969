"""Normalization gives Adam a third memory, and k-Adam does not imitate it. Beyond the paper: Gould and Tanaka 2024."""

import numpy as np
import xarray as xr

from nld.figures._data.adam_stages import METHOD_DECAY, METHOD_STEPS, RATES, SELECTED, best, judged_losses, methods
from nld.figures._data.filter_norms_under_adam import NORM_DECAY, NORM_MOMENTA, judged_norm_ratios, norm_ratios, norms
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, band, new_figure, predicted
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

EVIDENCE = "results/evidence/fig-meta-adaptive.nc"

PLACE = ((), "fig-meta-adaptive", "book/adam-and-normalization", "gould2024continuous")
CLAIMS = (
    Claim("meta-adaptive-norm", "Under Adam with decoupled decay the norm of a scale-invariant weight is the root of "
          "an exponential average of squared updates.", *PLACE),
    Claim("two-adam-is-normalization", "2-Adam is to Adam what a normalization layer is: k = 2 is Adam with "
          "normalization.", *PLACE),
    Claim("two-adam-outperforms", "2-Adam outperforms Adam.", *PLACE),
)  # fmt: skip


def compute(
    profile: str, *, seed: int = 0, learning_rate: float = 0.01, weight_decay: float = 0.3, label_noise: float = 0.4
) -> xr.Dataset:
    """Norms of a network under AdamW, and losses of Adam, 2-Adam and Adam with normalization; one for all profiles.

    ``learning_rate``, ``weight_decay`` and ``label_noise`` are those of the norms.
    """
    setting = (learning_rate, weight_decay, label_noise)
    ruling = judged(EVIDENCE, lambda seeds: measure(seeds, *setting), seed=seed, registered=setting == (0.01, 0.3, 0.4))
    parts = [norms(seed, *setting), methods(seed), ruling]
    data = xr.merge(parts, combine_attrs="no_conflicts")
    return data.assign_attrs(
        seed=seed, learning_rate=learning_rate, weight_decay=weight_decay, label_noise=label_noise,
        square_decay=NORM_DECAY, method_decay=METHOD_DECAY,
    )  # fmt: skip


def measure(seeds, learning_rate: float = 0.01, weight_decay: float = 0.3, label_noise: float = 0.4) -> xr.Dataset:
    """What rules, one row a seed: losses at the selected rates, and measured over predicted norms at the end."""
    ratios = judged_norm_ratios(seeds, learning_rate, weight_decay, label_noise)
    return xr.merge([judged_losses(seeds), ratios]).transpose("judging_seed", ...)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Norms within a fifth, and losses at the selected learning rates, over the judging seeds."""
    return rule([_norm(data), *_k_adam(data)])


def _norm(data: xr.Dataset) -> Evidence:
    ratio = data["judged_norm_ratio"]
    still, moving = (ratio.sel(norm_momentum=m, closure="orthogonal") for m in NORM_MOMENTA)
    fixed = ratio.sel(norm_momentum=NORM_MOMENTA[1], closure="relaxed")
    samples = {"without momentum": still, "momentum 0.9": moving, "momentum 0.9, corrected": fixed}
    means = {name: values.mean("judging_seed").values for name, values in samples.items()}
    return Evidence(
        "meta-adaptive-norm",
        f"Squared norm over the average of squared updates, by layer: {_list(means['without momentum'])} at momentum "
        f"0, {_list(means['momentum 0.9'])} at {NORM_MOMENTA[1]:g}, and there "
        f"{_list(means['momentum 0.9, corrected'])} once the average is multiplied by (1 + beta)/(1 - beta).",
        {name: np.log(values.values).mean(-1) for name, values in samples.items()},
    )


def _k_adam(data: xr.Dataset) -> list[Evidence]:
    loss = np.log(data["judged_loss"].values)
    plain, twice, normalized = loss.T
    per_rate = data["method_loss"].median("member")
    ahead = data["rate"].values[(per_rate.isel(method=1) < per_rate.isel(method=0)).values]
    listed = f": {', '.join(f'{rate:g}' for rate in ahead)} w" if len(ahead) else ""
    means = ", ".join(f"{np.exp(x.mean()):.3f} ℓ with {name}" for x, name in zip(loss.T, SELECTED, strict=True))
    numbers = f"Training loss on digits, each at the learning rate that other seeds chose, geometric means: {means}."
    way = (plain - twice) - 0.5 * (plain - normalized)  # beyond half of the way from Adam to normalization
    return [
        Evidence(
            "two-adam-is-normalization", numbers,
            {"normalization helps": plain - normalized, "2-Adam goes half of the way": way},
        ),
        Evidence(
            "two-adam-outperforms",
            f"{numbers} At equal learning rates, 2-Adam without momentum in its second stage has the smaller median "
            f"loss at {len(ahead)} of {len(RATES)}{listed}.",
            {"smaller loss": plain - twice},
        ),
    ]  # fmt: skip


def _list(values) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def draw(data: xr.Dataset):
    """Norms on the left, losses over learning rates on the right."""
    figure, (a, b) = new_figure(1, 2, size=(6.4, 3.2))
    _draw_norms(a, data)
    _draw_methods(b, data)
    a.set_title("(a) norm of a filter under AdamW")
    b.set_title("(b) loss by learning rate")
    return figure


def _draw_norms(axes, data: xr.Dataset) -> None:
    layer, step = data.isel(layer=-1), data["norm_step"].values
    colors = (COLOR["rmsprop"], COLOR["adamw"])
    for index, color in enumerate(colors):
        row = layer.isel(norm_momentum=index)
        axes.plot(step, row["norm"], color=color)
        axes.plot(step, row["norm_predicted"].sel(closure="charge"), **predicted())
        axes.plot(step, row["norm_predicted"].sel(closure="orthogonal"), **BASELINE)
    end, last = layer["norm"].values[:, -1], f"$\\beta = {NORM_MOMENTA[1]:g}$"
    label_point(axes, "$\\beta = 0$", (step[-1], end[0]), (0, 5), color=colors[0], ha="right")
    label_point(axes, last, (step[-1], end[1]), (0, -16), color=colors[1], ha="right")
    paper = layer["norm_predicted"].sel(closure="orthogonal").values[1]
    text = f"average of squared\nupdates, {last}"
    label_point(axes, text, (step[len(step) // 2], paper[len(step) // 2]), (4, 12), color=BASELINE["color"])
    label_panel(axes, "solid: measured\ndashed: predicted, with the charge", 0.16, 0.6)
    axes.set(xlabel="step $n$", ylabel="mean squared norm $\\|q\\|^2$ [w²]", yscale="log", xlim=(0, step[-1]))


def _draw_methods(axes, data: xr.Dataset) -> None:
    colors = (COLOR["adam"], COLOR["heavy_ball"], COLOR["nesterov"], COLOR["adamw"])
    rate, loss = data["rate"].values, data["method_loss"]
    for index, color in enumerate(colors):
        band(axes, rate, loss.values[index].T, color, marker="osD^"[index], markersize=4)
    middle = loss.median("member").values
    texts = (("Adam", 5, (3, 6), "right"), ("2-Adam", 4, (-1, 9), "right"),
             ("2-Adam,\nequal stages", 4, (-20, 12), "center"),
             ("Adam with\nnormalization", 3, (-6, -8), "right"))  # fmt: skip
    for index, (text, at, shift, side) in enumerate(texts):
        label_point(axes, text, (rate[at], middle[index, at]), shift, color=colors[index], ha=side)
    axes.set(xlabel="learning rate $\\eta$ [w]", ylabel="training loss $f$ [ℓ]", xscale="log", yscale="log")


def caption(data: xr.Dataset) -> str:
    still, moving = (norm_ratios(data, "orthogonal", momentum) for momentum in NORM_MOMENTA)
    exact = np.concatenate([norm_ratios(data, "charge", momentum) for momentum in NORM_MOMENTA])
    losses = list(best(data).values())
    return (
        "Behind a normalization, the squared norm remembers Adam's updates, if momentum is counted. **(a)** Mean "
        "squared norm of the filters of a layer under AdamW. Dashed, predicted from the lengths of the updates with "
        "the Noether charge; dotted, their exponential average, which takes the charge for zero. Measured over dashed "
        f"ends at {exact.min():.2f} to {exact.max():.2f} in three layers and at both momenta; measured over dotted at "
        f"{still.min():.2f} to {still.max():.2f} for $\\beta = 0$, but {moving.min():.0f} to {moving.max():.0f} for "
        f"$\\beta = {NORM_MOMENTA[1]:g}$. Digits with {100 * data.attrs['label_noise']:.0f} % wrong labels, $\\eta = "
        f"{data.attrs['learning_rate']:g}$ w, $k = {data.attrs['weight_decay']:g}$ 1/w. **(b)** Training loss over the "
        f"last 20 of {METHOD_STEPS} steps on clean digits, medians and ranges of {data.sizes['member']} seeds: at "
        f"their best learning rates Adam reaches {losses[0]:.3f} ℓ, 2-Adam {min(losses[1:3]):.3f} ℓ, and Adam with "
        f"batch normalization {losses[3]:.3f} ℓ."
    )


def alt(data: xr.Dataset) -> str:
    losses = list(best(data).values())
    moving = norm_ratios(data, "orthogonal", NORM_MOMENTA[1])
    return (
        f"Left: two norms on dashed curves, and a dotted curve that falls to a factor of {moving[-1]:.0f} below them. "
        f"Right: four curves of loss over learning rate, with lowest points {losses[0]:.3f} for Adam, {losses[1]:.3f} "
        f"and {losses[2]:.3f} for two kinds of 2-Adam, and {losses[3]:.3f} for Adam with normalization."
    )
