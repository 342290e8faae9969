"""Layer normalization against dynamic tanh: the shape that the one copies from the other, and the charges of both."""

import numpy as np
import xarray as xr

from nld.experiment.studies import norm_free
from nld.figures._data import norm_free_data
from nld.figures._data.norm_free_data import EPOCHS, MOMENTUM, OUTLIERS, REACH, SQUASHED, STEPS, residual
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
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
    """Shapes of six layers above; below, the two charges and their residuals."""
    figure, _ = new_figure(size=(6.4, 5.7))
    figure.clear()
    names = [str(name) for name in data["layer"].values]
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.74, 1])[:, 0]
    shapes = top.subplots(1, len(names), sharey=True, sharex=True)
    for index, (axes, name) in enumerate(zip(shapes, names, strict=True)):
        _draw_shape(axes, data.sel(layer=name))
        axes.set_title(f"layer {index + 1}" if name != OUTLIERS else OUTLIERS, fontsize=8)
    shapes[0].text(4.7, 0.6, "tanh", fontsize=8, ha="right")
    shapes[0].text(-1.6, 5.6, "slope of\nthe middle", fontsize=7, color=BASELINE["color"], ha="center")
    shapes[0].set_ylabel("output $y$ [1]")
    top.suptitle(
        "(a) LayerNorm in a trained network, layer by layer, and on tokens with outliers", x=0.01, ha="left", fontsize=9
    )
    top.supxlabel("input $x$ over its standard deviation [1]", fontsize=9)
    below = bottom.subplots(2, 2, sharex=True, height_ratios=[1, 0.42])
    _draw_charge(below[:, 0], data.sel(rule="LayerNorm"), COLOR["scale"])
    _draw_charge(below[:, 1], data.sel(rule="DyT"), COLOR["rescale"])
    below[0, 0].set_title("(b) LayerNorm: scale, charge $\\|\\theta\\|^2$")
    below[0, 1].set_title("(c) DyT: rescale, charge $\\|\\theta\\|^2 - \\sum\\alpha^2$")
    below[0, 0].set_ylabel("charge [w²]")
    below[1, 0].set_ylabel("residual [1]")
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
    squashed = float(layer["extremes"].sel(state="trained").median("seed"))
    free = (0.04, 0.97, "left", "top") if str(layer["layer"].values) == OUTLIERS else (0.97, 0.03, "right", "bottom")
    label_panel(axes, f"extremes\n× {squashed:.2f}", *free[:2], ha=free[2], va=free[3], fontsize=7)


def _draw_charge(panels, run: xr.Dataset, color: str) -> None:
    above, below = panels
    point, charge = run["point"].values, run["charge"].values
    writers, readers = run["squared_norm"].values.T
    above.plot(point, charge, color=color)
    above.plot(point, run["predicted"], **predicted())
    above.plot(point, run["without"], **BASELINE)
    top = 1.08 * writers.max()
    above.set(xlim=(0, point[-1]), ylim=(0, top))
    last = len(point) - 1
    if not readers.any():
        label_point(
            above, "weight decay alone", (last, run["without"][-1]), (-4, -14), color=BASELINE["color"], ha="right"
        )
        label_point(above, "measured", (165, charge[165]), (-8, 10), color=color, ha="right")
        label_point(above, "predicted", (165, charge[165]), (8, -14))
    else:
        for side, text, at in ((writers, "$\\|\\theta\\|^2$", 0.87), (readers, "$\\sum\\alpha^2$", 0.6)):
            above.plot(point, side, color=color, linewidth=0.9, alpha=0.8)
            label_point(above, text, (at * last, side[int(at * last)]), (-6, 4), color=color, ha="right")
        label_point(above, "charge", (0.86 * last, charge[int(0.86 * last)]), (3, -16), color=color, ha="center")
    error = residual(run).values
    below.plot(point, np.where(error > 0, error, np.nan), color=color, linewidth=0.8)
    below.set(yscale="log", ylim=(1e-17, 1e-13), yticks=[1e-16, 1e-14], xlabel="step $n$")


def caption(data: xr.Dataset) -> str:
    rate, decay, momentum = (data.attrs[name] for name in ("learning_rate", "weight_decay", "momentum"))
    return (
        "Dynamic tanh copies the shape of layer normalization and exchanges its symmetry. **(a)** Single numbers "
        "before and after each LayerNorm of a transformer trained on digits, and on random tokens with two outlier "
        "coordinates, with a fitted tanh (dashed) and the slope of the middle (dotted). Numbers in the panels: what "
        "the 1 % most extreme inputs give, over what that slope would give. Dots are drawn evenly along $x$. "
        "**(b, c)** The charge of the symmetry that scales all weights $\\theta$ writing to the residual stream, with "
        "LayerNorm and with DyT, under SGD: measured, predicted by the exact law (dashed), and what weight decay alone "
        "would do (dotted). Below, measured minus predicted over the largest change of the charge: at most "
        f"{power_above(residual(data).max())}. Double precision, $\\eta = {rate:g}$ w²/ℓ, $\\beta = {momentum:g}$, "
        f"$k = {decay:g}$ ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    low, *_, high = np.sort(data["extremes"].sel(state="trained").median("seed").values[:-1])
    outliers = float(data["extremes"].sel(state="trained", layer=OUTLIERS).median())
    left, right = data["charge"].sel(rule="LayerNorm").values, data["charge"].sel(rule="DyT").values
    readers = data["squared_norm"].sel(rule="DyT").values[:, 1]
    return (
        "Above, six clouds of dots. In five layers of a trained network they follow a line in the middle; at both ends "
        f"outputs are {low:.2f} to {high:.2f} of the line's, on tokens with two outlier coordinates {outliers:.2f}. "
        f"Below left, the charge with LayerNorm goes from {left[0]:.0f} to "
        f"{left[-1]:.0f} w². Below right, that with DyT goes from {right[0]:.0f} down to {right.min():.0f} and ends at "
        f"{right[-1]:.0f} w², while the sum of squared alphas goes from {readers[0]:.2f} to {readers[-1]:.0f}. Dashed "
        "predictions cover both curves; dotted curves of weight decay alone go elsewhere."
    )
