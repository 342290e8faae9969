"""Layer normalization against dynamic tanh: the shape that the one copies from the other, and the charges of both."""

import numpy as np
import xarray as xr

from nld.experiment.studies import norm_free
from nld.figures._data import norm_free_data
from nld.figures._data.norm_free_data import EPOCHS, MOMENTUM, OUTLIERS, REACH, SQUASHED, STEPS, residual
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.figures._render.text import number, power_above
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

PLACE = ((), "fig-dyt", "book/transformers-without-normalization", "zhu2025transformers")
CLAIMS = (
    Claim("dyt-line-per-token", "Layer normalization maps each token along a straight line; tokens differ in its "
          "slope.", *PLACE),
    Claim("dyt-s-shape", "In trained transformers, inputs and outputs of layer normalization pooled over tokens form "
          "an S like that of a scaled tanh in deep layers, and nearly a straight line in early ones.", *PLACE),
    Claim("dyt-alpha-tracks-inverse-deviation", "In networks trained with dynamic tanh, alpha follows one over the "
          "standard deviation of its inputs.", *PLACE),
    Claim("dyt-parity", "Replacing every normalization of a transformer by dynamic tanh keeps its accuracy, with "
          "unchanged hyper-parameters.", *PLACE),
    Claim("dyt-alpha-is-needed", "Without its learned alpha, dynamic tanh loses accuracy.", *PLACE),
)  # fmt: skip
TRACKS = 0.8  # of the rank correlation: more means that alpha follows
STRAIGHT = 1e4 * float(np.finfo(np.float64).eps)  # a share of the variance that some 10^4 roundings leave

EVIDENCE = "results/evidence/fig-dyt.nc"


def compute(profile: str, *, seed: int = 0, learning_rate: float = 0.1, weight_decay: float = 1e-3) -> xr.Dataset:
    """Shapes, alphas and accuracies after AdamW; both charges under SGD; their drift under gradient descent."""
    settings = {"learning_rate": learning_rate, "weight_decay": weight_decay, "momentum": MOMENTUM, "steps": STEPS}
    epochs = EPOCHS[profile]
    ruling = judged(EVIDENCE, lambda seeds: measure(seeds, epochs), seed=seed, registered=epochs == EPOCHS["quick"])
    parts = [*norm_free_data.drawn(profile, seed, settings), ruling]
    return xr.merge(parts, combine_attrs="drop_conflicts").assign_attrs(settings, epochs=epochs)


def measure(seeds, epochs: int = EPOCHS["quick"]) -> xr.Dataset:
    """What rules: accuracies by norm, and of LayerNorm and DyT the shapes and alphas; one row a seed."""
    return norm_free_data.judged(norm_free_data.trained(seeds, epochs), seeds)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim against its registered criterion, over the judging seeds."""
    inside = [name for name in data["layer"].values if name != OUTLIERS]
    bend = float(data["bend"].sel(layer=inside).max())
    first, last = data["judged_extremes"].values.T
    correlation = data["judged_correlation"].values
    accuracy = {str(norm): 100 * data["judged_accuracy"].sel(trained_norm=norm).values for norm in norm_free.NORMS}
    means = ", ".join(f"{norm} {accuracy[norm].mean():.1f}" for norm in ("LayerNorm", "DyT", "none"))
    gain = {norm: accuracy["DyT"] - accuracy[norm] for norm in ("tanh(x)", "tanh(x/2)")}
    return rule([
        Evidence(
            "dyt-line-per-token",
            f"In {len(inside)} layers the straight line of a token leaves at most {power_above(bend)} of its variance.",
            checks={"straight": bend < STRAIGHT},
        ),
        Evidence(
            "dyt-s-shape",
            f"Two blocks on digits: the 1 % extreme inputs come out at {first.mean():.2f} of the line of the middle in "
            f"the first layer and at {last.mean():.2f} in the last (an S: below {SQUASHED:g}).",
            {"last layer an S": SQUASHED - last, "first layer nearly straight": first - SQUASHED},
        ),
        Evidence(
            "dyt-alpha-tracks-inverse-deviation",
            f"Two blocks on digits: mean rank correlation over the {len(inside)} layers "
            f"{number(correlation.mean(), '.2f')}; following means above {TRACKS:g}.",
            {"rank correlation": correlation - TRACKS},
        ),
        Evidence(
            "dyt-parity",
            f"Mean share of digits recognized by a network of {int(data.attrs['parameters']):,} parameters, in "
            f"percent: {means}.",
            {"as accurate": accuracy["DyT"] - accuracy["LayerNorm"]},
        ),
        Evidence(
            "dyt-alpha-is-needed",
            f"A learned alpha, 1/2 at first, gains {number(gain['tanh(x)'].mean(), '.1f')} points of accuracy over "
            f"tanh(x), the authors' control, and {number(gain['tanh(x/2)'].mean(), '.1f')} over an alpha kept at 1/2.",
            {"over tanh(x)": gain["tanh(x)"]},
        ),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Shapes of the most bent layer and with outliers, and how far each layer bends; both charges, and residuals."""
    figure, axes = new_mosaic([[*"abc"], [*"def"]], (6.4, 4.6), height_ratios=[1, 1.05])
    names = [str(name) for name in data["layer"].values if name != OUTLIERS]
    bent = int(data["extremes"].sel(state="trained", layer=names).median("seed").argmin("layer"))
    _draw_shape(axes["a"], data.sel(layer=names[bent]))
    axes["a"].set_title(f"(a) LayerNorm, layer {bent + 1}")
    label_panel(axes["a"], "fitted tanh", 0.97, 0.3, ha="right")
    label_panel(axes["a"], "slope of\nthe middle", 0.4, 0.84, ha="center", color=BASELINE["color"])
    _draw_shape(axes["b"], data.sel(layer=OUTLIERS))
    axes["b"].set_title(f"(b) on {OUTLIERS}")
    axes["a"].set_ylabel("output $y$ [1]")
    _draw_extremes(axes["c"], data, names)
    _draw_charge(axes["d"], data.sel(rule="LayerNorm"), COLOR["scale"])
    _draw_charge(axes["e"], data.sel(rule="DyT"), COLOR["rescale"])
    axes["d"].set_title("(d) LayerNorm: $\\|\\theta\\|^2$")
    axes["e"].set_title("(e) DyT: $\\|\\theta\\|^2 - \\sum\\alpha^2$")
    axes["d"].set_ylabel("charge [w²]")
    for name, color, height in (("LayerNorm", COLOR["scale"], 0.9), ("DyT", COLOR["rescale"], 0.8)):
        error = residual(data.sel(rule=name)).values
        axes["f"].plot(data["point"], np.where(error > 0, error, np.nan), color=color, linewidth=0.8)
        label_panel(axes["f"], name, 0.97, height, color=color, ha="right")
    axes["f"].set(yscale="log", ylim=(1e-18, 1e-12), xlim=(0, data.sizes["point"] - 1), xlabel="step $n$")
    axes["f"].set(ylabel="residual [1]")
    axes["f"].set_title("(f) what is left")
    return figure


def _draw_shape(axes, layer: xr.Dataset) -> None:
    deviation = float(layer["input_deviation"])
    x, y = layer["dots"].values
    (slope, _, start), (amplitude, steep, offset) = layer["drawn"].values
    axes.plot(x / deviation, y, ".", color=COLOR["scale"], markersize=2, alpha=0.6)
    grid = np.linspace(-REACH, REACH, 201)
    axes.plot(grid, slope * grid * deviation + start, **BASELINE)
    axes.plot(grid, amplitude * np.tanh(steep * grid * deviation) + offset, **predicted())
    axes.set(ylim=(-8.3, 8.3), xlim=(-REACH, REACH), xticks=[-4, 0, 4], yticks=[-6, -3, 0, 3, 6])
    axes.set_xlabel("input $x$ over its deviation [1]")


def _draw_extremes(axes, data: xr.Dataset, names: list[str]) -> None:
    axes.axhline(1, **BASELINE)
    label_panel(axes, "straight line", 0.03, 0.93, color=BASELINE["color"])
    places = np.arange(len(names) + 1)
    for state, filling, shift in (("untrained", "none", -0.12), ("trained", "full", 0.12)):
        values = data["extremes"].sel(state=state, layer=[*names, OUTLIERS]).transpose("layer", "seed").values
        middle, at = np.median(values, 1), places + shift
        axes.vlines(at, values.min(1), values.max(1), color=COLOR["scale"], linewidth=1)
        axes.plot(at, middle, "o", color=COLOR["scale"], fillstyle=filling, markersize=4.5)
    axes.set_xticks(places, [*(str(index + 1) for index in range(len(names))), "out-\nliers"])
    axes.set(xlabel="layer", ylabel="extremes over line [1]", ylim=(0, 1.15))
    label_panel(axes, "● trained\n○ untrained", 0.05, 0.08, color=COLOR["scale"])
    axes.set_title("(c) how far each bends")


def _draw_charge(axes, run: xr.Dataset, color: str) -> None:
    point, charge = run["point"].values, run["charge"].values
    writers, readers = run["squared_norm"].values.T
    axes.plot(point, charge, color=color, linewidth=2.6, alpha=0.75)
    axes.plot(point, run["predicted"], **predicted(linewidth=0.9, linestyle=(0, (3, 4))))
    axes.plot(point, run["without"], **BASELINE)
    axes.set(xlim=(0, point[-1]), ylim=(0, 1.08 * writers.max()), xlabel="step $n$")
    last = len(point) - 1
    if not readers.any():
        place = (last, run["without"][-1])
        label_point(axes, "weight decay alone", place, (-2, -12), color=BASELINE["color"], ha="right")
        label_point(axes, "measured", (165, charge[165]), (-8, 10), color=color, ha="right")
        label_point(axes, "predicted", (165, charge[165]), (8, -14))
    else:
        for side, text, at in ((writers, "$\\|\\theta\\|^2$", 0.87), (readers, "$\\sum\\alpha^2$", 0.6)):
            axes.plot(point, side, color=color, linewidth=0.9, alpha=0.8)
            label_point(axes, text, (at * last, side[int(at * last)]), (-6, 4), color=color, ha="right")
        label_point(axes, "charge", (0.3 * last, charge[int(0.3 * last)]), (0, -14), color=color, ha="center")


def caption(data: xr.Dataset) -> str:
    rate, decay, momentum = (data.attrs[name] for name in ("learning_rate", "weight_decay", "momentum"))
    return (
        "Dynamic tanh copies the shape of layer normalization and exchanges its symmetry. **(a)** Single numbers "
        "before and after the LayerNorm of a transformer trained on digits that bends most, with a fitted tanh "
        "(dashed) and the slope of the middle (dotted); dots are drawn evenly along $x$. **(b)** The same on random "
        "tokens with two outlier coordinates. **(c)** What the 1 % most extreme inputs give, over what the slope of "
        f"the middle would give, by layer: medians and ranges of {data.sizes['seed']} seeds. **(d, e)** The charge of "
        "the symmetry that scales all weights $\\theta$ writing to the residual stream, with LayerNorm and with DyT, "
        "under SGD: measured, predicted by the exact law (dashed), and what weight decay alone would do (dotted). "
        "**(f)** Measured minus predicted over the largest change of the charge: at most "
        f"{power_above(residual(data).max())}. Double precision, $\\eta = {rate:g}$ w²/ℓ, $\\beta = {momentum:g}$, "
        f"$k = {decay:g}$ ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    low, *_, high = np.sort(data["extremes"].sel(state="trained").median("seed").values[:-1])
    outliers = float(data["extremes"].sel(state="trained", layer=OUTLIERS).median())
    left, right = data["charge"].sel(rule="LayerNorm").values, data["charge"].sel(rule="DyT").values
    readers = data["squared_norm"].sel(rule="DyT").values[:, 1]
    return (
        "Six panels. Above, two clouds of dots that follow a line in the middle and bend away from it at both ends. "
        f"Beside them, by how much: in five layers of a trained network outputs are {low:.2f} to {high:.2f} of the "
        f"line's, on tokens with two outlier coordinates {outliers:.2f}. Below, the charge with LayerNorm goes from "
        f"{left[0]:.0f} to {left[-1]:.0f} w², and that with DyT from {right[0]:.0f} down to {right.min():.0f} and ends "
        f"at {right[-1]:.0f} w², while the sum of squared alphas goes from {readers[0]:.2f} to {readers[-1]:.0f}. "
        "Dashed predictions cover both curves; dotted curves of weight decay alone go elsewhere."
    )
