"""Charges of a network of digits in training, and what four laws say of them: one data set a learning rule."""

import numpy as np
import xarray as xr

from nld.experiment.studies import charges
from nld.learning_rules.rules import LearningRule, heavy_ball
from nld.theory import discrete, integral_laws, solutions

END = 60.0  # time, w²/ℓ
POINTS = 201  # of the time axis that is kept
SHOWN = 4  # units of each kind
KINDS = charges.KINDS
LAWS = ("exact", "integral", "started", "gradient flow")


def columns(weight_decay: float, momentum: float) -> list[LearningRule]:
    """One a column: three weight decays without momentum, a short and a long momentum."""
    return [
        heavy_ball(0.1, 0.0, 0.0),
        heavy_ball(0.1, 0.0, weight_decay / 4),
        heavy_ball(0.1, 0.0, weight_decay),
        heavy_ball(0.02, 0.9, weight_decay / 10),
        heavy_ball(0.05, momentum, weight_decay / 2),
    ]


def column(rule: LearningRule, seed: int) -> xr.Dataset:
    """One run: its charges, their laws, and what the symmetries ask of gradients and Hessian."""
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    run = charges.train_network(eta, round(END / eta), momentum=beta, weight_decay=k, seed=seed)
    time = np.linspace(0, END, POINTS)
    rows = np.round(time / eta).astype(int)
    measured = charges.charges(run.position)
    shown = {kind: spread(x[0]) for kind, x in measured.items()}
    laws = {kind: predictions(rule, kind, run) for kind in KINDS}
    error = np.array([[abs(laws[i][law] - measured[i]).max(1) / abs(measured[i]).max() for law in LAWS] for i in KINDS])
    force = charges.along(run.gradient, [q[:-1] for q in run.position])
    along = [abs(force[kind]).max() for kind in KINDS]
    curved = charges.hessian_constraints([q[-1] for q in run.position])
    critical = [integral_laws.critical_weight_decay(rule, kind) for kind in KINDS]

    def curves(values: dict, long_name: str) -> tuple:
        chosen = np.array([values[kind][rows][:, shown[kind]].T for kind in KINDS])
        return ("kind", "unit", "time"), chosen, {"units": "w (translation), w²", "long_name": long_name}

    return xr.Dataset(
        {
            "charge": curves(measured, "charge x"),
            "predicted": curves({kind: laws[kind]["integral"] for kind in KINDS}, "integral law"),
            "gradient_flow": curves({kind: laws[kind]["gradient flow"] for kind in KINDS}, "law of gradient flow"),
            "error": (("kind", "law", "time"), error[..., rows], {"units": "1", "long_name": "max |error|/max |x|"}),
            "largest_error": (("kind", "law"), error.max(-1), {"units": "1", "long_name": "its largest value"}),
            "gradient_constraint": ("kind", along, {"units": "ℓ (translation: ℓ/w)"}),
            "hessian_constraint": ("kind", [curved[kind] for kind in KINDS], {"units": "ℓ/w"}),
            "critical_weight_decay": ("kind", critical, {"units": "ℓ/w²"}),
            "crossings": ((), crossings(measured["translation"]), {"units": "1", "long_name": "most changes of sign"}),
            "loss": ("end", [run.loss[:10].mean(), run.loss[-50:].mean()], {"units": "ℓ"}),
        },
        coords={
            "time": ("time", time, {"units": "w²/ℓ"}),
            "kind": list(KINDS),
            "law": list(LAWS),
            "learning_rate": eta,
            "momentum": beta,
            "weight_decay": k,
        },
    )


def predictions(rule: LearningRule, kind: str, run: charges.Run) -> dict[str, np.ndarray]:
    """The charges of one kind by law: (steps + 1, units) each.

    ``integral`` starts at rest, as published, and ``started`` with the velocity of an empty buffer.
    """
    start = charges.charges([q[0] for q in run.position])[kind]
    steps, drive = len(run.loss), charges.drives(run.step)[kind]
    if kind == "translation":
        exact = discrete.predict_linear_charge_in_steps(rule, steps, start)
    else:
        exact = discrete.predict_quadratic_charge_from_steps(rule, drive, start)
    flow = integral_laws.predict_charge_of_gradient_flow(rule, kind, steps, start)
    if rule.momentum:
        velocity = drive / rule.learning_rate**2
        law = integral_laws.predict_charge(rule, kind, velocity, start)
        first = integral_laws.first_velocity(rule, kind, start)
        started = integral_laws.predict_charge(rule, kind, velocity, start, first)
    elif kind == "translation":
        law = started = flow
    else:
        law = started = solutions.predict_quadratic_charge(rule, charges.drives(run.gradient)[kind], start)
    return {name: each.value for name, each in zip(LAWS, (exact, law, started, flow), strict=True)}


def spread(start: np.ndarray) -> np.ndarray:
    """Units whose charges start far from each other: evenly in rank, the extremes included."""
    return np.argsort(start)[np.linspace(0, len(start) - 1, SHOWN).round().astype(int)]


def crossings(x: np.ndarray) -> int:
    """The largest number of changes of sign among the columns of (steps, units), rounding apart."""
    sign = np.where(abs(x) > 1e-9 * abs(x).max(), np.sign(x), 0)
    changes = [int(np.count_nonzero(np.diff(column[column != 0]))) for column in sign.T]
    return max(changes)


def first_zero(data: xr.Dataset) -> xr.DataArray:
    """Time at which a sum first changes its sign, in w²/ℓ; infinite where it is not underdamped.

    The zero of cos W t + (gamma/W) sin W t: t = (pi - arctan(W/gamma))/W with W² = omega² - gamma², so that
    gamma = mu/(2 m) and W/gamma = sqrt(k/k_critical - 1).
    """
    over = data["weight_decay"] / data["critical_weight_decay"].sel(kind="translation") - 1
    swing = over.where(over > 0) ** 0.5  # W/gamma
    angle = xr.apply_ufunc(np.arctan, swing)
    gamma = (1 - data["momentum"]) / (data["learning_rate"] * (1 + data["momentum"]))
    return ((np.pi - angle) / (gamma * swing)).fillna(np.inf)
