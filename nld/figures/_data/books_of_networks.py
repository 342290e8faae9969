"""The books of three monitored networks: the charge of one unit with its law, and what no book of any explains."""

import numpy as np
import xarray as xr

from nld.experiment.studies import monitored

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


def books(seed: int, weight_decay: float) -> xr.Dataset:
    """Monitored runs of three networks in two precisions, and the CNN with PyTorch's epsilon."""
    shape = len(CASES), STEPS
    charge, law, without = (np.zeros(shape) for _ in range(3))
    residual = np.full((len(CASES), len(EPSILON), len(KINDS), STEPS), np.nan)
    share, units = np.zeros(len(CASES)), np.zeros(len(CASES), int)
    default = np.zeros(STEPS)
    for row, (network, (*_, kind)) in enumerate(CASES.items()):
        for column, (precision, epsilon) in enumerate(EPSILON.items()):
            record = _record(network, seed, weight_decay, precision, epsilon)
            for place, name in enumerate(KINDS):
                if (record.kind == name).any():
                    of_kind = record.relative_residual.sel(block=(record.kind == name).values)
                    residual[row, column, place] = of_kind.max(["block", "unit"])
            if column == 0:
                charge[row], law[row], without[row] = one_charge(record, kind)
                moved = {term: float(abs(record[term]).sum()) for term in TERMS}
                share[row] = moved["kinetic_symmetry_breaking"] / sum(moved.values())
                units[row] = int(record.units.sum())
        if network == "digits_cnn":
            record = _record(network, seed, weight_decay, "float64", 1e-5)
            default[:] = record.relative_residual.sel(block=(record.kind == "scale").values).max(["block", "unit"])
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
