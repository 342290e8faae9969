"""How much momentum amplifies the growth of a norm: measured in a model and in a network, and what predicts it."""

import numpy as np
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.studies.measure import measure_filters, squared_norms
from nld.learning_rules.rules import heavy_ball
from nld.theory.adaptive import momentum_amplification

MOMENTA = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
CORRELATIONS = (0.0, 0.9, 1.0)  # of successive gradients: white, between, smooth
SIZE = 64  # coordinates of the model
NETWORK_MOMENTA = (0.0, 0.5, 0.9, 0.95)
JUDGED_MOMENTUM = 0.9
BATCHES = {"full batches": {"train_size": 256, "batch_size": 256}, "mini-batches": {}}


def factors(seed: int, learning_rate: float) -> xr.Dataset:
    """The factor in the model at every momentum and correlation, and in the network by momentum and layer."""
    return xr.Dataset(
        {
            "model": (("correlation", "momentum"), model_amplification(seed), {"units": "1"}),
            "network": (("network_momentum", "layer"), network_amplification(learning_rate, seed), {"units": "1"}),
        },
        coords={
            "correlation": list(CORRELATIONS),
            "momentum": list(MOMENTA),
            "network_momentum": list(NETWORK_MOMENTA),
            "layer": [1, 2, 3],
        },
        attrs={"learning_rate": learning_rate, "seed": seed},
    )


def judged_factors(seeds, learning_rate: float) -> xr.Dataset:
    """The network's factor at momentum 0.9, the median over all its filters, by batches: (judging_seed, batches)."""
    beta, columns = JUDGED_MOMENTUM, []
    for batches in BATCHES.values():
        base = _base(learning_rate * (1 - beta)).replace(momentum=beta, **batches)
        quotients, _ = _quotients([base.replace(seed=int(seed)) for seed in seeds])
        columns.append(np.median(quotients, axis=1))
    return xr.Dataset(
        {"judged_factor": (("judging_seed", "batches"), np.array(columns).T, {"units": "1"})},
        coords={"judging_seed": list(seeds), "batches": list(BATCHES)},
    )


def model_amplification(seed: int, steps: int = 3000) -> np.ndarray:
    """(r⁴(T) - r⁴(0))/(2 eta² T) under heavy ball with |g^| = 1, after the buffers have filled.

    The gradient at q is the part of a direction d_n orthogonal to q, at length 1/|q|. Successive directions have the
    given correlation; the fully correlated one is carried along by a rotation of q, so that it never runs out.

    Returns:
        (correlation, momentum).
    """
    random = np.random.default_rng(seed)
    momentum, correlation = np.array(MOMENTA)[:, None], np.array(CORRELATIONS)[:, None, None]
    rule = heavy_ball(1e-3 * (1 - momentum) ** 2, momentum)
    q, state = np.zeros((len(CORRELATIONS), len(MOMENTA), SIZE)), ()
    q[..., 0] = 1.0
    start, settle = 0.0, int(np.ceil(30 / (1 - momentum.max())))
    direction = random.normal(size=q.shape)
    for n in range(settle + steps):
        squared = (q * q).sum(-1, keepdims=True)
        if n == settle:
            start = squared**2
        direction = correlation * direction + np.sqrt(1 - correlation**2) * random.normal(size=q.shape)
        tangent = direction - (direction * q).sum(-1, keepdims=True) / squared * q
        carried = np.stack([-q[..., 1::2], q[..., ::2]], -1).reshape(q.shape)
        tangent = np.where(correlation < 1, tangent, carried)
        force = tangent / np.sqrt((tangent * tangent).sum(-1, keepdims=True) * squared)
        q, state = rule.step(q, state, lambda _, force=force: force)
    grown = (q * q).sum(-1, keepdims=True) ** 2 - start
    return (grown / (2 * rule.learning_rate**2 * steps))[..., 0]


def network_amplification(learning_rate: float, seed: int) -> np.ndarray:
    """The same quotient for each filter of the digits network without weight decay, after the first 100 steps.

    Returns:
        (momentum, layer), the median over the filters of a layer.
    """
    base = _base(learning_rate).replace(seed=seed)
    members = [base.replace(momentum=beta, learning_rate=learning_rate * (1 - beta)) for beta in NETWORK_MOMENTA]
    quotient, layers = _quotients(members)
    return np.stack([np.median(quotient[:, layers == name], axis=1) for name in dict.fromkeys(layers)], axis=1)


def _base(learning_rate: float) -> Experiment:
    return Experiment(weight_decay=0.0, steps=300, width=0.5, learning_rate=learning_rate)


def _quotients(members: list[Experiment]) -> tuple[np.ndarray, np.ndarray]:
    """(r⁴(T) - r⁴(100))/(2 eta² sum |g^|²) of each filter after the first 100 steps, (member, filter); its layer."""
    record, first = measure_filters(members), 100
    squared = squared_norms(record)
    unit = (record["squared_gradient"] * record["squared_norm"]).isel(step=slice(first, None)).sum("step").values
    rates = np.array([member.learning_rate for member in members])[:, None]
    quotient = (squared[:, -1] ** 2 - squared[:, first] ** 2) / (2 * rates**2 * unit)
    return quotient, record["layer"].values


def prediction(momentum, correlation):
    """chi/(1 - beta)² with chi the sum over all integers j of beta^|j| c^|j|, which is (1 + beta c)/(1 - beta c); for
    smooth gradients, c = 1, the paper's (1 + beta)/(1 - beta)³."""
    if correlation == 1:
        return momentum_amplification(momentum)
    chi = (1 + momentum * correlation) / (1 - momentum * correlation)
    return chi / (1 - momentum) ** 2
