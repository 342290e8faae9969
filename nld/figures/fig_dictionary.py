"""A norm that remembers gradients as RMSProp does: Eq 17 against Eq 18. Paper: Section 4.

The loss is a(t) times the angle of q in the plane, so that |g^| = a(t) whatever q is: a drive that can be
switched. Smooth gradients, for which Eq 17 is meant.
"""

import numpy as np
import xarray as xr

from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures._render.text import at_most
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules.rules import heavy_ball, iterate
from nld.theory.adaptive import equivalent_square_decay, momentum_amplification
from nld.theory.solutions import predict_root_mean_square, predict_squared_norm

LEVELS = (1.0, 2.0, 0.5)  # of the gradient at unit norm in the three parts of the run, in ℓ
PART = 6000  # steps
BASE_DECAY = 1e-3  # the initial norm is the equilibrium of this weight decay, in ℓ/w²


def compute(profile: str, *, learning_rate: float = 0.01, momentum: float = 0.9) -> xr.Dataset:
    """Heavy ball and RMSProp's accumulator under the same drive, and both laws; one for all profiles."""
    drive = np.repeat(LEVELS, PART)
    decays = (0.0, BASE_DECAY, 4 * BASE_DECAY)
    initial = np.sqrt(gain(heavy_ball(learning_rate, momentum, BASE_DECAY)))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("squared_norm", "eq17", "root", "eq18")}
    for decay in decays:
        rule = heavy_ball(learning_rate, momentum, decay)
        rows["squared_norm"].append(_heavy_ball(rule, drive, initial))
        rows["eq17"].append(predict_squared_norm(rule, drive**2, initial).value)
        root, law = (_rmsprop if decay else _adagrad)(rule, drive, initial)
        rows["root"].append(root)
        rows["eq18"].append(law)
    memory = (1 - momentum) / (4 * BASE_DECAY * learning_rate)
    keep = slice(None, None, 20)
    names = {"squared_norm": "measured squared norm", "eq17": "squared norm by T&K (17)",
             "root": "root of RMSProp's accumulator in units of the squared norm",
             "eq18": "root of T&K (18) in units of the squared norm"}  # fmt: skip
    return xr.Dataset(
        {
            name: (("weight_decay", "step"), np.stack(rows[name])[:, keep], {"units": "w²", "long_name": text})
            for name, text in names.items()
        }
        | {"drive": (("step",), np.append(drive, drive[-1])[keep], {"units": "ℓ"})},
        coords={"weight_decay": list(decays), "step": np.arange(len(drive) + 1)[keep]},
        attrs={"learning_rate": learning_rate, "momentum": momentum, "memory": memory},
    )


def gain(rule) -> float:
    """r⁴ of Eq 17 over G of Eq 18 under the dictionary: the quotient of their drives over their rate."""
    return 2 * rule.learning_rate * momentum_amplification(rule.momentum) * rule.friction / (4 * rule.weight_decay)


def _heavy_ball(rule, drive: np.ndarray, initial: float) -> np.ndarray:
    """|q|² of heavy ball in f = a(t) angle(q), from a buffer that the first gradient has filled."""
    steps = iter(drive)

    def gradient(q):
        return next(steps) * np.array([-q[1], q[0]]) / (q @ q)

    q = np.array([np.sqrt(initial), 0.0])
    settled = np.array([0.0, drive[0] / np.sqrt(initial)]) / rule.friction
    return (iterate(rule, gradient, q, len(drive), state=(settled,)).position ** 2).sum(-1)


def _rmsprop(rule, drive: np.ndarray, initial: float) -> tuple[np.ndarray, np.ndarray]:
    """√G of the accumulator that RMSProp keeps and of Eq 18, times the dictionary's constant."""
    memory, scale = equivalent_square_decay(rule), np.sqrt(gain(rule))
    square = np.empty(len(drive) + 1)
    square[0] = (initial / scale) ** 2
    for n, a in enumerate(drive):
        square[n + 1] = memory * square[n] + (1 - memory) * a**2
    law = predict_root_mean_square(rule.learning_rate, memory, drive**2, square[0])
    return scale * np.sqrt(square), scale * law.value


def _adagrad(rule, drive: np.ndarray, initial: float) -> tuple[np.ndarray, np.ndarray]:
    """AdaGrad's root of the sum of squares, in units of the squared norm: the case k = 0, where it is its own law."""
    growth = 2 * rule.learning_rate**2 * momentum_amplification(rule.momentum)
    root = np.sqrt(initial**2 + growth * np.append(0, np.cumsum(drive**2)))
    return root, root


def worst(data: xr.Dataset, law: str, measured: str) -> float:
    """Largest relative difference of a law and what it predicts."""
    return float(np.abs(data[law] / data[measured] - 1).max())


def after_switch(data: xr.Dataset) -> int:
    """How many steps after the last switch of the gradient Eq 17 is furthest from the squared norm."""
    error = abs(data["eq17"] / data["squared_norm"] - 1).max("weight_decay")
    return int(data["step"].values[error.values.argmax()]) % PART


def forgetting(data: xr.Dataset) -> xr.DataArray:
    """Rate at which r⁴ approaches its last level in the last part, over 4 k/(1 - beta): (weight_decay > 0)."""
    rows = data.isel(weight_decay=slice(1, None))
    decays = rows["weight_decay"]
    rule = heavy_ball(data.attrs["learning_rate"], data.attrs["momentum"], decays)
    level = gain(rule) * LEVELS[-1] ** 2
    window = rows.where((data["step"] >= 2.2 * PART) & (data["step"] <= 2.6 * PART), drop=True)
    distance = abs(window["squared_norm"] ** 2 - level)
    time = (window["step"][-1] - window["step"][0]) * rule.learning_rate
    fall = np.log(distance.isel(step=0) / distance.isel(step=-1))
    return fall / time / (4 * decays / rule.friction)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Whether the norm is within 5 % of Eq 17 and of RMSProp's accumulator, and forgets at 4 k/(1 - beta)."""
    norm, root = worst(data, "eq17", "squared_norm"), worst(data, "root", "squared_norm")
    rates = forgetting(data).values
    same = f"Under switched smooth gradients the squared norm is within {at_most(100 * norm)} % of T&K (17) and within "
    same += f"{at_most(100 * root)} % of RMSProp's accumulator in the dictionary's units."
    forgets = r"Rate at which $r^4$ forgets, over $4k/(1-\beta)$: " + ", ".join(f"{value:.3f}" for value in rates)
    return rule([
        Evidence("implicit-rmsprop", same, checks={"closed form": norm < 0.05, "accumulator": root < 0.05}),
        Evidence("weight-decay-forgets", forgets + ".", checks={"rate": bool(np.abs(rates - 1).max() < 0.05)}),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Drive above, norms and accumulators in the middle, residuals below."""
    figure, axes = new_figure(3, 1, size=(6.4, 5.0), sharex=True, height_ratios=[0.55, 2, 0.8])
    drive, norms, residual = axes
    step = data["step"].values
    drive.plot(step, data["drive"], color=predicted()["color"], linewidth=1.2, drawstyle="steps-post")
    drive.set(ylabel="$\\|\\hat g\\|$ [ℓ]", ylim=(0, 1.15 * max(LEVELS)))
    colors = (COLOR["unconstrained"], COLOR["heavy_ball"], COLOR["constrained"])
    labels = ["$k = 0$: AdaGrad", *(f"$k = {k:g}$ ℓ/w²" for k in data["weight_decay"].values[1:])]
    at = int(0.60 * len(step))
    every = slice(20, None, 45)
    for index, color in enumerate(colors):
        row = data.isel(weight_decay=index)
        norms.plot(step, row["squared_norm"], color=color, linewidth=2.6, alpha=0.75)
        norms.plot(step, row["eq17"], **predicted())
        norms.plot(step[every], row["root"].values[every], "o", markersize=4.5, markerfacecolor="none", color=color)
        place, shift = (step[at], row["squared_norm"].values[at]), (-6, 8) if index else (-4, 12)
        label_point(norms, labels[index], place, shift, color=color, ha="right", fontsize=9)
        residual.plot(step, 100 * (row["eq17"] / row["squared_norm"] - 1), color=color)
    residual.axhline(0, linewidth=0.6, color=predicted()["color"])
    norms.set(ylabel="squared norm $r^2$ [w²]", ylim=(0, None))
    residual.set(ylabel="T&K (17) / measured\n$-$ 1 [%]", xlabel="step $n$", xlim=(0, step[-1]))
    label_panel(norms, "measured: wide lines\nT&K (17): dashed\n$\\sqrt{G}$ in units of $r^2$: circles", 0.02, 0.8)
    return figure


def caption(data: xr.Dataset) -> str:
    return (
        "The norm of a normalized filter is RMSProp's accumulator in disguise. **Top:** the gradient at unit norm is "
        f"switched between {LEVELS[0]:g}, {LEVELS[1]:g} and {LEVELS[2]:g} ℓ. **Middle:** squared norm $r^2$ under "
        "heavy ball (coloured) for three weight decays; dashed, T&K (17). Circles are $\\sqrt{G}$ from RMSProp's own "
        "recursion under the same gradients, with $\\rho = 1 - 4 k \\eta/(1-\\beta)$, in units of a squared norm that "
        "the dictionary fixes for each $k$; for $k = 0$ they are AdaGrad's. The middle curve forgets in "
        f"{data.attrs['memory']:.0f} steps, the lower one in a quarter of that, the upper one never. **Bottom:** T&K "
        f"(17) misses the measured norm by at most {at_most(100 * worst(data, 'eq17', 'squared_norm'))} %. $\\eta = "
        f"{data.attrs['learning_rate']:g}$ w²/ℓ, $\\beta = {data.attrs['momentum']:g}$."
    )


def alt(data: xr.Dataset) -> str:
    last = data["squared_norm"].isel(step=-1).values
    return (
        f"Three panels over {len(LEVELS) * PART} steps. The gradient steps up, then down. Three squared norms respond: "
        f"without weight decay the norm only rises, to {last[0]:.3g}; with weight decay it follows the gradient up and "
        f"down, the faster the larger the decay, and ends at {last[1]:.2g} and {last[2]:.2g}. Dashed lines and circles "
        f"lie on all three; they differ by at most {at_most(100 * worst(data, 'eq17', 'squared_norm'))} percent."
    )
