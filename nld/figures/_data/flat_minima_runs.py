"""What the figure of flat minima measures, one function a panel, each with what theory says beside it."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.experiment.studies import elementwise_network, oscillation, scalar_product
from nld.experiment.studies.elementwise_network import ElementwiseNetwork
from nld.experiment.studies.scalar_product import ScalarProduct
from nld.theory import activation_charges, edge_of_stability, valley_sharpness
from nld.theory.activation_charges import ACTIVATIONS

SLIDE_RATE, SLIDE_CHARGES = 0.45, np.linspace(-8, 8, 17)  # of runs towards u v = 1
PRODUCT = 0.3  # with which they start
RUNS, STEPS = 400, 1000  # of random products of scalars, at each depth
DEPTHS = (2, 3, 4)
VALLEYS = ("linear", "tanh", "sigmoid")
VALLEY_TARGET = 0.6
OUTPUTS, INPUTS, UNITS = 5, 10, 50
RATES = (0.4, 0.2, 0.1, 0.05, 0.025)
END, FLOW_STEP = 20.0, 0.0125  # of the flow of a whole network
DRAWS, WIDE_UNITS = 5000, 400
EDGE_STEPS, EDGE_EVERY, EDGE_RATE = 5000, 20, 1.6
SETTLED = 1000  # steps after a run came to the edge, from which its drift is judged


def slides(seed: int) -> dict:
    """Where runs towards u v = 1 end, by the charge that they start with: gradient flow, and steps of one rate."""
    random, product = np.random.default_rng([seed, 1]), ScalarProduct(1.0)
    starting = PRODUCT + 0.2 * random.uniform(size=len(SLIDE_CHARGES))
    sizes = np.sqrt(SLIDE_CHARGES**2 + 4 * starting**2)
    start = np.sqrt(np.stack([sizes + SLIDE_CHARGES, sizes - SLIDE_CHARGES], axis=-1) / 2)
    stepped = scalar_product.descend(product, start, SLIDE_RATE, STEPS)
    flowed = scalar_product.flow(product, start, 40.0, 0.02)[-1]
    return {
        "slide_sharpness": (("rule", "slide"), [product.sharpness(flowed), product.sharpness(stepped[-1])]),
        "slide_charge": (("rule", "slide"), [_charge(flowed), _charge(stepped[-1])], {"units": "w²"}),
        "slide_residual": (("rule", "slide"), np.abs([product.residual(flowed), product.residual(stepped[-1])])),
        "largest_charge": edge_of_stability.largest_charge(SLIDE_RATE, 1.0),
        "slide": ("slide", SLIDE_CHARGES, {"units": "w²", "long_name": "charge at the start"}),
        "rule": ("rule", ["gradient flow", "gradient descent"]),
    }


def _charge(q: np.ndarray) -> np.ndarray:
    return q[..., 0] ** 2 - q[..., 1] ** 2


def random_products(seed: int) -> dict:
    """Random starts, targets and rates: how often the charge of a step rose, and how sharp the ends are."""
    columns = [_random_products(depth, np.random.default_rng([seed, 2, depth])) for depth in DEPTHS]
    names = ("law_left", "rises", "steps_within", "converged", "not_monotone", "end_sharpness")
    return {name: ("factors", list(column)) for name, column in zip(names, zip(*columns, strict=True), strict=True)} | {
        "factors": ("factors", list(DEPTHS))
    }


def _random_products(depth: int, random: np.random.Generator) -> tuple:
    target, rate = random.uniform(0.5, 2, RUNS), random.uniform(0.05, 1.0, RUNS)
    product = ScalarProduct(target)
    path = scalar_product.descend(product, random.normal(size=(RUNS, depth)) * 1.5, rate, STEPS)
    lost = np.abs(path).max((0, 2)) > scalar_product.LOST
    path, target, rate = path[:, ~lost], target[~lost], rate[~lost]
    product = ScalarProduct(target)
    residual = product.residual(path)
    before, after = path[:-1], path[1:]
    left, rises, within = 0.0, 0, 0
    for i, j in zip(*np.triu_indices(depth, 1), strict=True):
        others = np.delete(before, [i, j], -1).prod(-1)
        factor = edge_of_stability.charge_factor(rate, residual[:-1], others)
        charge, moved = (q[..., i] ** 2 - q[..., j] ** 2 for q in (before, after))
        size = (before**2).sum(-1) + (after**2).sum(-1)
        scale = (1 + np.abs(1 - factor)) * (before**2).sum(-1)
        left = max(left, float((np.abs(moved - factor * charge) / scale).max()))
        held = np.abs(factor) <= 1
        rises += int((np.abs(moved) > np.abs(charge) + 1e-13 * size)[held].sum())
        within += int(held.sum())
    converged = np.abs(residual[-1]) < scalar_product.CONVERGED
    loss = residual[:, converged] ** 2 / 2
    rising = (np.diff(loss, axis=0) > 1e-12).any(0)
    sharp = rate[converged] * ScalarProduct(target[converged]).sharpness(path[-1, converged])
    return left, rises, within, int(converged.sum()), int(rising.sum()), float(sharp.max())


def valleys(seed: int) -> dict:
    """Sharpness at the end of gradient flow with one unit, by the charge it started with, and what the charge says."""
    random, network_target = np.random.default_rng([seed, 3]), np.array([[VALLEY_TARGET]])
    charges, measured, predicted = [], [], []
    for name in VALLEYS:
        network = ElementwiseNetwork(name, 1, network_target)
        start = np.stack([random.uniform(0.3, 2.6, 24), random.uniform(-0.2, 1.8, 24)], axis=-1)
        charge = activation_charges.unit_charges(ACTIVATIONS[name], *network.weights(start))[:, 0]
        end = elementwise_network.flow(network, start, 200.0, 0.05)[-1]
        charges.append(charge)
        measured.append(_sharpness(network, end))
        predicted.append([valley_sharpness.predict_sharpness(ACTIVATIONS[name], c, VALLEY_TARGET) for c in charge])
    line = np.linspace(-2.0, 3.0, 101)
    curves = [[valley_sharpness.predict_sharpness(ACTIVATIONS[n], c, VALLEY_TARGET) for c in line] for n in VALLEYS]
    return {
        "valley_charge": (("valley", "valley_run"), charges, {"units": "w²"}),
        "valley_sharpness": (("valley", "valley_run"), measured, {"units": "ℓ/w²"}),
        "valley_sharpness_predicted": (("valley", "valley_run"), predicted, {"units": "ℓ/w²"}),
        "valley_curve": (("valley", "valley_line"), curves, {"units": "ℓ/w²"}),
        "valley_line": ("valley_line", line, {"units": "w²", "long_name": "charge"}),
        "valley": ("valley", list(VALLEYS)),
    }


def _sharpness(network: ElementwiseNetwork, q: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Largest eigenvalue of the Hessian at the points q, by differences of the gradient."""
    shifts = step * np.eye(q.shape[-1])[:, None]
    columns = (network.gradient(q + shifts) - network.gradient(q - shifts)) / (2 * step)
    hessian = np.moveaxis(columns, 0, -1)
    return np.linalg.eigvalsh((hessian + hessian.mT) / 2)[..., -1]


def drifts(seed: int) -> dict:
    """How far charges move along the flow and in steps of several rates, and by how much the flow says they will."""
    target = np.random.default_rng([seed, 4]).normal(size=(OUTPUTS, INPUTS))
    rows = [_drifts(name, ElementwiseNetwork(name, UNITS, target), seed) for name in ACTIVATIONS]
    kept, moved, predicted, off, left = zip(*rows, strict=True)
    return {
        "flow_drift": ("activation", list(kept), {"units": "w²"}),
        "drift": (("activation", "rate"), list(moved), {"units": "w²"}),
        "drift_predicted": (("activation", "rate"), list(predicted), {"units": "w²"}),
        "drift_off": (("activation", "rate"), list(off), {"units": "1"}),
        "step_left": (("activation", "rate"), list(left), {"units": "1"}),
        "activation": ("activation", list(ACTIVATIONS)),
        "rate": ("rate", list(RATES), {"units": "w²/ℓ"}),
    }


def _drifts(name: str, network: ElementwiseNetwork, seed: int) -> tuple:
    """Largest drift of a unit along the flow; by rate that of steps, the forecast, its error, and that of the sum."""
    activation, start = ACTIVATIONS[name], network.start(seed)[0]

    def charge(path: np.ndarray) -> np.ndarray:
        return activation_charges.unit_charges(activation, *network.weights(path))

    def change(path: np.ndarray, rate: float) -> np.ndarray:
        gradients = network.weights(network.gradient(path))
        return activation_charges.predict_charge_change(activation, network.weights(path)[1], *gradients, rate)

    flowed = elementwise_network.flow(network, start, END, FLOW_STEP)
    kept = np.abs(charge(flowed) - charge(start)).max()
    unit_rate = np.trapezoid(change(flowed, 1.0), dx=FLOW_STEP, axis=0)
    moved, predicted, off, left = [], [], [], []
    for rate in RATES:
        path = elementwise_network.descend(network, start, rate, END)
        drift, foreseen = charge(path[-1]) - charge(start), rate * unit_rate
        summed = change(path[:-1], rate).sum(0)
        size = np.abs(drift).max()
        moved.append(size)
        predicted.append(np.abs(foreseen).max())
        off.append(np.abs(foreseen - drift).max() / size)
        left.append(np.abs(summed - drift).max() / size)
    return kept, moved, predicted, off, left


def starts(seed: int) -> dict:
    """Sums of all charges at random starts over the number of units: moments, and two widths of a linear network."""
    measured, moments, samples, laws = [], [], [], []
    for name, units in [*((name, UNITS) for name in VALLEYS), ("linear", WIDE_UNITS)]:
        network = ElementwiseNetwork(name, units, np.zeros((OUTPUTS, INPUTS)))
        draws = DRAWS if units == UNITS else DRAWS // 5
        points = network.start(seed, draws)
        sums = activation_charges.unit_charges(ACTIVATIONS[name], *network.weights(points)).sum(-1)
        law = activation_charges.starting_moments(ACTIVATIONS[name], INPUTS, units, OUTPUTS)
        measured.append([sums.mean(), sums.std(ddof=1), ((sums - sums.mean()) ** 4).mean()])
        moments.append(law)
        if name == "linear":
            samples.append(np.quantile(sums / units, (np.arange(200) + 0.5) / 200))
            laws.append([law[0] / units, law[1] / units])
    return {
        "start_measured": (("start", "moment"), measured),
        "start_predicted": (("start", "first_moment"), moments),
        "start_draws": ("start", [DRAWS] * len(VALLEYS) + [DRAWS // 5]),
        "start_quantile": (("start_units", "quantile"), samples, {"units": "w²"}),
        "start_law": (("start_units", "first_moment"), laws, {"units": "w²"}),
        "start_units": ("start_units", [UNITS, WIDE_UNITS]),
        "start": ("start", [*VALLEYS, "linear, wide"]),
        "first_moment": ("first_moment", ["mean", "deviation"]),
        "moment": ("moment", ["mean", "deviation", "fourth"]),
    }


def edge(seeds: Sequence[int]) -> xr.Dataset:
    """Two linear layers at the edge of stability, side by side: charges, sharpness, and the drift that is foreseen.

    ``foreseen`` is the drift of each step by the central flow, ``seen`` that by the oscillation that was measured.
    """
    runs = oscillation.oscillating_chain(seeds, EDGE_RATE)
    run = oscillation.oscillate(runs, EDGE_STEPS, EDGE_EVERY)
    variance = edge_of_stability.central_variance(run["gradient"].values, run["sharpness_gradient"].values)
    direction = run["direction_charge"].values
    scaled = (run["rate"] * run["sharpness"]).transpose("step", "run").values
    entered = np.argmax(scaled > 2, axis=0)
    series = ("edge_step", "judging_seed")
    return xr.Dataset(
        {
            "edge_charge": (series, run["charge"].values, {"units": "w²"}),
            "edge_sharpness": (series, scaled, {"units": "1", "long_name": "rate times sharpness"}),
            "foreseen": (series, edge_of_stability.edge_drift(variance, direction), {"units": "w²"}),
            "seen": (series, run["squared_step"].values * direction, {"units": "w²"}),
            "entered": ("judging_seed", run["step"].values[entered], {"long_name": "first step at the edge"}),
        },
        coords={"edge_step": run["step"].values, "judging_seed": list(seeds)},
    )


def measure(seeds: Sequence[int]) -> xr.Dataset:
    """``edge``, and per seed: relative error of both drifts once a run has settled, and the charge's change since.

    ``judged_moved`` is by how much the charge has fallen from the first step at the edge to the last one.
    """
    data = edge(seeds)
    rows = []
    for seed in seeds:
        run = data.sel(judging_seed=seed)
        settled = run["edge_step"].values >= int(run["entered"]) + SETTLED
        charge = run["edge_charge"].values
        moved = charge[settled][-1] - charge[settled][0]
        sums = [EDGE_EVERY * run[name].values[settled][:-1].sum() for name in ("foreseen", "seen")]
        entering = run["edge_charge"].sel(edge_step=int(run["entered"]))
        rows.append([*(total / moved - 1 for total in sums), float(entering) - charge[-1]])
    names, units = ("judged_central", "judged_direction", "judged_moved"), ("1", "1", "w²")
    columns = zip(names, np.array(rows).T, units, strict=True)
    return data.assign({name: ("judging_seed", column, {"units": unit}) for name, column, unit in columns})
