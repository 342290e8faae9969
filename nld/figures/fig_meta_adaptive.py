"""Normalization gives Adam a third memory, and k-Adam does not imitate it. Beyond the paper: Gould and Tanaka 2024."""

from dataclasses import replace

import numpy as np
import xarray as xr

from nld.experiment.studies import train_with_rule
from nld.experiment.studies.measure import squared_norms
from nld.figures._render.style import BASELINE, COLOR, band, new_figure, predicted
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules import rules
from nld.learning_rules.rules import LearningRule
from nld.paper import Claim
from nld.theory import adam

NORM_MOMENTA, NORM_DECAY, NORM_STEPS = (0.0, 0.9), 0.999, 600
# (beta_i), (rho_i), network: what is trained at every learning rate
METHODS = {
    "Adam": ((0.9,), (0.999,), "bare_mlp"),
    "2-Adam, second stage without momentum": ((0.9, 0.0), (0.999, 0.999), "bare_mlp"),
    "2-Adam, equal stages": ((0.9, 0.9), (0.999, 0.999), "bare_mlp"),
    "Adam with normalization": ((0.9,), (0.999,), "mlp"),
}
RATES, METHOD_STEPS, METHOD_DECAY, METHOD_SEEDS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 200, 0.1, 3

# The learning rate of each method at which the selection seeds have the smallest median loss, and the 2-Adam that is
# ahead at its own: chosen with the seeds that are drawn, judged with others.
SELECTED = {"Adam": 1e-2, "2-Adam, second stage without momentum": 3e-3, "Adam with normalization": 1e-2}
EVIDENCE = "results/evidence/fig-meta-adaptive.nc"

PLACE = ((), "fig-meta-adaptive", "book/adam-and-normalization", "gould2024continuous")
CLAIMS = (
    Claim("meta-adaptive-norm", "Under Adam with decoupled decay the norm of a scale-invariant weight is the root of "
          "an exponential average of squared updates.", *PLACE),
    Claim("two-adam-is-normalization", "2-Adam is to Adam what a normalization layer is: k = 2 is Adam with "
          "normalization.", *PLACE),
    Claim("two-adam-outperforms", "2-Adam outperforms Adam.", *PLACE),
)  # fmt: skip
SMALL = {"textcoords": "offset points", "fontsize": 8}


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


def norms(seed: int, learning_rate: float, weight_decay: float, label_noise: float) -> xr.Dataset:
    """Mean squared norm of the filters of a layer under AdamW, measured and predicted from its updates.

    ``shared_ratio``: measured over predicted at the end, if the weights of a filter share one denominator.
    """
    measured, given, shared = [], [], []
    for momentum in NORM_MOMENTA:
        rule = rules.adam(learning_rate, momentum, NORM_DECAY, weight_decay, 1e-12, decoupled=True)
        values, predictions = (each.mean(0) for each in _norms_of(rule, rule, (seed, seed + 1), label_noise))
        measured.append(values)
        given.append(predictions)
        alike = replace(rule, update=_shared_update)
        values, predictions = (each.mean(0) for each in _norms_of(alike, rule, (seed, seed + 1), label_noise))
        shared.append(values[-1] / predictions[0, -1])
    units = {"units": "w²"}
    return xr.Dataset(
        {
            "norm": (("norm_momentum", "norm_step", "layer"), np.array(measured), units),
            "norm_predicted": (("norm_momentum", "closure", "norm_step", "layer"), np.array(given), units),
            "shared_ratio": (("norm_momentum", "layer"), np.array(shared), {"units": "1"}),
        },
        coords={"norm_momentum": list(NORM_MOMENTA), "norm_step": np.arange(NORM_STEPS + 1), "layer": [1, 2, 3],
                "closure": list(adam.CLOSURES)},
    )  # fmt: skip


def _norms_of(trained: LearningRule, rule: LearningRule, seeds, label_noise: float) -> tuple:
    """Means over the filters of a layer: measured (seed, step, layer), predicted (seed, closure, step, layer)."""
    record = train_with_rule.train_with_rule(
        trained, seeds, steps=NORM_STEPS, network="digits_cnn", width=0.5, epsilon=1e-12,
        label_noise=label_noise,
    )  # fmt: skip
    values = squared_norms(record)
    predictions = [
        [adam.predict_squared_norm_from_updates(rule, moved, start, closure).value for closure in adam.CLOSURES]
        for moved, start in zip(record["squared_update"].values, values[:, 0], strict=True)
    ]
    return _by_layer(values), _by_layer(np.array(predictions))


def _shared_update(rule: LearningRule, q, state, gradient):
    """AdamW with one denominator for all weights of a filter, the root of their mean square."""
    n, buffer, square = state or (0, 0, 0)
    force, n = gradient(q), n + 1
    squares = force**2
    axes = tuple(range(2, squares.ndim))  # the first two are the member and the filter
    mean = squares.mean(axes, keepdims=True) if axes else squares
    buffer = rule.momentum * buffer + (1 - rule.momentum) * force
    square = rule.square_decay * square + (1 - rule.square_decay) * mean
    scale = (square / (1 - rule.square_decay**n)) ** 0.5 + rule.epsilon
    step = rule.learning_rate * buffer / (1 - rule.momentum**n) / scale
    return (1 - rule.learning_rate * rule.weight_decay) * q - step, (n, buffer, square)


def _by_layer(values: np.ndarray) -> np.ndarray:
    """Means over the 4, 8 and 16 filters of the layers: (..., 28) to (..., 3)."""
    return np.stack([part.mean(-1) for part in np.split(values, (4, 12), axis=-1)], -1)


def methods(seed: int) -> xr.Dataset:
    """Training loss over the last twenty steps and test accuracy of each method at each learning rate."""
    shape = (len(METHODS), len(RATES), METHOD_SEEDS)
    loss, accuracy = np.empty(shape), np.empty(shape)
    for i, (momenta, decays, network) in enumerate(METHODS.values()):
        for j, rate in enumerate(RATES):
            rule = rules.k_adam(rate, momenta, decays, METHOD_DECAY, 1e-12)
            seeds = range(seed, seed + METHOD_SEEDS)
            record = train_with_rule.train_with_rule(rule, seeds, steps=METHOD_STEPS, network=network, width=0.5)
            loss[i, j], accuracy[i, j] = record["loss"].values[:, -20:].mean(1), record["test_accuracy"].values
    return xr.Dataset(
        {
            "method_loss": (("method", "rate", "member"), loss, {"units": "ℓ"}),
            "method_accuracy": (("method", "rate", "member"), accuracy, {"units": "1"}),
        },
        coords={"method": list(METHODS), "rate": list(RATES)},
    )


def measure(seeds, learning_rate: float = 0.01, weight_decay: float = 0.3, label_noise: float = 0.4) -> xr.Dataset:
    """What rules, one row a seed: losses at the selected rates, and measured over predicted norms at the end."""
    losses = []
    for name, rate in SELECTED.items():
        momenta, decays, network = METHODS[name]
        rule = rules.k_adam(rate, momenta, decays, METHOD_DECAY, 1e-12)
        record = train_with_rule.train_with_rule(rule, seeds, steps=METHOD_STEPS, network=network, width=0.5)
        losses.append(record["loss"].values[:, -20:].mean(1))
    ratios = []
    for momentum in NORM_MOMENTA:
        rule = rules.adam(learning_rate, momentum, NORM_DECAY, weight_decay, 1e-12, decoupled=True)
        values, predictions = _norms_of(rule, rule, seeds, label_noise)
        ratios.append(values[:, None, -1] / predictions[:, :, -1])  # (seed, closure, layer)
    return xr.Dataset(
        {
            "judged_loss": (("judging_seed", "judged_method"), np.array(losses).T, {"units": "ℓ"}),
            "judged_norm_ratio": (
                ("norm_momentum", "judging_seed", "closure", "layer"), np.array(ratios), {"units": "1"},
            ),
        },
        coords={"judging_seed": list(seeds), "judged_method": list(SELECTED), "norm_momentum": list(NORM_MOMENTA),
                "closure": list(adam.CLOSURES), "layer": [1, 2, 3]},
    ).transpose("judging_seed", ...)  # fmt: skip


def best(data: xr.Dataset) -> dict[str, float]:
    """Median loss of each method at its best learning rate."""
    return dict(zip(data["method"].values, data["method_loss"].median("member").min("rate").values, strict=True))


def norm_ratios(data: xr.Dataset, closure: str, momentum: float) -> np.ndarray:
    """Measured over predicted squared norm at the end, one a layer."""
    end = data.isel(norm_step=-1).sel(norm_momentum=momentum)
    return (end["norm"] / end["norm_predicted"].sel(closure=closure)).values


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
        f"{_list(means['momentum 0.9, corrected'])} "
        "once the average is multiplied by (1 + beta)/(1 - beta).",
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
    for letter, axes in zip("ab", (a, b), strict=True):
        axes.set_title(f"({letter})", fontsize=9)
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
    axes.annotate("$\\beta = 0$", (step[-1], end[0]), (0, 5), color=colors[0], ha="right", **SMALL)
    axes.annotate(last, (step[-1], end[1]), (0, -16), color=colors[1], ha="right", **SMALL)
    paper = layer["norm_predicted"].sel(closure="orthogonal").values[1]
    text = f"average of squared\nupdates, {last}"
    axes.annotate(text, (step[len(step) // 2], paper[len(step) // 2]), (4, 12), color=BASELINE["color"], **SMALL)
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
        axes.annotate(text, (rate[at], middle[index, at]), shift, color=colors[index], ha=side, **SMALL)
    axes.set(xlabel="learning rate $\\eta$ [w]", ylabel="training loss $f$ [ℓ]", xscale="log", yscale="log")


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
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
    """What the figure shows, for those who cannot see it."""
    losses = list(best(data).values())
    moving = norm_ratios(data, "orthogonal", NORM_MOMENTA[1])
    return (
        "Left: two norms on dashed curves, and a dotted curve that falls to a factor of "
        f"{moving[-1]:.0f} below them. Right: four curves of loss over learning rate, with lowest points "
        f"{losses[0]:.3f} for Adam, {losses[1]:.3f} and {losses[2]:.3f} for two kinds of 2-Adam, and {losses[3]:.3f} "
        "for Adam with normalization."
    )
