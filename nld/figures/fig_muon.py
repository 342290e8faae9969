"""Muon commutes with rotations of a head's basis and keeps their charges at zero, and yet turns heads.

What it stretches, with which changes of basis other rules commute, and what balance is good for stand beside it.
"""

import xarray as xr

from nld.figures._data import muon_runs as runs
from nld.figures._data.muon_evidence import CLAIMS, evidence
from nld.figures._data.muon_prose import numbers
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.figures._render.text import number
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

ROUNDING = (
    "twin_kept", "twin_half", "turned_kept", "turning_kept", "stretch_residual", "products_kept",
)  # fmt: skip
HEAVY, MUON, ADAM = COLOR["heavy_ball"], COLOR["muon"], COLOR["adam"]


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Twins, charges and steps of a small language model, and adapters and heads alone; one size for both profiles.

    Args:
        seed: of weights, text, bases and biases.
    """
    parts = (runs.twins, runs.charges, runs.adapter_twins, runs.conditions, runs.biases)
    return xr.merge([xr.Dataset(part(seed)) for part in parts]).assign_attrs(seed=seed)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states, in small networks."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Twins above; charges of rotations and what a step turns; the charge of scale; adapters' rules and conditions."""
    layout = [["twins", "twins"], ["turned", "turning"], ["stretched", "table"], ["condition", "condition"]]
    figure, axes = new_mosaic(layout, (6.4, 9.0), height_ratios=[1.2, 1, 1, 0.9])
    _draw_twins(data, axes["twins"])
    _draw_rotations(data, axes["turned"], axes["turning"])
    _draw_stretched(data, axes["stretched"])
    _draw_table(data, axes["table"])
    _draw_conditions(data, axes["condition"])
    return figure


def _draw_twins(data: xr.Dataset, axes) -> None:
    step = data["step"].values
    kept = data["twin_kept"]
    axes.plot(step, data["twin_lost"].values, color=ADAM)
    axes.plot(step, data["twin_half"].values, color=MUON, linestyle="-.")
    for name, color, style in (("Adam, permuted", ADAM, "-."), ("heavy ball", HEAVY, "-"), ("Muon", MUON, "-")):
        axes.plot(step, kept.sel(twin=name).values, color=color, linestyle=style)
    for words, values, color, shift in (
        ("Adam", data["twin_lost"].values, ADAM, (0, 5)),
        ("Muon, orthogonalized in bfloat16", data["twin_half"].values, MUON, (0, -12)),
        ("Muon", kept.sel(twin="Muon").values, MUON, (0, 5)),
        ("Adam, coordinates permuted", kept.sel(twin="Adam, permuted").values, ADAM, (0, -11)),
    ):
        label_point(axes, words, (step[-1], values[-1]), shift, color=color, ha="right")
    label_point(axes, "heavy ball", (step[0], kept.sel(twin="heavy ball").values[0]), (2, 6), color=HEAVY)
    axes.set(yscale="log", ylim=(1e-18, 30), xlabel="step $n$", ylabel="distance over way")
    axes.set_title("(a) a model and its twin, whose heads began in another basis")


def _draw_rotations(data: xr.Dataset, turned, turning) -> None:
    step = data["step"].values
    for name, color in (("Muon, lookahead", MUON), ("Adam", ADAM)):
        style = "-." if "lookahead" in name else "-"
        turned.plot(step, data["turned"].sel(rule=name).values, color=color, linestyle=style)
        law = data["turned_predicted"].sel(rule=name).values
        begun = law > 1e-15  # before, it is rounding
        turned.plot(step[begun], law[begun], **predicted())
    for name, color in (("heavy ball", HEAVY), ("Muon", MUON)):
        turned.plot(step, data["turned_kept"].sel(kept_rule=name).values, color=color)
    label_panel(turned, "Adam", 0.5, 0.91, color=ADAM)
    label_panel(turned, "Muon, lookahead", 0.4, 0.66, color=MUON)
    label_panel(turned, "Muon", 0.12, 0.13, color=MUON)
    label_panel(turned, "heavy ball", 0.5, 0.13, color=HEAVY)
    turning.plot(step, data["turning"].sel(turning_rule="Muon").values, color=MUON)
    turning.plot(step, data["turning"].sel(turning_rule="Adam").values, color=ADAM)
    turning.plot(step, data["turning_kept"].values, color=HEAVY)
    label_panel(turning, "Adam and Muon", 0.4, 0.8)
    label_panel(turning, "heavy ball", 0.5, 0.13, color=HEAVY)
    for axes in (turned, turning):
        axes.set(yscale="log", ylim=(1e-18, 5), xlabel="step $n$")
    turned.set(ylabel="part along rotations")
    turned.set_title("(b) of the momentum: charges")
    turning.set_title("(c) of the step")


def _draw_stretched(data: xr.Dataset, axes) -> None:
    step = data["step"].values
    axes.plot(step, 1e3 * data["stretched"].values, color=MUON, linewidth=3, alpha=0.7)
    axes.plot(step, 1e3 * data["stretched_predicted"].values, **predicted())
    axes.plot(step, 1e3 * data["stretched_polar"].values, **BASELINE)
    label_panel(axes, "exact polar factor", 0.2, 0.75, color="#888888")
    axes.set(xlabel="step $n$", ylabel="charge of scale [mℓ]")
    axes.set_title("(d) what Muon stretches")


def _draw_table(data: xr.Dataset, axes) -> None:
    kept, lost = data["products_kept"].values, data["products_lost"].values
    for row in range(kept.shape[0]):
        for column in range(kept.shape[1]):
            commutes = lost[row, column] == 0
            axes.scatter(column, row, s=900 if commutes else 0, color=COLOR["rotation"], alpha=0.35, linewidth=0)
            axes.text(column, row, "0" if commutes else f"{lost[row, column]:.2f}", ha="center", va="center")
    names = ["signed\npermutation", "rotation", "any\ninvertible"]
    axes.set_xticks(range(kept.shape[1]), names)
    axes.set_yticks(
        range(kept.shape[0]), [name.replace(" gradient", "\ngradient") for name in data["adapter_rule"].values]
    )
    axes.set(xlim=(-0.6, kept.shape[1] - 0.4), ylim=(kept.shape[0] - 0.4, -0.6))
    axes.tick_params(length=0)
    axes.set_title("(e) distance of adapters' products")


def _draw_conditions(data: xr.Dataset, axes) -> None:
    imbalance, least = data["imbalance"].values, float(data["condition_least"])
    axes.plot(imbalance, data["condition"].values, "o", color=COLOR["general_linear"], markersize=4)
    axes.axhline(least, **predicted())
    label_point(axes, "balanced: $2\\sigma_1/\\sigma_r$", (0.3, least), (0, -11))
    axes.set(yscale="log", ylim=(0.5 * least, None), xlabel="imbalance $\\|AA^T - B^TB\\| / (\\|A\\|^2+\\|B\\|^2)$")
    axes.set(ylabel="condition number")
    axes.set_title("(f) adapters of one product")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Muon commutes with rotations of a head's basis, and Adam does not. **(a)** A language model and a twin whose "
        "values and outputs began in rotated bases: how far the twin is from the rotated model, over the way that this "
        f"has gone. Adam commutes with permutations and changes of sign alone. **(b)** Charges of rotations, relative "
        f"to momentum times weights: they stay zero under Muon (at most {told['kept']}), but not with lookahead or "
        "under Adam, as the exact law says from the measured steps (dashed). **(c)** Part of a step along rotations: "
        "Muon turns heads, although it commutes. **(d)** The charge of one head's scale under Muon, and by the law of "
        "square roots (dashed; dotted, if the polar factor of the same momenta were exact). **(e)** Low-rank adapters "
        "begun at two places of an orbit: distance of their products after training, over the way; 0 is at most "
        f"{told['products-kept']}. **(f)** Condition number of the Hessian at places of one orbit; none is below that "
        "of balanced adapters (dashed)."
    )


def alt(data: xr.Dataset) -> str:
    told, lost = numbers(data), data["products_lost"].values
    rows = "; ".join(
        f"{name}: " + ", ".join("0" if x == 0 else number(x, ".2f") for x in row)
        for name, row in zip(data["adapter_rule"].values, lost, strict=True)
    )
    return (
        f"Six panels. Top, on a logarithmic axis over {told['steps']} steps: twins under Adam are up to "
        f"{told['adam-apart-largest']} of the way apart; Muon in bfloat16 stays within {told['half']}, Muon and heavy "
        f"ball within {told['twins']}, Adam with permuted coordinates within {told['permuted']}. Second row left: "
        f"charges of rotations end at {told['adam']} under Adam and {told['lookahead']} under Muon with lookahead, on "
        f"dashed curves, and stay below {told['kept']} under Muon and heavy ball. Right: of a step {told['turning']} "
        f"goes along rotations under Muon, {told['turning-adam']} under Adam, at most {told['turning-kept']} under "
        f"heavy ball. Third row left: a charge lies on its dashed curve and ends at {told['stretched']} mℓ; the dotted "
        f"one ends at {told['polar-ratio']} of it. Right, a table of distances under permutations, rotations and "
        f"invertible matrices, {rows}. Bottom: condition numbers of {told['conditions']} above a dashed line at "
        f"{told['best']}, where the imbalance is zero."
    )
