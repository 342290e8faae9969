"""What a learning rule fixes in equilibrium: the norm of a normalized filter and the angle it turns by in a step.

Every rule in walks of random gradients and in a network; AdamW against Adam with coupled decay, layer by layer.
"""

import math

import numpy as np
import xarray as xr

from nld.figures._data.rotation_runs import EVIDENCE, GROWTH, JUDGED, MEAN_OVER, SIZE, compute, measure
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import at_most
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

__all__ = ["CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure"]

PLACE, KOSSON = ((), "fig-rotation", "book/rotational-equilibrium"), "kosson2024rotational"
CLAIMS = (
    Claim("rotational-equilibrium", "With white gradients, heavy ball, AdamW and Adam with coupled decay settle at the "
          "norms and angles that the closed forms give.", *PLACE, KOSSON),
    Claim("rotational-equilibrium-of-lion", "Lion settles at the norm and angle of its closed form.", *PLACE, KOSSON),
    Claim("balanced-rotation", "AdamW turns all layers of a network by one angle, Adam with coupled decay each by its "
          "own.", *PLACE, KOSSON),
    Claim("rotation-replaces-decay", "Turning filters by a prescribed angle, without weight decay on them, trains a "
          "network as well as AdamW.", *PLACE, KOSSON),
    Claim("balanced-rotation-generalizes", "Balanced rotation makes AdamW generalize better than Adam with coupled "
          "decay.", *PLACE, KOSSON),
    Claim("projection-slows-growth", r"Without decay, momentum lets norms grow $(1+\beta)/(1-\beta)$ times as fast, "
          "and projecting the step undoes it.", *PLACE, "heo2021adamp"),
)  # fmt: skip

PLAIN = ("heavy ball", "AdamW", "Adam")  # whose closed forms the source states for any memory
ALLOWED = 0.01  # relative error that closed forms should hold to
LABEL = {"heavy ball": "SGD, momentum", "Adam": "Adam + L2"}
STYLE = {
    "heavy ball": ("heavy_ball", "o"),
    "AdamW": ("adamw", "s"),
    "Adam": ("adam", "D"),
    "Lion": ("lion", "^"),
    "SGDP": ("sgdp", "v"),
    "AdamP": ("adamp", "P"),
}


def errors(data: xr.Dataset, name: str, law: str = "closed") -> float:
    """Largest relative error of norm and angle of a rule's walks, against the closed form or (``law``) all orders."""
    rows = data.isel(walk=np.flatnonzero(data["rule"].values == name))
    return max(float(abs(rows[part] / rows[f"{part}_{law}"] - 1).max()) for part in ("norm", "angle"))


def unbalance(data: xr.Dataset, treatment: str) -> float:
    """Largest over smallest angle of the layers, in the second half of a run."""
    course = data["squared_angle"].sel(treatment=treatment)
    late = np.sqrt(course.isel(course_step=slice(course.sizes["course_step"] // 2, None)).mean("course_step"))
    return float(late.max() / late.min())


def lead(data: xr.Dataset, one: str, other: str) -> np.ndarray:
    """Difference of two accuracies in percentage points, seed by seed."""
    accuracy = 100 * data["judged_accuracy"]
    return (accuracy.sel(judged_rule=one) - accuracy.sel(judged_rule=other)).values


def judge(data: xr.Dataset) -> list[Verdict]:
    """What the walks and the networks say of the claims."""
    found = {name: errors(data, name) for name in (*PLAIN, "Lion")}
    lion_law = errors(data, "Lion", "law")
    spread = {name: data["judged_unbalance"].sel(balanced_rule=name).values for name in ("AdamW", "Adam")}
    means = {name: 100 * float(data["judged_accuracy"].sel(judged_rule=name).mean()) for name in JUDGED}
    ratio, law = float(data["growth"][0] / data["growth"][1]), (1 + GROWTH[0]) / (1 - GROWTH[0])
    return rule([
        Evidence(
            "rotational-equilibrium",
            "Largest error of norm or angle: " + ", ".join(f"{n} {100 * found[n]:.2f} %" for n in PLAIN) + ".",
            checks={name: found[name] <= ALLOWED for name in PLAIN},
        ),
        Evidence(
            "rotational-equilibrium-of-lion",
            f"The closed form is off by {100 * found['Lion']:.1f} %; with the arcsine law of signs and decay within "
            f"the memory, by {100 * lion_law:.2f} %.",
            checks={"closed form": found["Lion"] <= ALLOWED, "arcsine law": lion_law <= ALLOWED},
        ),
        Evidence(
            "balanced-rotation",
            f"Largest over smallest angle of the layers: {spread['AdamW'].mean():.2f} for AdamW, "
            f"{spread['Adam'].mean():.1f} for Adam.",
            {"AdamW below 1.2": 1.2 - spread["AdamW"], "Adam above 2": spread["Adam"] - 2},
        ),
        Evidence(
            "rotation-replaces-decay",
            f"Mean accuracy {means['turned']:.1f} % turned, {means['AdamW']:.1f} % with AdamW.",
            {"no worse": lead(data, "turned", "AdamW")},
        ),
        Evidence(
            "balanced-rotation-generalizes",
            f"Mean accuracy {means['AdamW']:.1f} % with AdamW, {means['Adam']:.1f} % with Adam.",
            {"accuracy": lead(data, "AdamW", "Adam")},
        ),
        Evidence(
            "projection-slows-growth",
            f"Slopes of the norm's fourth power: ratio {ratio:.2f}, law {law:.0f}, at momentum {GROWTH[0]:g}.",
            checks={"ratio": abs(ratio / law - 1) < 0.02},
        ),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Measured over predicted angles and norms of all rules; angles of layers in training, AdamW and Adam."""
    figure, panels = new_figure(2, 2, size=(6.4, 5.9))
    _scatter(panels[0, 0], data, "angle", "angle of a step", "rad")
    _scatter(panels[0, 1], data, "norm", "norm", "w")
    wrong = data["norm_uncharged"].values
    panels[0, 1].plot(wrong, data["norm"].values, "x", color=BASELINE["color"], markersize=7, markeredgewidth=1.6)
    at = int(np.nanargmax(wrong))
    place = (wrong[at], float(data["norm"][at]))
    label_point(panels[0, 1], "AdamW without\nthe charge", place, (-3, 9), ha="center", color=BASELINE["color"])
    panels[0, 0].set_title("(a) angles, every rule")
    panels[0, 1].set_title("(b) norms, every rule")
    for name, (color, marker) in STYLE.items():
        panels[0, 0].plot([], [], marker, color=COLOR[color], label=LABEL.get(name, name), markersize=5)
    panels[0, 0].legend(fontsize=7.5, loc="lower right", frameon=False, handletextpad=0.2)
    _explain(panels[0], data)
    step = data["course_step"].values
    top = math.sqrt(float(data["squared_angle"].max()))
    for axes, name, title in zip(panels[1], data["treatment"].values, ("(c) AdamW", "(d) Adam + L2"), strict=True):
        for layer in range(data.sizes["layer"]):
            angle = np.sqrt(data["squared_angle"].sel(treatment=name).values[:, layer])
            axes.plot(step, angle, color=COLOR[STYLE[str(name)][0]], linewidth=(0.9, 1.5, 2.2)[layer])
            law = float(data["layer_law"].sel(treatment=name)[layer])
            axes.axhline(law, **predicted())
            if name == "Adam":
                label_point(axes, f"$C = {int(data['size'][layer])}$", (step[-1], law), (4, -3), annotation_clip=False)
        axes.set(yscale="log", xlim=(0, step[-1]), ylim=(4e-3, 1.25 * top), xlabel="step $n$")
        ticks_at(axes.yaxis, [0.005, 0.01, 0.02, 0.04])
        axes.set_title(f"{title}: three layers")
    law = float(data["layer_law"].sel(treatment="AdamW")[0])
    label_point(panels[1, 0], "one angle for all", (step[-1] / 2, law), (0, 9), ha="center")
    panels[1, 0].set_ylabel("angle of a step [rad]")
    return figure


def _explain(panels, data: xr.Dataset) -> None:
    """Which symbols are walks and which a network, and the one rule that is off the line."""
    run = int(np.flatnonzero(data["network_momentum"].values >= 0.99)[0])
    place = float(data["network_angle_law"][run, 0]), float(data["network_angle"][run].max())
    label_point(panels[0], "Lion, memory\nof 100 steps", place, (-8, 2), ha="right", color=COLOR["lion"])
    label_panel(panels[1], "filled: random gradients\nopen: layers of a network", 0.97, 0.04, ha="right")


def _scatter(axes, data: xr.Dataset, part: str, name: str, unit: str) -> None:
    names = [f"{part}_law", part, f"network_{part}_law", f"network_{part}", *["norm_uncharged"] * (part == "norm")]
    both = np.concatenate([data[each].values.ravel() for each in names])
    limits = np.nanmin(both) / 1.5, np.nanmax(both) * 1.5
    axes.plot(limits, limits, **predicted())
    for of, (color, marker) in STYLE.items():
        rows = data["rule"].values == of
        axes.plot(data[f"{part}_law"].values[rows], data[part].values[rows], marker, color=COLOR[color], markersize=5)
        runs = data["network_rule"].values == of
        law, found = (data[f"network_{part}{end}"].values[runs].ravel() for end in ("_law", ""))
        axes.plot(law, found, marker, color=COLOR[color], markersize=5, fillstyle="none")
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, xlabel=f"predicted {name} [{unit}]",
             ylabel=f"measured {name} [{unit}]")  # fmt: skip


def caption(data: xr.Dataset) -> str:
    worst = 100 * max(errors(data, name, "law") for name in STYLE)
    short = data["network_momentum"].values < 0.99
    ratio = (data["network_angle"] / data["network_angle_law"]).values[short]
    return (
        "The learning rule fixes how far a normalized filter turns in a step, for all layers alike; Adam with coupled "
        "decay is the exception. **(a, b)** Angles and norms in equilibrium, measured over predicted: filled, walks of "
        f"random gradients ({SIZE} coordinates), within {at_most(worst)} % of the dashed diagonal; open, three layers "
        f"of a network on digits, whose angles are {ratio.min():.2f} to {ratio.max():.2f} times the predicted ones, "
        "but for Lion with a memory longer than an epoch (the open triangles off the line). Grey crosses: the norm of "
        "AdamW where its charge is forgotten. **(c, d)** Angles of the network's layers in training under AdamW ($k = "
        f"{data.attrs['weight_decay']:g}$/w) and Adam with coupled decay ($k = {data.attrs['coupled_decay']:g}$ ℓ/w²), "
        f"means over {data.sizes['seed']} seeds and {MEAN_OVER} steps; dashed: predicted, in (d) for each layer, from "
        "its gradients and its number $C$ of coordinates. Thicker lines are later layers; "
        f"{100 * data.attrs['label_noise']:.0f} % of the labels are wrong."
    )


def alt(data: xr.Dataset) -> str:
    law = np.sort(data["layer_law"].sel(treatment="Adam").values)
    wrong = float((data["norm"] / data["norm_uncharged"]).max())
    ratio = (data["network_angle"] / data["network_angle_law"]).values
    return (
        "Top: two scatter plots of measured against predicted angles and norms for six learning rules; filled symbols "
        f"lie on the diagonal, open ones at {ratio.min():.2f} to {ratio.max():.2f} times the predicted angle, grey "
        f"crosses up to {wrong:.1f} times above it. Bottom left: three angles under AdamW "
        f"end within a factor of {unbalance(data, 'AdamW'):.2f} of each other; the dashed line is "
        f"at {float(data['layer_law'].sel(treatment='AdamW')[0]):.2g} radians. Bottom right: three angles under Adam "
        f"with coupled decay go to three dashed lines, at {law[0]:.2g}, {law[1]:.2g} and {law[2]:.2g} radians."
    )
