"""Adam's two memories bound its updates, and a normalization layer adds a third. Beyond the paper.

Gould and Tanaka 2024 in discrete time: where updates are bounded, how they grow, what they do to norms, and k-Adam.
"""

import numpy as np
import xarray as xr

from nld import learning_rule as rules
from nld.experiment import by_rule
from nld.figures.style import BASELINE, COLOR, band, new_figure, predicted
from nld.paper import Claim
from nld.theory import adam
from nld.verdict import CORRECTED, REFUTED, REPRODUCED, Verdict

CHAPTER = "book/adam-and-normalization"
SETTINGS = ((0.9, 0.999), (0.69, 0.5), (0.98, 0.9))  # momentum and square decay: inside, between the bounds, outside
GROWING = ((0.99, 0.95), (0.95, 0.9), (0.8, 0.5))  # outside, from long to short memories
NETWORK_STEPS = 300
NORM_MOMENTA, NORM_DECAY, NORM_STEPS = (0.0, 0.9), 0.999, 600
# (beta_i), (rho_i), network: what is trained at every learning rate
METHODS = {
    "Adam": ((0.9,), (0.999,), "bare_mlp"),
    "2-Adam, second stage without momentum": ((0.9, 0.0), (0.999, 0.999), "bare_mlp"),
    "2-Adam, equal stages": ((0.9, 0.9), (0.999, 0.999), "bare_mlp"),
    "Adam with normalization": ((0.9,), (0.999,), "mlp"),
}
RATES, METHOD_STEPS, METHOD_DECAY, METHOD_SEEDS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 200, 0.1, 3

SOURCE = "gould2024continuous"
CLAIMS = (
    Claim("adam-stable-region", "Adam's updates are bounded where 2 (1 - beta)/beta > (1 - rho)/rho and can grow "
          "exponentially where the inequality is reversed.", (), "fig-adam", CHAPTER, SOURCE),
    Claim("adam-growth-rate", "Outside the stable region updates grow at the rate |C|/2 a step, "
          "C = 2 (1 - beta)/beta - (1 - rho)/rho.", (), "fig-adam", CHAPTER, SOURCE),
    Claim("meta-adaptive-norm", "Under Adam with decoupled decay the norm of a scale-invariant weight is the root of an "
          "exponential average of squared updates.", (), "fig-adam", CHAPTER, SOURCE),
    Claim("two-adam-is-normalization", "2-Adam is to Adam what a normalization layer is: k = 2 is Adam with "
          "normalization.", (), "fig-adam", CHAPTER, SOURCE),
    Claim("two-adam-outperforms", "2-Adam outperforms Adam.", (), "fig-adam", CHAPTER, SOURCE),
    Claim("adam-largest-step", "A step of Adam is at most the learning rate times the larger of 1 and "
          "(1 - beta)/sqrt(1 - rho), reached by one gradient after silence.", (), "fig-adam", CHAPTER,
          "kingma2015adam"),
)  # fmt: skip


def compute(
    profile: str, *, seed: int = 0, learning_rate: float = 0.01, weight_decay: float = 0.3, label_noise: float = 0.4
) -> xr.Dataset:
    """Bounds and what attains them, updates and norms in small networks, and k-Adam; one for all profiles.

    ``learning_rate``, ``weight_decay`` and ``label_noise`` are those of the norms in (c).
    """
    attributes = {
        "seed": seed, "learning_rate": learning_rate, "weight_decay": weight_decay, "label_noise": label_noise,
        "network_rate": 1e-3, "method_decay": METHOD_DECAY,
    }  # fmt: skip
    parts = [plane(), boundary(), largest(seed, attributes["network_rate"]), growth()]
    parts += [norms(seed, learning_rate, weight_decay, label_noise), methods(seed)]
    return xr.merge(parts).assign_attrs(attributes)


def plane() -> xr.Dataset:
    """The exact largest update over momentum and square decay."""
    momentum, decay = np.linspace(0, 0.995, 100), np.linspace(0.01, 0.995, 100)
    values = adam.largest_update(momentum, decay[:, None])
    attributes = {"units": "1", "long_name": "largest update after infinitely many steps"}
    return xr.Dataset(
        {"largest_plane": (("plane_decay", "plane_momentum"), values, attributes)},
        coords={"plane_decay": decay, "plane_momentum": momentum},
    )


def run_updates(momentum, square_decay, gradients) -> np.ndarray:
    """u_n of Adam on given gradients, (steps, ...): the negative of a step from zero at learning rate one."""
    rule, state, found = rules.adam(1.0, momentum, square_decay, epsilon=1e-300), (), []
    for gradient in gradients:
        q, state = rule.step(np.zeros_like(gradient), state, lambda _, gradient=gradient: gradient)
        found.append(-q)
    return np.array(found)


def boundary(steps: int = 250) -> xr.Dataset:
    """The momentum at which Adam's updates, after one gradient and then none, neither fall nor grow; by running it."""
    decay, momentum = np.linspace(0.1, 0.95, 12), np.linspace(0.05, 0.998, 475)[:, None]
    spike = np.zeros((steps, len(momentum), len(decay)))
    spike[0] = 1
    found = run_updates(momentum, decay, spike)
    grown = np.log(found[-1] / found[steps // 2])
    first = (grown > 0).argmax(0)
    columns = np.arange(len(decay))
    low, high = grown[first - 1, columns], grown[first, columns]
    located = momentum[first - 1, 0] + (momentum[1, 0] - momentum[0, 0]) * low / (low - high)
    attributes = {"units": "1", "long_name": "momentum above which updates grow, located by running Adam"}
    return xr.Dataset({"boundary": (("boundary_decay",), located, attributes)}, coords={"boundary_decay": decay})


def largest(seed: int, learning_rate: float) -> xr.Dataset:
    """Largest updates after n steps at the three settings: laws, worst gradients, and a network on digits."""
    momentum, decay = np.array(SETTINGS).T[..., None]
    step, worst_step = np.arange(1, NETWORK_STEPS + 1), np.array([1, 2, 4, 8, 16, 32, 64, 100, 150, 200, 250, 300])
    worst = [[run_updates(*s, adam.worst_gradients(*s, n))[-1] for n in worst_step] for s in SETTINGS]
    trained = [
        by_rule.train(rules.adam(learning_rate, *s, epsilon=0, decoupled=True), (seed,), steps=NETWORK_STEPS, width=0.5)
        for s in SETTINGS
    ]
    units = {"units": "1"}
    return xr.Dataset(
        {
            "law": (("setting", "update_step"), adam.largest_update(momentum, decay, step), units),
            "continuous": (("setting", "update_step"), adam.continuous_largest_update(momentum, decay, step), units),
            "worst": (("setting", "worst_step"), np.array(worst), units),
            "network_update": (
                ("setting", "update_step"), np.stack([t["largest_update"].values[0] for t in trained]), units
            ),
        },
        coords={"update_step": step, "worst_step": worst_step, "momentum": ("setting", momentum[:, 0]),
                "square_decay": ("setting", decay[:, 0])},
    )  # fmt: skip


def growth(steps: int = 200) -> xr.Dataset:
    """Rate at which updates grow after a single gradient, and what discrete and continuous time say it is."""
    momentum, decay = np.array(GROWING).T
    spike = np.zeros((4 * steps, len(GROWING)))
    spike[0] = 1
    found = run_updates(momentum, decay, spike)
    rates = [np.log(found[-1] / found[-steps - 1]) / steps, adam.growth_rate(momentum, decay),
             -adam.continuous_exponent(momentum, decay) / 2]  # fmt: skip
    return xr.Dataset(
        {"growth_rate": (("origin", "growing"), np.stack(rates), {"units": "1/step"})},
        coords={"origin": ["measured", "discrete", "continuous"], "growing_momentum": ("growing", momentum),
                "growing_decay": ("growing", decay)},
    )  # fmt: skip


def norms(seed: int, learning_rate: float, weight_decay: float, label_noise: float) -> xr.Dataset:
    """Mean squared norm of the filters of a layer under AdamW, measured and predicted from its updates."""
    measured, given = [], []
    for momentum in NORM_MOMENTA:
        rule = rules.adam(learning_rate, momentum, NORM_DECAY, weight_decay, 1e-12, decoupled=True)
        record = by_rule.train(
            rule, (seed, seed + 1), steps=NORM_STEPS, network="digits_cnn", width=0.5, epsilon=1e-12,
            label_noise=label_noise,
        )  # fmt: skip
        values = by_rule.squared_norms(record)
        predictions = [
            [adam.predict_squared_norm_from_updates(rule, u, r[0], closure).value for closure in adam.CLOSURES]
            for u, r in zip(record["squared_update"].values, values, strict=True)
        ]
        measured.append(_by_layer(values).mean(0))
        given.append(_by_layer(np.array(predictions)).mean(0))
    units = {"units": "w²"}
    return xr.Dataset(
        {
            "norm": (("norm_momentum", "norm_step", "layer"), np.array(measured), units),
            "norm_predicted": (("norm_momentum", "closure", "norm_step", "layer"), np.array(given), units),
        },
        coords={"norm_momentum": list(NORM_MOMENTA), "norm_step": np.arange(NORM_STEPS + 1), "layer": [1, 2, 3],
                "closure": list(adam.CLOSURES)},
    )  # fmt: skip


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
            record = by_rule.train(rule, seeds, steps=METHOD_STEPS, network=network, width=0.5)
            loss[i, j], accuracy[i, j] = record["loss"].values[:, -20:].mean(1), record["test_accuracy"].values
    return xr.Dataset(
        {
            "method_loss": (("method", "rate", "member"), loss, {"units": "l"}),
            "method_accuracy": (("method", "rate", "member"), accuracy, {"units": "1"}),
        },
        coords={"method": list(METHODS), "rate": list(RATES)},
    )


def best(data: xr.Dataset) -> dict[str, float]:
    """Median loss of each method at its best learning rate."""
    return dict(zip(data["method"].values, data["method_loss"].median("member").min("rate").values, strict=True))


def norm_ratios(data: xr.Dataset, closure: str, momentum: float) -> np.ndarray:
    """Measured over predicted squared norm at the end, one a layer."""
    end = data.isel(norm_step=-1).sel(norm_momentum=momentum)
    return (end["norm"] / end["norm_predicted"].sel(closure=closure)).values


def judge(data: xr.Dataset) -> list[Verdict]:
    """What the measurements say of CLAIMS; each label by comparison."""
    return [_region(data), _rate(data), _norm(data), *_k_adam(data), _step_bound(data)]


def _region(data: xr.Dataset) -> Verdict:
    decay, found = data["boundary_decay"].values, data["boundary"].values
    exact = np.abs(found - adam.largest_stable_momentum(decay)).max()
    theirs = np.abs(found - adam.continuous_largest_stable_momentum(decay)).max()
    label = REPRODUCED if theirs < 0.01 else CORRECTED if exact < 0.01 else REFUTED
    return Verdict("adam-stable-region", label, (
        f"Located by running Adam, the boundary is off beta = sqrt(rho) by at most {exact:.1g} and off "
        f"beta = 2 rho/(1 + rho) by up to {theirs:.2f}; what lies between the two is bounded."
    ))  # fmt: skip


def _rate(data: xr.Dataset) -> Verdict:
    measured, discrete, continuous = data["growth_rate"].values
    exact, theirs = np.abs(discrete / measured - 1).max(), continuous / measured
    label = REPRODUCED if np.abs(theirs - 1).max() < 0.01 else CORRECTED if exact < 0.01 else REFUTED
    names = ", ".join(f"{ratio:.2f} at ({b:g}, {r:g})" for ratio, (b, r) in zip(theirs, GROWING, strict=True))
    return Verdict("adam-growth-rate", label, (
        f"Measured rates are ln beta - ln(rho)/2 to {exact:.0e}; |C|/2 over the measured rate is {names} "
        "for (beta, rho)."
    ))  # fmt: skip


def _norm(data: xr.Dataset) -> Verdict:
    still, moving = (norm_ratios(data, "orthogonal", momentum) for momentum in NORM_MOMENTA)
    fixed = norm_ratios(data, "relaxed", NORM_MOMENTA[1])
    near = [bool(np.all(np.abs(ratio - 1) < 0.2)) for ratio in (still, moving, fixed)]
    label = REPRODUCED if near[0] and near[1] else CORRECTED if near[0] and near[2] else REFUTED
    return Verdict("meta-adaptive-norm", label, (
        f"Squared norm over the average of squared updates, by layer: {_list(still)} at momentum 0, {_list(moving)} "
        f"at {NORM_MOMENTA[1]:g}, and there {_list(fixed)} once the average is multiplied by (1 + beta)/(1 - beta)."
    ))  # fmt: skip


def _k_adam(data: xr.Dataset) -> list[Verdict]:
    plain, *twice, normalized = best(data).values()
    closed = np.log(plain / min(twice)) / np.log(plain / normalized)  # share of the way from Adam to normalization
    per_rate = data["method_loss"].median("member")
    ahead = int((per_rate.isel(method=1) < per_rate.isel(method=0)).sum())
    numbers = (
        f"Digits, each at its best learning rate of {len(RATES)}: loss {plain:.3f} l with Adam, "
        f"{min(twice):.3f} l with 2-Adam, {normalized:.3f} l with Adam and batch normalization."
    )
    alike = REPRODUCED if normalized < plain and closed > 0.5 else REFUTED
    better = REPRODUCED if min(twice) < plain else REFUTED
    return [
        Verdict("two-adam-is-normalization", alike, numbers),
        Verdict("two-adam-outperforms", better, (
            f"{numbers} At equal learning rates, 2-Adam without momentum in its second stage is ahead at {ahead} of "
            f"{len(RATES)}, the smallest."
        )),
    ]  # fmt: skip


def _step_bound(data: xr.Dataset) -> Verdict:
    found, stated = worst_default(), _stated()
    label = REPRODUCED if found <= stated * (1 + 1e-6) else REFUTED
    return Verdict("adam-largest-step", label, (
        f"At (0.9, 0.999) the stated bound is {stated:.2f}; gradients that grow by rho/beta a step reach {found:.2f}."
    ))  # fmt: skip


def worst_default(steps: int = 8000) -> float:
    """The update to which the worst gradients bring Adam at its default setting, by running it."""
    gradients = adam.worst_gradients(*SETTINGS[0], steps)
    return float(run_updates(*SETTINGS[0], np.where(gradients > 1e-100, gradients, 0))[-1])


def _stated() -> float:
    return float(max(1.0, adam.largest_update_after_silence(*SETTINGS[0])))


def _list(values) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def draw(data: xr.Dataset):
    """Plane, largest updates, norms, and losses over learning rates."""
    figure, ((a, b), (c, d)) = new_figure(2, 2, size=(6.4, 5.8))
    _draw_plane(a, data)
    _draw_updates(b, data)
    _draw_norms(c, data)
    _draw_methods(d, data)
    for letter, axes in zip("abcd", (a, b, c, d), strict=True):
        axes.set_title(f"({letter})", fontsize=9)
    return figure


COLORS = (COLOR["adam"], COLOR["heavy_ball"], COLOR["rmsprop"])  # of SETTINGS


def _draw_plane(axes, data: xr.Dataset) -> None:
    decay = np.linspace(0.005, 1, 200)
    edge = adam.largest_stable_momentum(decay)
    axes.fill_betweenx(decay, edge, 1, color=COLOR["rmsprop"], alpha=0.18, linewidth=0)
    lines = axes.contour(
        data["plane_momentum"], data["plane_decay"], data["largest_plane"], [1.1, 1.5, 2, 3],
        colors=COLOR["original"], linewidths=0.8,
    )  # fmt: skip
    axes.clabel(lines, fontsize=7, inline_spacing=2)
    axes.plot(decay, decay, color=COLOR["original"], linewidth=0.8)
    axes.annotate("1", (0.35, 0.35), (0, 0), textcoords="offset points", color=COLOR["original"], fontsize=7,
                  ha="center", va="center")  # fmt: skip
    axes.plot(edge, decay, **predicted())
    axes.plot(adam.continuous_largest_stable_momentum(decay), decay, **BASELINE)
    axes.plot(data["boundary"], data["boundary_decay"], "o", color=COLOR["rmsprop"], markersize=4)
    for (momentum, square_decay), color in zip(SETTINGS, COLORS, strict=True):
        axes.plot(momentum, square_decay, "*", color=color, markersize=8, clip_on=False)
    axes.annotate("no bound", (0.8, 0.2), color=COLOR["rmsprop"], ha="center")
    axes.set(xlabel="momentum $\\beta$", ylabel="memory of squares $\\rho$", xlim=(0, 1), ylim=(0, 1))


def _draw_updates(axes, data: xr.Dataset) -> None:
    for index, color in enumerate(COLORS):
        row = data.isel(setting=index)
        axes.plot(data["update_step"], row["continuous"], **BASELINE)
        axes.plot(data["update_step"], row["law"], **predicted())
        axes.plot(data["worst_step"], row["worst"], "o", color=color, markersize=3.5)
        axes.plot(data["update_step"], row["network_update"], color=color, linewidth=1)
    axes.set(xlabel="step $n$", ylabel="largest update $|u_n|$", yscale="log", xlim=(0, NETWORK_STEPS), ylim=(0.5, 1e4))


def _draw_norms(axes, data: xr.Dataset) -> None:
    layer = data.isel(layer=-1)
    step = data["norm_step"].values
    for index, color in enumerate((COLOR["rmsprop"], COLOR["adamw"])):
        row = layer.isel(norm_momentum=index)
        axes.plot(step, row["norm"], color=color)
        axes.plot(step, row["norm_predicted"].sel(closure="charge"), **predicted())
        axes.plot(step, row["norm_predicted"].sel(closure="orthogonal"), **BASELINE)
    axes.set(xlabel="step $n$", ylabel="mean squared norm $\\|q\\|^2$ [w²]", yscale="log", xlim=(0, step[-1]))


def _draw_methods(axes, data: xr.Dataset) -> None:
    colors = (COLOR["adam"], COLOR["heavy_ball"], COLOR["nesterov"], COLOR["adamw"])
    for index, color in enumerate(colors):
        band(axes, data["rate"].values, data["method_loss"].values[index].T, color, marker="osD^"[index], markersize=4)
    axes.set(xlabel="learning rate $\\eta$ [w]", ylabel="training loss [l]", xscale="log", yscale="log")
