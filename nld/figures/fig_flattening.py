"""The first counter term is kinetic symmetry breaking: it moves the charges that gradient flow conserves.

Along a symmetry with generator A q the term eta a H g has the component -eta a <g, A g>, so every quadratic charge
moves by 2 eta a <g, A g>/mu, whatever the rule: 2 eta a is eta for gradient descent. References: Barrett and Dherin
2021 for the two-parameter loss, Miyagawa 2022 for layers with weight decay.
"""

import numpy as np
import xarray as xr

from nld.figures._data import charge_drifts, explicit_penalty, invariant_layers
from nld.figures._data.charge_drifts import KINDS, REFERENCE
from nld.figures._data.invariant_layers import LAYERS, layer_gap
from nld.figures._data.two_parameter_valley import PATH_RATES, TARGET, charge, paths
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import at_most, number, power, power_above
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

CLAIMS = (
    Claim("larger-rates-end-flatter", "In the valley of $(y - ab)^2/2$, gradient descent with a larger learning rate "
          "ends where the loss is flatter.", (), "fig-flattening", "book/between-the-steps", "barrett2021implicit"),
    invariant_layers.CLAIM,
    explicit_penalty.CLAIM,
)  # fmt: skip


def compute(profile: str, *, momentum: float = 0.9, seed: int = 0) -> xr.Dataset:
    """Paths in the two-parameter valley; drifts of its charge and of a network's by rule; layers with weight decay.

    Args:
        momentum: beta of heavy ball and Nesterov.
        seed: of the networks.
    """
    data = xr.Dataset({**paths(), **explicit_penalty.measured(seed)})
    drifts = charge_drifts.by_rule(momentum, seed)
    return data.merge(drifts).assign(invariant_layers.measured()).assign_attrs(momentum=momentum)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Flatter with every larger rate; the layers' numbers within 1e-6 of the equation of motion's."""
    flatness = (data["end"].values ** 2).sum(1)
    falls = bool((np.diff(flatness) < 0).all())
    listed = ", ".join(f"{x:.3f} at {eta:g}" for x, eta in zip(flatness, data["path_rate"].values, strict=True))
    return rule([
        Evidence(
            "larger-rates-end-flatter",
            f"The trace of the Hessian at the end is {listed}; what this says of networks is not tested here.",
            checks={"flatter at every larger rate": falls},
        ),
        invariant_layers.evidence(data),
        explicit_penalty.evidence(data),
    ])  # fmt: skip


def deviations(data: xr.Dataset) -> str:
    """What the network's deviations from the prediction do with the strength, the end of a sentence."""
    gap = 100 * np.abs(data["drift"].values / data["prediction"].values - 1).max((0, 2))
    ends = f"at most {at_most(gap[0])} % at the smallest strength and {at_most(gap[-1])} % at the largest"
    return f"grow with the strength, as the next order should: {ends}" if (np.diff(gap) > 0).all() else f"are {ends}"


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    flatness, penalized = ((data[name].values ** 2).sum(1) for name in ("end", "penalized_end"))
    _, ball, look = data["coefficient"].values
    ratio = data["drift"].values / data["prediction"].values
    pair = ratio[2] / ratio[1]
    layer = data["layer"].values
    worst = np.abs(layer[:, 2] / [k for _, k in LAYERS] - 1)
    return {
        "path-rates": ", ".join(f"{x:g}" for x in data["path_rate"].values),
        "layer-strengths": ", ".join(f"{eta * k:g}" for eta, k in LAYERS),
        "flatness": ", ".join(f"{x:.3f}" for x in flatness),
        "penalized-flatness": " and ".join(f"{x:.3f}" for x in penalized[1:]),
        "penalty-share": f"{100 * (flatness[0] - penalized[-1]) / (flatness[0] - flatness[-1]):.0f} %",
        "penalty-orders": " and ".join(f"{x:.2f}" for x in data["penalty_order"].values),
        "charges": ", ".join(number(x, ".3f") for x in charge(data["end"].values)),
        "law-gap": power_above(data["law_gap"].max()),
        "layer-gap": power_above(layer_gap(data)),
        "deviations": deviations(data),
        "a-ball": f"{ball:g}",
        "a-look": f"{look:g}",
        "network-gap": at_most(100 * np.abs(ratio[:, 0] - 1).max()),
        "network-gap-large": at_most(100 * np.abs(ratio[:, -1] - 1).max()),
        "pair-gap": at_most(100 * np.abs(pair - 1).max()),
        "toy-gap": at_most(100 * np.abs(data["toy_drift"].values / data["toy_prediction"].values - 1).max(), 1),
        "cosines": ", ".join(f"{x:.3f}" for x in layer[:, 0]),
        "fourth-powers": ", ".join(f"{x:.5f}" for x in layer[:, 1]),
        "flow-fourth-powers": ", ".join(f"{eta / (2 * k):g}" for eta, k in LAYERS),
        "rate-error": ", ".join(f"{100 * x:.2g}" for x in worst),
    }


def draw(data: xr.Dataset):
    """Left, paths in the valley; right, drifts over 2 eta a in the valley and in a network, by rule."""
    figure, (plane, drifts) = new_figure(1, 2, size=(6.4, 3.7), width_ratios=[1, 1.2])
    _draw_paths(data, plane)
    _draw_drifts(data, drifts)
    return figure


def _draw_paths(data, plane) -> None:
    minima = np.linspace(0.16, 0.6, 100)
    plane.plot(minima, TARGET / minima, color="#999999", linewidth=4, alpha=0.35, solid_capstyle="butt")
    plane.annotate("minima\n$q_1 q_2 = y$", (0.19, 3.05), (0.34, 3.15), color="#888888", fontsize=8, va="center")
    plane.plot(*data["flow"].values.T, **BASELINE)
    plane.annotate("gradient flow\nkeeps $q_1^2 - q_2^2$", (0.4, 2.72), color="#888888", fontsize=8)
    color = COLOR["gradient_descent"]
    for index, face in ((1, "none"), (2, color)):  # the smallest rate lies on the flow
        eta, end, height = data["path_rate"].values[index], data["end"].values[index], 2.05 - 0.38 * index
        plane.plot(*data["path"].values[index, :60].T, "-o", color=color, markersize=3.5, linewidth=0.8, mfc=face)
        plane.plot(0.9, height, "o", color=color, markersize=3.5, mfc=face)
        text = f"$\\eta$ = {eta:g}, ends at\n$q_1^2 + q_2^2$ = {end @ end:.2f} w²"
        plane.annotate(text, (1.0, height), color=color, fontsize=8, va="center")
    end, color = data["penalized_end"].values[-1], COLOR["transformed"]
    plane.plot(*data["penalized_path"].values.T, color=color, linewidth=1.2)
    text = f"$\\eta$ = {min(PATH_RATES):g}, penalty of\n{max(PATH_RATES):g}, ends at {end @ end:.2f} w²"
    plane.plot([0.84, 0.96], [0.91, 0.91], color=color, linewidth=1.2)
    plane.annotate(text, (1.0, 0.91), color=color, fontsize=8, va="center")
    plane.set(xlabel="parameter $q_1$ [w]", ylabel="parameter $q_2$ [w]", xlim=(-0.15, 2.95), ylim=(0.7, 3.6))
    plane.set_title("(a) large steps end flatter")


def _draw_drifts(data, axes) -> None:
    lines = [("valley of (a)", data["toy_strength"], data["toy_drift"], data["toy_prediction"])]
    for kind in KINDS:
        one = data.sel(symmetry=kind)
        lines.append((kind.replace("_", " "), data["strength"], one["drift"], one["prediction"]))
    names = [str(name) for name in data["rule"].values]
    colors = [COLOR[name.lower().replace(" ", "_")] for name in names]
    for label, strength, found, expected in lines:
        axes.plot(strength, expected, **predicted())
        for row, color, marker, size in zip(found.values, colors, "os^", (8, 5.5, 3), strict=True):
            axes.plot(strength, row, marker, color=color, markersize=size, mfc=color if size == 3 else "none")
        low = label == "rescale"
        text = label if "valley" in label else f"network, {label}"
        label_point(axes, text, (strength[0], expected[0]), (-8, -9 if low else 1), ha="right")
    axes.set(xscale="log", yscale="log", xlim=(7e-5, 0.4), xlabel="strength of the counter term $2\\eta a$ [w²/ℓ]")
    axes.set_ylim(bottom=axes.get_ylim()[0] / 1.6)  # room for the lowest label
    axes.set_ylabel("drift of the charge, relative [1]")
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        a = data["coefficient"].values[index]
        text = f"{'○□▲'[index]} {name}, $a$ = {a:g}"
        label_panel(axes, text, 0.99, 0.72 - 0.075 * index, color=color, ha="right")
    axes.set_title("(b) one strength, one drift, any rule")


def caption(data: xr.Dataset) -> str:
    text = numbers(data)
    return (
        "The counter term moves the charges that gradient flow conserves, and in the same measure for every rule. "
        f"**(a)** Gradient descent on $f = \\tfrac12 (y - q_1 q_2)^2$, $y = {TARGET:g}$, leaves the hyperbola of "
        "gradient flow (dotted) towards the flat part of its minima; its charge $q_1^2 - q_2^2$ follows "
        f"{{eq}}`eq-toy-charge` to {text['law-gap']} w². Small steps go the same way if the penalty of large ones is "
        f"added to the loss (line), {explicit_penalty.reach(data)}. **(b)** Drift of the charge of (a) and of three "
        "charges of a network of digits (full batches), relative to their size, over $2\\eta a$, for gradient descent, "
        f"heavy ball and Nesterov ($\\beta = {data.attrs['momentum']:g}$; symbols). Dashed: predicted, in the valley "
        f"from gradient flow alone, in the network from the drift of gradient descent at $\\eta = {REFERENCE:g}$ w²/ℓ. "
        f"The measured drifts differ from it by at most {text['toy-gap']} % in the valley and {text['network-gap']} to "
        f"{text['network-gap-large']} % in the network, at the smallest and the largest strength."
    )


def alt(data: xr.Dataset) -> str:
    flat = (data["end"].values ** 2).sum(1)
    drift, penalized = data["drift"].values, (data["penalized_end"].values[-1] ** 2).sum()
    return (
        "Left: from one start a dotted curve and two dotted paths go to a thick grey curve of minima; they end at "
        f"squared distances {flat[1]:.2f} and {flat[2]:.2f} from the origin, in the order of their steps, against "
        f"{flat[0]:.2f} along the flow; a line, small steps with a penalty, ends at {penalized:.2f}. Right: "
        "symbols of three learning rules lie on four dashed lines of slope 1; the network's drifts go from "
        f"{power(drift.min())} to {power(drift.max())}, the valley's to {data['toy_drift'].values.max():.2f}."
    )
