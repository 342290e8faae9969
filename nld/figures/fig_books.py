"""The books of three networks: one charge with its prediction, and what no book explains. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.experiment.studies import monitored
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import power, power_above
from nld.inference import Evidence, Verdict, rule

STEPS = 200
# Network: title, width, optimizer, learning rate, and the kind of the charge that is shown.
CASES = {
    "digits_cnn": ("CNN, SGD", 1.0, "SGD", 0.1, "scale"),
    "mlp": ("MLP, Nesterov", 0.5, "Nesterov", 0.1, "rescale"),
    "transformer": ("transformer, AdamW", 0.5, "AdamW", 3e-3, "rescale"),
}
EPSILON = {"float64": 1e-20, "float32": 1e-8}
TERMS = ("dissipation", "kinetic_symmetry_breaking", "weight_decay_term")
KINDS = ("scale", "rescale", "translation", "general_linear")
ROUNDING = ("residual",)  # what the books leave over
# Sums of some 10^4 products, and gradients that are themselves sums of as many: what rounding may leave of |pi| |A(q)|.
BALANCED = {"float64": 1e4 * float(np.finfo(np.float64).eps), "float32": 1e4 * float(np.finfo(np.float32).eps)}


def compute(profile: str, *, seed: int = 0, weight_decay: float = 0.01) -> xr.Dataset:
    """Monitored runs of three networks in two precisions, and the CNN with PyTorch's epsilon; one for all profiles."""
    shape = len(CASES), STEPS
    charge, law, without = (np.zeros(shape) for _ in range(3))
    residual = np.full((len(CASES), len(EPSILON), len(KINDS), STEPS), np.nan)
    share, units = np.zeros(len(CASES)), np.zeros(len(CASES), int)
    for row, (network, (*_, kind)) in enumerate(CASES.items()):
        for column, (precision, epsilon) in enumerate(EPSILON.items()):
            record = _record(network, seed, weight_decay, precision, epsilon)
            for place, name in enumerate(KINDS):
                if (record.kind == name).any():
                    residual[row, column, place] = _largest_residual(record, name)
            if column == 0:
                charge[row], law[row], without[row] = one_charge(record, kind)
                moved = {term: float(abs(record[term]).sum()) for term in TERMS}
                share[row] = moved["kinetic_symmetry_breaking"] / sum(moved.values())
                units[row] = int(record.units.sum())
    default = _largest_residual(_record("digits_cnn", seed, weight_decay, "float64", 1e-5), "scale")
    one = {"units": "ℓ", "long_name": "Noether charge of one unit"}
    relative = {"units": "1", "long_name": "largest |residual| / (|pi| |A(q)|)"}
    return xr.Dataset(
        {
            "charge": (("network", "step"), charge, one),
            "predicted": (("network", "step"), law, {**one, "long_name": "last charge plus its three terms"}),
            "without": (("network", "step"), without, {**one, "long_name": "the law without the kinetic term"}),
            "residual": (("network", "precision", "kind", "step"), residual, relative),
            "residual_default_epsilon": (("step",), default, relative),
            "kinetic_share": (("network",), share, {"units": "1", "long_name": "share of the kinetic term"}),
            "charges": (("network",), units, {"units": "1", "long_name": "units with a charge of their own"}),
        },
        coords={
            "network": list(CASES),
            "precision": list(EPSILON),
            "kind": list(KINDS),
            "shown": ("network", [kind for *_, kind in CASES.values()]),
            "step": np.arange(STEPS),
        },
        attrs={"seed": seed, "weight_decay": weight_decay},
    )


def _record(network: str, seed: int, weight_decay: float, precision: str, epsilon: float) -> xr.Dataset:
    _, width, optimizer, rate, _ = CASES[network]
    model, blocks = monitored.setup(network, seed=seed, width=width, epsilon=epsilon, precision=precision)
    return monitored.train_with_monitor(
        model, blocks, optimizer, learning_rate=rate, steps=STEPS, weight_decay=weight_decay, seed=seed
    )


def _largest_residual(record: xr.Dataset, kind: str) -> np.ndarray:
    return record.relative_residual.sel(block=(record.kind == kind).values).max(["block", "unit"]).values


def one_charge(record: xr.Dataset, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The charge of the unit where the kinetic term moves most, its prediction, and the law without that term."""
    names = record.block.values[(record.kind == kind).values]
    size = abs(record.kinetic_symmetry_breaking.sel(block=names)).sum("step")
    block, unit = np.unravel_index(int(size.fillna(-1).values.argmax()), size.shape)
    row = record.sel(block=names[block], unit=unit)
    charge = row.charge.values
    before = np.concatenate([[0.0], charge[:-1]])
    law = before + sum(row[term].values for term in TERMS)
    without, last = np.zeros(len(charge)), 0.0
    for step, (beta, decay) in enumerate(zip(row.momentum.values, row.weight_decay_term.values, strict=True)):
        without[step] = last = beta * last + decay
    return charge, law, without


def worst(data: xr.Dataset) -> dict[str, float]:
    """Largest relative residual of all charges, by precision."""
    residual = data["residual"].max(["network", "kind", "step"])
    return {precision: float(residual.sel(precision=precision)) for precision in BALANCED}


def judge(data: xr.Dataset) -> list[Verdict]:
    """Whether the books of every charge balance to rounding in both precisions."""
    left = worst(data)
    return rule([
        Evidence(
            "charge-balance",
            f"Of {int(data['charges'].sum())} charges in three networks the books leave at most "
            f"{power_above(left['float64'])} of $\\lVert\\pi\\rVert\\,\\lVert A(q)\\rVert$ in double precision and "
            f"{power_above(left['float32'])} in single.",
            checks={precision: left[precision] < bound for precision, bound in BALANCED.items()},
        )
    ])  # fmt: skip


def strays(data: xr.Dataset) -> np.ndarray:
    """Largest distance of the law without the kinetic term from the charge, over the largest charge: (network)."""
    return (abs(data["without"] - data["charge"]).max("step") / abs(data["charge"]).max("step")).values


def default_epsilon(data: xr.Dataset) -> str:
    """Whether PyTorch's epsilon breaks the books the more, the longer training goes on."""
    residual = data["residual_default_epsilon"].values
    early, late = (np.median(part) for part in (residual[: len(residual) // 4], residual[-(len(residual) // 4) :]))
    if late > early:
        return (
            "It grows during training, because ε is compared with the variance of a filter's output, and that variance "
            "is smallest where weight decay has made the filter short."
        )
    return "It falls during training: ε is compared with the variance of a filter's output, and filters get longer."


def draw(data: xr.Dataset):
    """One charge a network above, the largest relative residual of each kind of symmetry below."""
    figure, panels = new_figure(2, 3, size=(6.4, 4.6), sharex=True)
    step = data["step"].values
    for index, network in enumerate(data["network"].values):
        above, below = panels[:, index]
        row = data.sel(network=network)
        shown = str(row["shown"].values)
        above.plot(step, row["charge"], color=COLOR[shown], linewidth=3, alpha=0.75)
        above.plot(step, row["predicted"], **predicted(linewidth=0.8, linestyle=(0, (3, 5))))
        above.plot(step, row["without"], **BASELINE)
        above.set_title(f"({'abc'[index]}) {CASES[str(network)][0]}")
        above.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=True)
        height = (0.06, 0.9, 0.85)[index]
        label_panel(above, f"{shown} charge", 0.96, height, color=COLOR[shown], ha="right")
        if index == 1:
            label_panel(above, "dashed: predicted", 0.96, height - 0.09, ha="right")
            text = "dotted: without\nkinetic breaking"
            label_panel(above, text, 0.96, height - 0.26, color=BASELINE["color"], ha="right")
        for precision, alpha in (("float64", 1.0), ("float32", 0.55)):
            for kind in data["kind"].values:
                values = row["residual"].sel(precision=precision, kind=kind).values
                below.plot(step, np.where(values > 0, values, np.nan), color=COLOR[str(kind)], alpha=alpha, linewidth=1)
            level = float(row["residual"].sel(precision=precision).min(["kind", "step"]))
            below.text(0.96 * step[-1], level / 3, precision, ha="right", va="top", fontsize=8)
        below.set(yscale="log", ylim=(1e-19, 1), xlabel="step $n$", xlim=(0, step[-1]))
        if index:
            below.tick_params(labelleft=False)
    panels[1, 0].plot(step, data["residual_default_epsilon"], color=COLOR["scale"], linewidth=1)
    height = float(data["residual_default_epsilon"].max())
    panels[1, 0].text(0.96 * step[-1], height * 2, "float64, $\\epsilon = 10^{-5}$", ha="right", fontsize=8)
    for place, kind in enumerate(data["kind"].values):
        text = str(kind).replace("_", " ")
        label_panel(panels[1, 2], text, 0.97, 0.95 - 0.075 * place, color=COLOR[str(kind)], ha="right")
    panels[0, 0].set_ylabel("charge [ℓ]")
    panels[1, 0].set_ylabel("relative residual [1]")
    return figure


def caption(data: xr.Dataset) -> str:
    left = worst(data)
    share = data["kinetic_share"]
    return (
        "In every network the charges move by what the law says and by nothing else. **Above:** the charge of one unit "
        "(coloured), its value one step before plus dissipation, kinetic symmetry breaking and weight decay (dashed), "
        "and what the charge would be without kinetic symmetry breaking (dotted). **Below:** the largest residual of "
        "all units of each kind of symmetry, relative to $\\|\\pi\\|\\,\\|A(q)\\|$: at most "
        f"{power_above(left['float64'])} in double and {power_above(left['float32'])} in "
        "single precision; with PyTorch's default $\\epsilon = 10^{-5}$ in batch normalization up to "
        f"{power(data['residual_default_epsilon'].max())}. The books hold {int(data['charges'].sum())} charges; the "
        f"kinetic term makes up {100 * float(share.min()):.0f} to {100 * float(share.max()):.0f} % of what they record."
    )


def alt(data: xr.Dataset) -> str:
    left = worst(data)
    return (
        "Two rows of three panels: a convolutional network, a perceptron and a transformer. Above, a measured charge "
        "over steps with a dashed prediction on it; a dotted curve without the kinetic term leaves it by "
        f"{', '.join(f'{x:.2g}' for x in strays(data))} times its largest value. Below, relative residuals on a "
        f"logarithmic axis: level lines below {power_above(left['float64'])} in double and below "
        f"{power_above(left['float32'])} in single precision, and in the first panel one up to "
        f"{power(data['residual_default_epsilon'].max())} for PyTorch's default epsilon."
    )
