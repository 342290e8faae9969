"""The squared norm of heavy ball and the accumulators of RMSProp and AdaGrad under one drive that is switched."""

import numpy as np
import xarray as xr

from nld.learning_rules.rules import heavy_ball, iterate
from nld.series import Prediction
from nld.theory.adaptive import equivalent_square_decay, momentum_amplification
from nld.theory.solutions import predict_root_mean_square, predict_squared_norm

LEVELS = (1.0, 2.0, 0.5)  # of the gradient at unit norm in the three parts of the run, in ℓ
PART = 6000  # steps
BASE_DECAY = 1e-3  # the initial norm is the equilibrium of this weight decay, in ℓ/w²


def runs(learning_rate: float, momentum: float) -> xr.Dataset:
    """Heavy ball in the plane and the accumulator of RMSProp under the same drive, and both laws."""
    drive = np.repeat(LEVELS, PART)
    decays = (0.0, BASE_DECAY, 4 * BASE_DECAY)
    initial = np.sqrt(gain(heavy_ball(learning_rate, momentum, BASE_DECAY)))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("squared_norm", "eq17", "root", "eq18")}
    for decay in decays:
        rule = heavy_ball(learning_rate, momentum, decay)
        rows["squared_norm"].append(_squared_norm(rule, drive, initial))
        rows["eq17"].append(predict_squared_norm(rule, drive**2, initial).value)
        if decay:
            root, law = _rmsprop(rule, drive, initial)
            rows["root"].append(root)
            rows["eq18"].append(law.value)
        else:
            rows["root"].append(_adagrad(rule, drive, initial))
            rows["eq18"].append(rows["root"][-1])
    keep = slice(None, None, 20)
    names = {"squared_norm": "measured squared norm", "eq17": "squared norm by T&K (17)",
             "root": "root of RMSProp's accumulator in units of the squared norm",
             "eq18": "root of T&K (18) in units of the squared norm"}  # fmt: skip
    return xr.Dataset(
        {
            name: (("weight_decay", "step"), np.stack(rows[name])[:, keep], {"units": "w²", "long_name": text})
            for name, text in names.items()
        }
        | {"drive": (("step",), np.append(drive, drive[-1])[keep], {"units": "ℓ"})},
        coords={"weight_decay": list(decays), "step": np.arange(len(drive) + 1)[keep]},
        attrs={
            "learning_rate": learning_rate,
            "momentum": momentum,
            "memory": (1 - momentum) / (4 * BASE_DECAY * learning_rate),
        },
    )


def gain(rule) -> float:
    """r⁴ of Eq 17 over G of Eq 18 under the dictionary: the quotient of their drives over their rate."""
    return 2 * rule.learning_rate * momentum_amplification(rule.momentum) * rule.friction / (4 * rule.weight_decay)


def _squared_norm(rule, drive: np.ndarray, initial: float) -> np.ndarray:
    """|q|² of heavy ball in f = a(t) angle(q), from a buffer that the first gradient has filled."""
    steps = iter(drive)

    def gradient(q):
        return next(steps) * np.array([-q[1], q[0]]) / (q @ q)

    q = np.array([np.sqrt(initial), 0.0])
    settled = np.array([0.0, drive[0] / np.sqrt(initial)]) / rule.friction
    return (iterate(rule, gradient, q, len(drive), state=(settled,)).position ** 2).sum(-1)


def _rmsprop(rule, drive: np.ndarray, initial: float) -> tuple[np.ndarray, Prediction]:
    """√G of the accumulator that RMSProp keeps and of Eq 18, times the dictionary's constant."""
    memory, scale = equivalent_square_decay(rule), np.sqrt(gain(rule))
    square = np.empty(len(drive) + 1)
    square[0] = (initial / scale) ** 2
    for n, a in enumerate(drive):
        square[n + 1] = memory * square[n] + (1 - memory) * a**2
    law = predict_root_mean_square(rule.learning_rate, memory, drive**2, square[0])
    scaled = Prediction(law.quantity, law.time, scale * law.value, law.source, "w^2", law.given)
    return scale * np.sqrt(square), scaled


def _adagrad(rule, drive: np.ndarray, initial: float) -> np.ndarray:
    """AdaGrad's root of the sum of squares, in units of the squared norm: the case k = 0."""
    growth = 2 * rule.learning_rate**2 * momentum_amplification(rule.momentum)
    return np.sqrt(initial**2 + growth * np.append(0, np.cumsum(drive**2)))
