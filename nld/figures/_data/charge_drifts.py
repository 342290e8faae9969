"""How far charges drift by the first counter term: three rules of one strength 2 eta a, in a valley and in a network.

The component -eta a <g, A g> moves a quadratic charge by 2 eta a <g, A g>/mu, whatever the rule.
"""

import numpy as np
import xarray as xr

from nld.experiment.studies import conservation
from nld.figures._data.orders_of_accuracy import three_rules
from nld.figures._data.two_parameter_valley import START, TARGET, charge, gradient
from nld.learning_rules import rules
from nld.learning_rules.rules import iterate
from nld.theory.continuum import gradient_flow
from nld.theory.counter_terms import counter_terms, startup_delay

TOY_STRENGTHS, TOY_TIME = (0.001, 0.002, 0.004, 0.008), 4.0  # 2 eta a, in w²/ℓ, and t/mu
STRENGTHS, TIME = (0.05, 0.1, 0.2), 2.0
REFERENCE = 0.005  # learning rate of the gradient descent whose drift predicts all others
KINDS = ("scale", "rescale", "general_linear")


def by_rule(momentum: float, seed: int) -> xr.Dataset:
    """Drifts of the valley's charge and of a network's by rule and strength, and what predicts them."""
    makers = three_rules(momentum)
    toy = [[_toy_drift(make, s) for s in TOY_STRENGTHS] for make in makers.values()]
    network = [[_network_drift(name, make, s, seed) for s in STRENGTHS] for name, make in makers.items()]
    unit = conservation.drifts("gradient descent", REFERENCE, round(TIME / REFERENCE), seed)
    strength = {"units": "w²/ℓ", "long_name": "2 η a"}
    return xr.Dataset(
        {
            "toy_drift": (("rule", "toy_strength"), toy, {"long_name": "1 - C/C(0)"}),
            "toy_prediction": (("toy_strength",), _toy_rate() * np.array(TOY_STRENGTHS)),
            "drift": (("rule", "strength", "symmetry"), network, {"long_name": "relative drift of charge"}),
            "prediction": (
                ("strength", "symmetry"),
                np.outer(STRENGTHS, [unit[kind] / REFERENCE for kind in KINDS]),
                {"long_name": f"2 η a times the drift of gradient descent at {REFERENCE} over that rate"},
            ),
            "coefficient": (("rule",), [counter_terms(make(1.0))[0] for make in makers.values()], {"long_name": "a"}),
        },
        coords={
            "rule": list(makers),
            "toy_strength": ("toy_strength", list(TOY_STRENGTHS), strength),
            "strength": ("strength", list(STRENGTHS), strength),
            "symmetry": list(KINDS),
        },
    )


def _toy_drift(make, strength: float) -> float:
    """1 - C/C(0) at t/mu = 4 under the rule whose learning rate gives 2 eta a = strength."""
    rule, steps = _rule_of(make, strength, TOY_TIME)
    return 1 - float(charge(iterate(rule, gradient, START, steps).position[-1]) / charge(np.array(START)))


def _toy_rate() -> float:
    """Predicted -d log C/d(2 eta a): the integral of r² along gradient flow."""
    time = np.linspace(0, TOY_TIME, 8001)
    path = gradient_flow(rules.gradient_descent(1.0), gradient, START, time).position
    return float(np.trapezoid((TARGET - path.prod(1)) ** 2, time))


def _network_drift(name: str, make, strength: float, seed: int) -> list[float]:
    """Relative drifts of a network's charges at t/mu = 2, by kind."""
    rule, steps = _rule_of(make, strength, TIME)
    drifts = conservation.drifts(name, rule.learning_rate, steps, seed, momentum=rule.momentum)
    return [drifts[kind] for kind in KINDS]


def _rule_of(make, strength: float, rescaled_time: float):
    """The rule with 2 eta a = strength, and its steps up to t/mu, those included by which it starts late."""
    rule = make(strength / (2 * counter_terms(make(1.0))[0]))
    return rule, round(rescaled_time * rule.friction / rule.learning_rate + startup_delay(rule))
