"""Updates of Adam by running it: where they stay bounded, how large they become, and how fast they grow outside."""

import numpy as np
import xarray as xr

from nld.experiment.studies import train_with_rule
from nld.learning_rules import rules
from nld.theory import adam

SETTINGS = ((0.9, 0.999), (0.69, 0.5), (0.98, 0.9))  # momentum and square decay: inside, between the bounds, outside
GROWING = ((0.99, 0.95), (0.95, 0.9), (0.8, 0.5))  # outside, from long to short memories
NETWORK_STEPS = 300


def plane() -> xr.Dataset:
    """The exact largest update over momentum and square decay."""
    momentum, decay = np.linspace(0, 0.995, 100), np.linspace(0.01, 0.995, 100)
    values = adam.largest_update(momentum, decay[:, None])
    attributes = {"units": "1", "long_name": "largest update after infinitely many steps"}
    return xr.Dataset(
        {"largest_plane": (("plane_decay", "plane_momentum"), values, attributes)},
        coords={"plane_decay": decay, "plane_momentum": momentum},
    )


def run_updates(momentum, square_decay, gradients) -> np.ndarray:
    """u_n of Adam on given gradients, (steps, ...): the negative of a step from zero at learning rate one."""
    rule, state, updates = rules.adam(1.0, momentum, square_decay, epsilon=1e-300), (), []
    for gradient in gradients:
        q, state = rule.step(np.zeros_like(gradient), state, lambda _, gradient=gradient: gradient)
        updates.append(-q)
    return np.array(updates)


def boundary(steps: int = 250) -> xr.Dataset:
    """The momentum at which Adam's updates, after one gradient and then none, neither fall nor grow; by running it."""
    decay, momentum = np.linspace(0.1, 0.95, 12), np.linspace(0.2, 0.998, 400)[:, None]
    spike = np.zeros((steps, len(momentum), len(decay)))
    spike[0] = 1
    updates = run_updates(momentum, decay, spike)
    grown = np.log(updates[-1] / updates[steps // 2])
    first = (grown > 0).argmax(0)
    columns = np.arange(len(decay))
    low, high = grown[first - 1, columns], grown[first, columns]
    located = momentum[first - 1, 0] + (momentum[1, 0] - momentum[0, 0]) * low / (low - high)
    attributes = {"units": "1", "long_name": "momentum above which updates grow, located by running Adam"}
    return xr.Dataset({"boundary": (("boundary_decay",), located, attributes)}, coords={"boundary_decay": decay})


def largest(seed: int, learning_rate: float) -> xr.Dataset:
    """Largest updates after n steps at the three settings: laws, worst gradients, and a network on digits.

    ``slow_update``: the network at the last setting, trained at a tenth of the learning rate.
    """
    momentum, decay = np.array(SETTINGS).T[..., None]
    step, worst_step = np.arange(1, NETWORK_STEPS + 1), np.array([1, 2, 4, 8, 16, 32, 64, 100, 150, 200, 250, 300])
    worst = [[run_updates(*s, adam.worst_gradients(*s, n))[-1] for n in worst_step] for s in SETTINGS]
    runs = [(learning_rate, *s) for s in SETTINGS] + [(learning_rate / 10, *SETTINGS[-1])]
    trained = [
        train_with_rule.train_with_rule(
            rules.adam(*run, epsilon=1e-60, decoupled=True), (seed,), steps=NETWORK_STEPS, width=0.5
        )
        for run in runs
    ]
    *fast, slow = [run["largest_update"].values[0] for run in trained]
    units = {"units": "1"}
    return xr.Dataset(
        {
            "law": (("setting", "update_step"), adam.largest_update(momentum, decay, step), units),
            "continuous": (("setting", "update_step"), adam.continuous_largest_update(momentum, decay, step), units),
            "worst": (("setting", "worst_step"), np.array(worst), units),
            "network_update": (("setting", "update_step"), np.stack(fast), units),
            "slow_update": (("update_step",), slow, units),
        },
        coords={"update_step": step, "worst_step": worst_step, "momentum": ("setting", momentum[:, 0]),
                "square_decay": ("setting", decay[:, 0])},
    )  # fmt: skip


def growth(steps: int = 200) -> xr.Dataset:
    """Rate at which updates grow after a single gradient, and what discrete and continuous time say it is."""
    momentum, decay = np.array(GROWING).T
    spike = np.zeros((4 * steps, len(GROWING)))
    spike[0] = 1
    updates = run_updates(momentum, decay, spike)
    rates = [np.log(updates[-1] / updates[-steps - 1]) / steps, adam.growth_rate(momentum, decay),
             -adam.continuous_exponent(momentum, decay) / 2]  # fmt: skip
    return xr.Dataset(
        {"growth_rate": (("origin", "growing"), np.stack(rates), {"units": "1/step"})},
        coords={"origin": ["measured", "discrete", "continuous"], "growing_momentum": ("growing", momentum),
                "growing_decay": ("growing", decay)},
    )  # fmt: skip


def worst_default(steps: int = 8000) -> float:
    """The update to which the worst gradients bring Adam at its default setting, by running it."""
    gradients = adam.worst_gradients(*SETTINGS[0], steps)
    return float(run_updates(*SETTINGS[0], np.where(gradients > 1e-100, gradients, 0))[-1])


def stated_default() -> float:
    """The bound that Adam's authors state at the same setting."""
    return float(max(1.0, adam.largest_update_after_silence(*SETTINGS[0])))
