"""What the figure of rich and lazy learning measures, one function a panel, each with what theory says beside it."""

import numpy as np
import xarray as xr

from nld.experiment.studies import linear_neuron as measured
from nld.experiment.studies.imbalanced_students import Lesson, Student, grid, teach
from nld.experiment.studies.linear_neuron import LinearNeuron
from nld.figures.evidence import judged
from nld.theory import linear_neuron as law

EVIDENCE = "results/evidence/fig-rich-lazy.nc"
DELTAS = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
FIRST, TARGET = np.array([-1.0, 0.0]), np.array([0.0, 1.0])  # beta and what it shall become
EARLY, LATE = 5.0, 20.0  # times at which kernels are compared
RATE, FLOW_STEP = 0.01, 0.0025
SCALES, IMBALANCES = (0.1, 0.2, 0.4, 0.8), (-1.0, -0.5, 0.0, 0.5, 1.0)
STEPS, SCALE = 1000, 0.3  # of judged students
JUDGED_IMBALANCES = (-1.0, 0.0, 1.0)
LESSONS = {"ReLU": Lesson(), "linear": Lesson(relu=False), "ReLU, one sign": Lesson(signs=(1.0, 1.0, 1.0))}
JUDGED_TIME = Student(scale=SCALE, imbalance=0.0, seed=0).learning_rate * STEPS  # w²/ℓ
TWIN_RATIO = 256.0


def neurons(seed: int) -> dict:
    """Gradient descent and flow of a linear neuron from one function and seven imbalances, and the closed form."""
    neuron, q = _neuron(seed), _starts(np.array(DELTAS))
    time = RATE * np.unique(np.geomspace(10, LATE / RATE, 25).round().astype(int))
    path = measured.descend(neuron, q, RATE, round(LATE / RATE))[(time / RATE).round().astype(int)]
    exact = _exact(time, q)
    along = measured.flow(neuron, q, LATE, FLOW_STEP)[:: round(0.25 / FLOW_STEP)]
    quarter = 0.25 * np.arange(len(along))
    gap = np.abs(along - _exact(quarter, q)).max()
    slopes = [
        np.abs(_alignment(along[:, i]) - law.alignment(quarter, float(_alignment(q[i])), delta, 1.0)).max()
        for i, delta in enumerate(DELTAS)
    ]
    shown = np.geomspace(0.01, LATE, 160)
    predicted = _exact(shown, q)
    return {
        "distance": (("neuron_time", "delta"), measured.kernel_distance(neuron.kernel(q), neuron.kernel(path))),
        "distance_predicted": (("shown_time", "delta"), _distance(predicted)),
        "beta": (("neuron_time", "delta", "coordinate"), path[..., :1] * path[..., 1:], {"units": "w²"}),
        "beta_predicted": (("shown_time", "delta", "coordinate"), predicted[..., :1] * predicted[..., 1:]),
        "descent_gap": np.abs(path - exact).max(),
        "flow_gap": gap,
        "alignment_gap": max(slopes),
        "flow_drift": np.abs(measured.imbalance(along) - np.array(DELTAS)).max(),
        "neuron_time": ("neuron_time", time, {"units": "w²/ℓ"}),
        "shown_time": ("shown_time", shown, {"units": "w²/ℓ"}),
        "delta": ("delta", list(DELTAS), {"units": "w²"}),
        "coordinate": ("coordinate", [0, 1]),
    }


def layer_rates(seed: int) -> dict:
    """Kernel distance at two times over the imbalance: of imbalanced starts, and of balanced ones and unequal rates."""
    neuron, deltas = _neuron(seed), np.array(DELTAS)
    starts, ratio = _starts(deltas), law.sizes(1.0, deltas)[0] ** 4
    balanced = np.tile(_starts(np.zeros(1)), (len(deltas), 1))
    steps = [round(time / RATE) for time in (EARLY, LATE)]
    equal = measured.descend(neuron, starts, RATE, steps[-1])
    layered = measured.descend(neuron, balanced, RATE, steps[-1], ratio)
    found = measured.kernel_distance(neuron.kernel(balanced, ratio), neuron.kernel(layered[steps], ratio))
    curve = np.linspace(DELTAS[0], DELTAS[-1], 161)
    ends = _distance(_exact(np.array([EARLY, LATE]), _starts(curve)))
    return {
        "start_distance": (
            ("at", "delta"),
            measured.kernel_distance(neuron.kernel(starts), neuron.kernel(equal[steps])),
        ),
        "rates_distance": (("at", "delta"), found),
        "curve_distance": (("at", "curve_delta"), ends),
        "final_distance": ("curve_delta", law.final_kernel_distance(curve)),
        "twin_gap": np.abs(layered[..., :1] * layered[..., 1:] - equal[..., :1] * equal[..., 1:]).max(),
        "plain_drift": np.abs(measured.imbalance(layered) - measured.imbalance(balanced)).max(),
        "rate_ratio": ("delta", ratio, {"long_name": "eta_w over eta_a of the balanced start"}),
        "at": ("at", [EARLY, LATE], {"units": "w²/ℓ"}),
        "curve_delta": ("curve_delta", curve, {"units": "w²"}),
    }


def interpolators(seed: int, runs: int = 8, inputs: int = 4, end: float = 40.0) -> dict:
    """Where flows of one sample and of two end, against the closed form and the least potential."""
    random = np.random.default_rng([seed, 7])
    deltas, first = np.linspace(-2, 2, runs), random.normal(size=(runs, inputs))
    beyond, optimality, losses = [], [], []
    for samples in (1, 2):
        x = np.linalg.qr(random.normal(size=(inputs, samples)))[0].T
        neuron = LinearNeuron(x, random.normal(size=samples))
        first *= np.where(first @ x.T @ neuron.y < 0, -1, 1)[:, None]  # turned towards the target, so that a > 0 stays
        a, size = law.sizes(np.linalg.norm(first, axis=-1), deltas)
        q = np.concatenate([a[:, None], size[:, None] * first / np.linalg.norm(first, axis=-1, keepdims=True)], axis=-1)
        last = measured.flow(neuron, q, end, 2 * FLOW_STEP)[-1]
        beta = last[:, :1] * last[:, 1:]
        losses.append(np.abs(beta @ x.T - neuron.y).max())
        tilted = law.potential_gradient(beta, deltas) - law.potential_gradient(first, deltas)
        optimality.append(np.abs(tilted - tilted @ x.T @ x).max())
        if samples == 1:
            shortest = neuron.y @ x
            ends = [law.interpolator(q[i, 0], q[i, 1:], shortest) for i in range(runs)]
            beyond = np.linalg.norm(beta - shortest, axis=-1)
            gap = np.abs(beta - ends).max()
    return {
        "interpolator_gap": gap,
        "optimality": ("sample_count", optimality),
        "misfit": ("sample_count", losses),
        "beyond_shortest": ("start", beyond, {"units": "w²"}),
        "sample_count": ("sample_count", [1, 2]),
    }


def students(seed: int) -> dict:
    """Kernel distance and test loss of ReLU students over scale and imbalance, and of twins with layer-wise rates."""
    members = grid(SCALES, IMBALANCES, (seed, seed + 1))
    root = TWIN_RATIO**0.5
    same = Student(scale=SCALE, imbalance=SCALE**2 * (root - 1 / root), seed=seed)
    layered = Student(scale=SCALE, imbalance=0.0, seed=seed, rate_ratio=TWIN_RATIO)
    taught = teach([*members, same, layered], Lesson(), (STEPS,)).isel(look=0)
    shape, dims = (2, len(SCALES), len(IMBALANCES)), ("seed", "scale", "imbalance")
    table = taught.isel(student=slice(len(members)))
    pair = taught.isel(student=slice(len(members), None))
    gaps = [float(abs(pair[name][1] / pair[name][0] - 1)) for name in ("kernel_distance", "test_loss")]
    return {
        "grid_distance": (dims, table["kernel_distance"].values.reshape(shape)),
        "grid_loss": (dims, table["test_loss"].values.reshape(shape), {"units": "ℓ"}),
        "grid_time": ("scale", table["time"].values.reshape(shape)[0, :, 0], {"units": "w²/ℓ"}),
        "grid_drift": (dims, table["drift"].values.reshape(shape), {"units": "w²"}),
        "grid_residual": taught["residual"].values.max(),
        "student_twin_gap": max(gaps),
        "twin_imbalance": same.imbalance,
        "seed": ("seed", [seed, seed + 1]),
        "scale": ("scale", list(SCALES), {"units": "w"}),
        "imbalance": ("imbalance", list(IMBALANCES), {"units": "w²"}),
    }


def ruling(seed: int) -> xr.Dataset:
    """Judging seeds: kept ones, or a few that are run here."""
    return judged(EVIDENCE, measure, seed=seed)


def measure(seeds) -> xr.Dataset:
    """What rules: kernel distance, test loss and switched gates after STEPS steps, by lesson and imbalance."""
    members, shape = grid((SCALE,), JUDGED_IMBALANCES, seeds), (len(seeds), len(JUDGED_IMBALANCES))
    taught = [teach(members, lesson, (STEPS,)).isel(look=0) for lesson in LESSONS.values()]
    tables = {
        f"judged_{name}": np.stack([each[name].values.reshape(shape) for each in taught], axis=1)
        for name in ("kernel_distance", "test_loss", "flipped")
    }
    dims = ("judging_seed", "lesson", "judged_imbalance")
    return xr.Dataset(
        {name: (dims, values) for name, values in tables.items()},
        coords={"judging_seed": list(seeds), "lesson": list(LESSONS), "judged_imbalance": list(JUDGED_IMBALANCES)},
    )


def _neuron(seed: int) -> LinearNeuron:
    """Whitened inputs in random directions."""
    x = np.linalg.qr(np.random.default_rng([seed, 6]).normal(size=(6, 2)))[0]
    return LinearNeuron(x, x @ TARGET)


def _starts(deltas: np.ndarray) -> np.ndarray:
    """Flat points of one function, a > 0, shape (deltas, 3)."""
    a, w = law.sizes(1.0, deltas)
    return np.concatenate([a[:, None], w[:, None] * FIRST], axis=-1)


def _exact(time: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Closed form at these times, shape (times, starts, 3)."""
    paths = [law.path(time, start[0], start[1:], TARGET) for start in q]
    return np.stack([np.concatenate([a[:, None], w], axis=-1) for a, w in paths], axis=1)


def _alignment(q: np.ndarray) -> np.ndarray:
    return q[..., 1:] @ TARGET / q[..., 0]


def _distance(q: np.ndarray) -> np.ndarray:
    """From the first function, by the closed form of the kernel."""
    beta, delta = q[..., :1] * q[..., 1:], law.imbalance(q[..., 0], q[..., 1:])
    return law.kernel_distance(law.mobility(np.broadcast_to(FIRST, beta.shape), delta), law.mobility(beta, delta))
