"""The velocity along a symmetry: where steps move the weights, beside the charge of the optimizer's momentum.

    V_n = ⟨(q_{n+1} − q_n)/η, A(q_n)⟩

is the paper's Noether charge ⟨q̇, ∂ₛQ⟩ (Eq 13) of the step itself. The books are those of the momentum π. For SGD,
Δq_n = −ηπ_{n+1}, both are one number, V_n = −charge_{n+1}; a metric (RMSProp, Adam) or a look-ahead (Nesterov) comes
between them, and then it is V that moves what gradient flow conserves: for a linear A(q) = DA q with a symmetric DA

    ⟨q, A(q)⟩_{n+1} − ⟨q, A(q)⟩_n = 2ηV_n + ⟨Δq_n, DA Δq_n⟩,        translations: ⟨q, A⟩_{n+1} − ⟨q, A⟩_n = ηV_n.
"""

import json

import numpy as np
import xarray as xr

QUANTITY = "velocity_along_symmetry"


def velocity_along_symmetry(record: xr.Dataset) -> xr.DataArray:
    """V_n = ⟨Δq_n/η, A(q_n)⟩ of each unit, in ℓ (translation: ℓ/w), (step, block, unit); positive along the generator.

    As recorded (scale and rescale). Of translations, and of scale in records of formats before 5, from the change of
    the conserved quantity to the next step, less its second-order term; NaN where the next step is not recorded. NaN
    of matrices of charges and of generators with an offset, whose velocity nothing that is measured holds.
    """
    norm, follows = record.squared_norm, np.diff(record.step.values) == 1
    unknown = xr.full_like(norm, np.nan)

    def change(values: xr.DataArray) -> xr.DataArray:
        to_next = np.where(follows[:, None, None], np.diff(values.values, axis=0), np.nan)
        return unknown.copy(data=np.concatenate([to_next, unknown.values[:1]]) if norm.sizes["step"] else to_next)

    moved = xr.where(record.kind == "scale", (change(norm) - record.squared_step) / 2, np.nan)
    if "imbalance" in record:
        moved = xr.where(record.kind == "translation", change(record.imbalance), moved)
    derived = (moved / record.learning_rate.where(record.learning_rate > 0)).transpose(*norm.dims)
    return record[QUANTITY].fillna(derived) if QUANTITY in record else derived


def follows_momentum(record: xr.Dataset) -> xr.DataArray:
    """Whether V_n = −charge_{n+1}, since a step is −η times the momentum: SGD without look-ahead, (block,)."""
    return record.equilibrium == "heavy_ball"


def moved_share(record: xr.Dataset) -> xr.DataArray:
    """2η|V|/|q|², the share by which a step's velocity moves |q|² or a balance of squared norms, (step, block).

    Mean over units, without decoupled decay, of scale and rescale; NaN for others, and with decay inside the gradient
    of rules whose metric scales it.
    """
    decoupled = record.equilibrium == "decoupled"
    known = record.kind.isin(["scale", "rescale"]) & (decoupled | (record.weight_decay == 0))
    decay = xr.where(decoupled, record.learning_rate * record.weight_decay, 0.0)
    # ⟨q, A(q)⟩ is what decay shrinks. Before format 3 there is none: then only scale is known, where it is |q|².
    pulled = decay * (record.imbalance if "imbalance" in record else record.squared_norm)
    radial = velocity_along_symmetry(record) * record.learning_rate + pulled
    norm = record.squared_norm.where(known & (record.squared_norm > 0))
    return (2 * abs(radial) / norm).mean("unit").transpose("step", "block")


def memory_of_steps(record: xr.Dataset) -> xr.DataArray:
    """β of the steps, (step, block): that of the books or, where these are of the bare gradient, of what it becomes.

    RMSProp averages gradients after it has divided them: its ``momentum`` is none of π, but of its steps.
    """
    groups = json.loads(record.attrs["hyperparameters"])
    behind = max((float(group.get("momentum") or 0.0) for group in groups), default=0.0)
    return record.momentum.where(record.momentum > 0, behind)


def metric_drift(record: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """How the optimizer's metric moves squared norms that a normalization protects, (block,) and (block,).

    ηV = ⟨q, Δq⟩ without decoupled decay is −η⟨q, Pπ⟩: for a Euclidean metric, P = 1, only momentum makes it, and |q|²
    grows by |Δq|² (1 + β)/(1 − β) a step in the mean. Returns the mean of 2η|V|/|q|² a step (moved_share), and that
    over the Euclidean growth. NaN for other kinds, where V is not known, and with decay inside the gradient.
    """
    moved = moved_share(record).where(record.kind == "scale")
    share, beta = moved.mean("step"), memory_of_steps(record)
    norm = record.squared_norm.where((record.squared_norm > 0) & moved.notnull())
    growth = (record.squared_step / norm * (1 + beta) / (1 - beta)).mean(["step", "unit"])
    return share, (share / growth).where(growth > 0)
