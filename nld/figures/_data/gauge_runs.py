"""What the figure of gauge symmetry measures, one function a panel, each with what theory says beside it."""

import numpy as np

from nld.experiment.studies import biased_attention, neural_ode
from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import adam, gradient_descent, iterate
from nld.theory import gauge_laws

LAYERS = (16, 32, 64, 128)
SHOWN, ENTRY = 64, (0, 0)  # layers and entry of the matrices that the first two panels show
STEPS = (0.02, 0.01)  # of the integrator in the flow of attention
DECAYS = (0.0, 0.2)


def densities(seed: int, end: float = 2.0, step: float = 0.0125) -> dict:
    """Charges of residual layers and the density of their limit, before and after gradient flow, by depth.

    ``layer_drift``, ``density_drift`` and ``corrected_drift``: root mean square of the change over that of the first
    values.
    """
    rows, fields, losses = [], {}, []
    for layers in LAYERS:
        chain = neural_ode.ResidualChain(layers, *neural_ode.task(seed))
        path = runge_kutta(lambda q, c=chain: -c.gradient(q), chain.start(neural_ode.smooth_field(seed)), end, step)
        q = path[[0, -1]]
        fields[layers], losses = chain.fields(q), [chain.loss(point) for point in q]
        layer, density = chain.charges(q), gauge_laws.charge_density(fields[layers])
        foreseen = gauge_laws.density_drift(*fields[layers])
        rows.append([_relative(layer), _relative(density), _relative(density - np.stack([0 * foreseen, foreseen]))])
    shown = fields[SHOWN]
    drifts = zip(("layer_drift", "density_drift", "corrected_drift"), np.transpose(rows), strict=True)
    return {name: ("layers", values) for name, values in drifts} | {
        "density": (("when", "depth"), gauge_laws.charge_density(shown)[..., *ENTRY], {"units": "w"}),
        "weight": (("when", "layer_depth"), shown[..., *ENTRY], {"units": "w"}),
        "weights_moved": _relative(shown),
        "loss": ("when", losses),
        "depth": ("depth", np.arange(1, SHOWN) / SHOWN),
        "layer_depth": ("layer_depth", (np.arange(SHOWN) + 0.5) / SHOWN),
        "layers": ("layers", list(LAYERS)),
        "when": ("when", ["before", "after"]),
    }


def invariance(seed: int) -> dict:
    """How far a gauge transformation and another clock change the field of a neural ODE, and its map."""
    field = neural_ode.smooth_field(seed)
    matrix = np.random.default_rng([seed, 3]).normal(size=(3, 3)) / 3

    def gauged(t):
        bump = np.sin(np.pi * t) ** 2
        return gauge_laws.transformed(field(t), np.eye(3) + bump * matrix, np.pi * np.sin(2 * np.pi * t) * matrix)

    def clocked(t):
        return (0.5 + t) * field((t + t * t) / 2)

    first, depths = neural_ode.transport(field), np.linspace(0, 1, 21)
    others = {"gauge": gauged, "clock": clocked}
    changed = [max(np.abs(other(t) - field(t)).max() for t in depths) for other in others.values()]
    error = [np.abs(neural_ode.transport(other) - first).max() for other in others.values()]
    return {
        "field_changed": ("transformation", changed, {"units": "w"}),
        "map_error": ("transformation", error, {"units": "w"}),
        "transformation": ("transformation", list(others)),
    }


def attention_charges(seed: int, end: float = 4.0) -> dict:
    """Largest change of attention's charges along gradient flow, with and without their biases."""
    head, start = biased_attention.taught(seed)
    paths = [runge_kutta(lambda q: -head.gradient(q), start, end, step) for step in STEPS]
    drift = [[_changes(head.charges(path, biases)) for biases in (True, False)] for path in paths]
    every = slice(5, None, 5)
    gradient = head.gradient(start)
    return {
        "charge_drift": (("biases", "pair", "time"), np.stack(drift[-1])[..., every], {"units": "w²"}),
        "charge_drift_end": (("integrator_step", "pair"), [np.max(both[0], axis=-1) for both in drift]),
        "key_gradient": np.abs(head.maps(gradient)["key"][:, -1]).max() / np.abs(gradient).max(),
        "time": ("time", STEPS[-1] * np.arange(len(paths[-1]))[every], {"units": "w²/ℓ"}),
        "pair": ("pair", list(head.charges(start))),
        "biases": ("biases", ["with", "without"]),
        "integrator_step": ("integrator_step", list(STEPS)),
    }


def shifts(seed: int, rate: float = 0.1, steps: int = 400) -> dict:
    """Gradient descent from a start, and from two others with the same outputs: their losses, and outputs' change."""
    head, start = biased_attention.taught(seed)
    shift = np.array([0.8, -0.6])
    starts = [start, *(head.shifted(start, name, shift) for name in ("key", "value"))]
    paths = [iterate(gradient_descent(rate), head.gradient, q, steps).position for q in starts]
    losses = np.array([[head.loss(q) for q in path[::4]] for path in paths])
    return {
        "shifted_loss": (("shifted", "step"), losses, {"units": "ℓ"}),
        "shifted_outputs": (("shifted",), [np.abs(head.outputs(q) - head.outputs(start)).max() for q in starts]),
        "step": ("step", np.arange(0, steps + 1, 4)),
        "shifted": ("shifted", ["none", "key", "value"]),
    }


def laws(seed: int) -> dict:
    """By the biases that a head of dimension one has: directions that leave its outputs, and laws under two flows."""
    flows = ("gradient", "momentum")
    counts = [
        [biased_attention.law_counts(biases, flow, seed) for flow in flows]
        for biases in biased_attention.BIASES.values()
    ]
    return {
        "law_count": (("has", "flow"), [[int(count) for count in row] for row in counts]),
        "direction_count": ("has", [row[0].dimension - row[0].ranks[0] for row in counts]),
        "has": ("has", list(biased_attention.BIASES)),
        "flow": ("flow", list(flows)),
    }


def decays(seed: int, rate: float = 0.1, steps: int = 800) -> dict:
    """Largest entry of the gauge condition in training with and without decay of the residual weights."""
    chain = neural_ode.ResidualChain(32, *neural_ode.task(seed))
    start, every = chain.start(neural_ode.smooth_field(seed)), slice(None, None, 10)
    paths = [iterate(gradient_descent(rate, decay), chain.gradient, start, steps) for decay in DECAYS]
    found = [np.abs(gauge_laws.gauge_condition(chain.fields(path.position[every]))).max((1, 2, 3)) for path in paths]
    return {
        "gauge_residual": (("decay", "decay_time"), found, {"units": "w"}),
        "decay_time": ("decay_time", paths[0].time[every], {"units": "w²/ℓ"}),
        "decay": ("decay", list(DECAYS), {"units": "ℓ/w²"}),
    }


def rounding(seed: int, rate: float = 0.01, steps: int = 2000) -> dict:
    """How far Adam moves the key bias, whose gradient is zero, in single and in double precision; the most."""
    head, start = biased_attention.taught(seed)
    moved = []
    for dtype in (np.float32, np.float64):
        random = np.random.default_rng([seed, 4])
        x, y = head.x.astype(dtype), head.y.astype(dtype)

        def gradient(q, x=x, y=y, random=random, dtype=dtype):
            rows = random.choice(len(x), 4, replace=False)
            return biased_attention.BiasedAttention(head.head, x[rows], y[rows]).gradient(q.astype(dtype))

        path = iterate(adam(rate), gradient, start, steps).position
        key = head.maps(path[-1] - path[0])["key"][:, -1]
        moved.append(np.abs(key).max())
    return {
        "rounding_moved": ("precision", moved, {"units": "w"}),
        "all_moved": np.abs(path[-1] - path[0]).mean(),
        "precision": ("precision", ["single", "double"]),
    }


def _relative(values: np.ndarray) -> float:
    """Root mean square of the second minus the first, over that of the first."""
    return float(np.sqrt(((values[1] - values[0]) ** 2).mean() / (values[0] ** 2).mean()))


def _changes(charges: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [np.abs(charge - charge[0]).max((1, 2)) for charge in charges.values()]
