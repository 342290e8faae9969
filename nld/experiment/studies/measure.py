"""Every step of every filter, measured by definition: squared norm, step and gradient. No theory enters."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import xarray as xr

from nld.errors import InvalidInput
from nld.experiment.runs.ensemble import ensemble_training, initial_ensemble, shared
from nld.experiment.runs.prepare import load_data, reproducible
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks

MEASURED = {
    "squared_norm": ("w²", "squared norm of the filter before the step"),
    "squared_step": ("w²", "squared norm of the change that the step made to the filter"),
    "squared_gradient": ("ℓ²/w²", "squared norm of the batch's gradient, weight decay not included"),
    "cosine": ("1", "cosine of the angle between gradient and filter; 0 if the loss is scale-invariant"),
}


def measure_filters(experiments: Sequence[Experiment]) -> xr.Dataset:
    """Train all experiments as one ensemble and write down what each step did to each filter.

    Args:
        experiments: as for ``run_ensemble``; they may differ in its MEMBER_FIELDS.

    Returns:
        Dataset with the variables of MEASURED, dimensions (member, step, filter), ``last_squared_norm`` (member,
        filter) after all steps, and ``batch_loss`` (member, step); coordinate ``layer`` (filter). A member that
        diverges is NaN from there on.

    Raises:
        ValueError: members that cannot be trained together.
    """
    first = experiments[0]
    if any(shared(experiment) != shared(first) for experiment in experiments):
        raise InvalidInput("expected members that one ensemble can train together, got others; see ensemble.groups")
    with reproducible(first):
        source = load_data(first)
        ensemble = initial_ensemble(experiments, source)
        names = networks.filter_names(ensemble.members[0])
        inner = partial(inner_products, names=names)
        rows: dict[str, list[torch.Tensor]] = {name: [] for name in (*MEASURED, "batch_loss")}
        for step in ensemble_training(ensemble, experiments, source, observe=names):
            moved, norm, gradient = step.moved, inner(step.before, step.before), inner(step.gradients, step.gradients)
            rows["squared_norm"].append(norm)
            rows["squared_step"].append(inner(moved, moved))
            rows["squared_gradient"].append(gradient)
            rows["cosine"].append(inner(step.gradients, step.before) / (norm * gradient).sqrt())
            rows["batch_loss"].append(step.loss)
        last = {name: ensemble.parameters[name].detach() for name in names}
        rows["last_squared_norm"] = [inner(last, last)]
    values = {name: torch.stack(row, 1).cpu().numpy() for name, row in rows.items()}
    layers = [name for name in names for _ in range(last[name].shape[1])]
    return xr.Dataset(
        {
            **described(MEASURED, ("member", "step", "filter"), values),
            "last_squared_norm": (("member", "filter"), values["last_squared_norm"][:, 0], {"units": "w²"}),
            "batch_loss": (("member", "step"), values["batch_loss"], {"units": "ℓ"}),
        },
        coords={"layer": ("filter", np.array(layers, dtype=object))},
    )


def described(table: dict[str, tuple[str, str]], dimensions: tuple[str, ...], values: dict) -> dict[str, tuple]:
    """Variables of a Dataset: those values of which a table has units and long name."""
    return {
        name: (dimensions, values[name], {"units": units, "long_name": text})
        for name, (units, text) in table.items()
        if name in values
    }


def inner_products(a: dict, b: dict, names: Sequence[str]) -> torch.Tensor:
    """⟨a, b⟩ of each filter, (member, filter), the layers one after the other.

    Args:
        a, b: tensors (member, filter, ...) by name.
        names: the layers.
    """
    return torch.cat([(a[name] * b[name]).flatten(2).sum(2) for name in names], 1)


def squared_norms(record: xr.Dataset) -> np.ndarray:
    """|q_n|² before the first step and after each: (member or seed, steps + 1, filter).

    Args:
        record: of ``measure_filters`` or of ``train_with_rule``.
    """
    return np.concatenate([record["squared_norm"].values, record["last_squared_norm"].values[:, None]], axis=1)


def correlation_sum(squared_step, squared_gradient, learning_rate: float, momentum: float, window: int) -> np.ndarray:
    """chi = <|p|²> (1 - beta²)/(eta² <|g|²>), means over a window centred on each step and shorter at the ends.

    By how much the steps of heavy ball are longer than those that gradients without memory would make: in the mean
    the sum over all integers j of beta^|j| <g_n, g_{n+j}>/<g_n, g_n>.

    Args:
        squared_step, squared_gradient: (steps, ...), as measured.
        window: steps to average over; several 1/(1 - beta), so that a step and the gradients in it fall together.
    """
    steps, gradients = _running_mean(squared_step, window), _running_mean(squared_gradient, window)
    return steps * (1 - momentum**2) / (learning_rate**2 * gradients)


def _running_mean(values, window: int) -> np.ndarray:
    total = np.concatenate([np.zeros((1, *np.shape(values)[1:])), np.cumsum(values, axis=0)])
    index = np.arange(len(values))
    low, high = np.maximum(index - window // 2, 0), np.minimum(index + window // 2 + 1, len(values))
    return (total[high] - total[low]) / (high - low).reshape(-1, *[1] * (total.ndim - 1))
