"""The rest of a run from its first part: norms, angles, effective rates and gradients of what the loss does not see."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from nld.advice.extrapolation import damped_trend
from nld.advice.norm_dynamics import NormLaw
from nld.errors import InvalidInput
from nld.monitor.monitor_record import require

WINDOWS = 8
FEWEST = 4
SHARE = {"gradient_norm": 0.5}
# Standard deviations of slopes, before a run is seen and of what its first part does not tell; from selection seeds of
# a language model. Steps of Lion and Muon have a length that the rule fixes, those of AdamW nearly so; under heavy ball
# the source is the gradients', which drift as learning goes on.
SLOPES = {
    "Lion, Muon": {"source": (0.02, 0.06), "turn": (0.02, 0.04), "gradient": (0.2, 0.45)},
    "AdamW": {"source": (0.1, 0.12), "turn": (0.02, 0.06), "gradient": (0.2, 1.0)},
    "heavy ball": {"source": (0.3, 0.26), "turn": (0.05, 0.15), "gradient": (0.05, 0.2)},
}
DISAGREEMENT = 0.02  # of the largest rate, between schedule and record
DECOUPLED = ("Lion", "Muon")  # beside AdamW, which records name by its equilibrium
Schedule = Callable[[int], float] | Sequence[float] | np.ndarray | None

VARIABLES = {
    "squared_norm": ("w^2", "|q_n|^2"),
    "angular_step": ("rad", "angle between q_n and q_{n+1}, root mean square"),
    "effective_learning_rate": ("1/ℓ", "eta / |q_n|^2"),
    "gradient_norm": ("ℓ/w", "|g_n|, root mean square"),
}


def forecast(
    record: xr.Dataset,
    schedule: Schedule,
    steps: int,
    *,
    level: float = 0.9,
    decay_follows_schedule: bool = False,
    drift: bool = True,
) -> xr.Dataset:
    """Norm, angle, effective rate and gradient norm of every scale block for the rest of a run, with intervals.

    With R = |q|², s the measured source and the rates η of the schedule (derivation: ``nld.advice.norm_dynamics``),

        AdamW, Lion, Muon:     R' = (1 - η k)² R + η² s
        SGD with momentum:     (R²)' = exp(-4 h k) R² + 2 h² S,    h = η c/(1 - β)

    and ‖g‖² = |ĝ|²/R, θ² = η² T/R^p. The sources s and S, the gradient at unit norm |ĝ|², and T, which turns, are means
    over windows of the last two thirds of the record, extrapolated by ``nld.advice.extrapolation``; errors of their
    levels and slopes make the interval. Values are root mean squares over many steps, about which
    single steps scatter.

    Holds if the loss has the symmetry, gradients keep their statistics but for such a drift, and Adam averages its
    denominators for less long than norms take to change. A run whose norms are
    held, or whose loss or data change their nature later, is another one.

    Args:
        record: of ``nld.Monitor``, of the first part of a run; any ``every``, and ``units="mean"``, are fine.
        schedule: the learning rate of every step of the whole run, as a function of the number of the step or as a
            sequence; any multiple of it is as good, such as a LambdaLR's function. None: as it was last.
        steps: of the whole run.
        level: of the interval.
        decay_follows_schedule: whether weight decay is λ γ/γ_max, as with ``nld.correct_decay``.
        drift: whether sources, gradients and turns go on drifting, ever more slowly, as they did in the record; if not,
            they stay at their means.

    Returns:
        A data set like a record, with dimensions step (those still to come, as far apart as in the record), block and
        unit: squared_norm, angular_step, effective_learning_rate, gradient_norm; each with ``_low`` and ``_high``; and
        ``equilibrium_squared_norm``, where the norm would settle at the rate of that step, and ``relaxation``, in how
        many steps it comes e times nearer. ``nld.hold_norms(norms=…)`` takes it as a schedule, if it has every step.

    Raises:
        ValueError: a rule of which no law is known here (its name is in the message), no scale block, a record that is
            too short, ``steps`` that it already has, or a schedule that the record contradicts.

    References: Kosson, Messmer and Jaggi 2024 (equilibria); Defazio 2025 (arXiv 2506.02285: gradients that rise).
    """
    require(record)
    record = record.isel(block=(record.kind == "scale").values)
    if record.sizes["block"] == 0:
        raise InvalidInput("expected a record of at least one scale block, got none; monitor a model that has one")
    if not 0 < level < 1:
        raise InvalidInput(f"expected a level between 0 and 1, got {level!r}; 0.9 is an interval of 90 %")
    powers = [_power(record, number) for number in range(record.sizes["block"])]
    seen = record.step.values
    if len(seen) < 3 * FEWEST or steps <= seen[-1] + 1:
        raise InvalidInput(
            f"expected a record of at least {3 * FEWEST} steps, and more steps than it has, got {len(seen)} recorded "
            f"up to step {seen[-1] if len(seen) else '-'} and steps={steps}; steps counts those of the whole run"
        )
    every = int(np.median(np.diff(seen)))
    ahead = np.arange(seen[-1] + every, steps, every)
    if not len(ahead):
        raise InvalidInput(f"expected a step to come at the record's spacing of {every}, got steps={steps}")
    factors = _factors(schedule, record, steps)
    quantile = float(stats.t.ppf(0.5 + level / 2, WINDOWS - 2))
    blocks = [
        _of_block(record.isel(block=number), power, ahead, factors, quantile, decay_follows_schedule, drift)
        for number, power in enumerate(powers)
    ]
    width = record.sizes["unit"]
    variables: dict[str, tuple] = {}
    for name in blocks[0]:
        padded = np.full((len(ahead), len(blocks), width), np.nan)
        for number, values in enumerate(blocks):
            padded[:, number, : values[name].shape[1]] = values[name]
        units, words = VARIABLES.get(name.removesuffix("_low").removesuffix("_high"), ("", name.replace("_", " ")))
        variables[name] = (("step", "block", "unit"), padded, {"units": units, "long_name": words})
    coordinates = {name: record.coords[name] for name in ("block", "unit", "units", "parameters")}
    attributes = {"optimizer": record.attrs["optimizer"], "seen": int(seen[-1]) + 1, "steps": steps, "level": level}
    return xr.Dataset(variables, {"step": ahead, **coordinates}, attributes)


def _power(record: xr.Dataset, number: int) -> int:
    """1 for decoupled decay, 2 for heavy ball."""
    form, optimizer = str(record.equilibrium.values[number]), str(record.attrs["optimizer"])
    if form == "decoupled" or optimizer in DECOUPLED:
        return 1
    if form == "heavy_ball":
        return 2
    name = f"{optimizer} with Nesterov momentum" if form == "nesterov" else optimizer
    raise InvalidInput(
        f"expected SGD with or without heavy-ball momentum, AdamW, Lion or Muon, got {name}: no law of its norms is "
        "known here that a schedule could be put into; its record says where they are now"
    )


def _factors(schedule: Schedule, record: xr.Dataset, steps: int) -> np.ndarray:
    """The schedule over its largest recorded value, one a step of the whole run; compared with what was recorded."""
    if schedule is None:
        values = np.ones(steps)
        seen = record.step.values[-1:]
    else:
        values = np.array([schedule(n) for n in range(steps)] if callable(schedule) else schedule, float)
        seen = record.step.values
    if values.shape != (steps,) or not np.isfinite(values).all() or not (values >= 0).all():
        raise InvalidInput(
            f"expected a learning rate >= 0 for each of {steps} steps, got shape {values.shape}; give a function of "
            "the step, or a sequence for the whole run"
        )
    rates = record.learning_rate.transpose("step", "block").values[-len(seen) :]
    reference = int(np.argmax(values[seen]))
    if not values[seen[reference]] > 0 or not (rates[reference] > 0).all():
        raise InvalidInput("expected a learning rate > 0 at some recorded step, got none; record steps that move")
    factors = values / values[seen[reference]]
    relative = rates / rates[reference]
    off = np.abs(factors[seen][:, None] - relative)
    if off.max() > DISAGREEMENT:
        worst, block = np.unravel_index(off.argmax(), off.shape)
        raise InvalidInput(
            f"expected a schedule that agrees with the record, got {factors[seen[worst]]:.3g} of the largest rate at "
            f"step {seen[worst]}, where {relative[worst, block]:.3g} was recorded; it is a function of the step of "
            "the whole run, counted from 0"
        )
    return factors


def _of_block(
    row: xr.Dataset,
    power: int,
    ahead: np.ndarray,
    factors: np.ndarray,
    quantile: float,
    corrected: bool,
    drift: bool,
) -> dict[str, np.ndarray]:
    """Everything that is forecast of one block, (steps, units) each."""
    units = int(row.units) if row.sizes["unit"] > 1 else 1
    squared = {name: row[name].values[:, :units] for name in ("squared_norm", "squared_step", "squared_gradient")}
    norm, seen = squared["squared_norm"], row.step.values
    rate, decay = row.learning_rate.values, row.weight_decay.values
    beta, c = float(row.momentum[-1]), float(row.coefficient[-1])

    reference = int(np.argmax(factors[seen]))
    recorded = np.arange(seen[0], seen[-1] + 1)
    follows = factors[seen[-1] + 1 :] / factors[seen[-1]] if corrected else np.ones(len(factors) - seen[-1] - 1)
    rates = np.concatenate([np.interp(recorded, seen, rate), rate[reference] * factors[seen[-1] + 1 :]])
    decays = np.concatenate([np.interp(recorded, seen, decay), decay[-1] * follows])
    law = NormLaw(power, rates, decays, beta, c)  # from the first step that was recorded
    windows = _windows(seen, beta)
    edges = seen[windows]
    middle = (edges[:-1] + edges[1:]) / 2 + 1
    kept, pushed = law.between(edges - seen[0])

    def over_windows(values: np.ndarray, per: np.ndarray) -> np.ndarray:
        """Sums of values, (recorded steps, units), over sums of what they are counted per, (windows, units)."""
        parts = [slice(start, stop) for start, stop in itertools.pairwise(windows)]
        return np.stack([values[part].sum(0) / per[part].sum() for part in parts])

    if power == 1:
        means = (norm[windows[1:]] - kept[:, None] * norm[windows[:-1]]) / pushed[:, None]
    else:
        means = over_windows((1 - beta**2) * squared["squared_step"] * norm, per=(c * rate) ** 2)
    turned = over_windows(row.angular_step.values[:, :units] ** 2 * norm**power, per=rate**2)
    gradient = over_windows(squared["squared_gradient"] * norm, per=np.ones(len(rate)))
    # Under heavy ball gradients, turns and the source are one thing but for factors near one, which drift less.
    per = np.maximum(means, 1e-300) if power == 2 else np.ones_like(means)
    rule = "heavy ball" if power == 2 else "AdamW" if row.equilibrium == "decoupled" else "Lion, Muon"
    slopes = {name: (prior if drift else 0.0, unseen) for name, (prior, unseen) in SLOPES[rule].items()}
    source_law = damped_trend(middle, means, float(np.diff(edges).mean()), *slopes["source"])
    turn_law = damped_trend(middle, turned / per, 1.0, *slopes["turn"])
    gradient_law = damped_trend(middle, gradient / per, 1.0, *slopes["gradient"])

    points = np.concatenate([[seen[-1]], ahead])
    place = ahead - seen[0]
    kept, pushed = law.between(points - seen[0])

    def course(level: float = 0.0, slope: float = 0.0) -> dict[str, np.ndarray]:
        source = source_law.at((points[1:] + points[:-1]) / 2 + 1, level, slope)
        y = _advanced(norm[-1] ** power, kept, pushed, source)
        here = source_law.at(ahead + 1, level, slope) if power == 2 else 1.0
        r = y ** (1 / power)
        eta = rates[place][:, None]
        return {
            "squared_norm": r,
            "angular_step": np.sqrt(eta**2 * here * turn_law.at(ahead + 1) / y),
            "effective_learning_rate": eta / r,
            "gradient_norm": np.sqrt(gradient_law.at(ahead + 1) * here / r),
        }

    best = course()
    y = best["squared_norm"] ** power
    source = source_law.at((points[1:] + points[:-1]) / 2 + 1)
    single = source_law.scatter / np.diff(points)[:, None] * np.square(pushed[:, None] * source)
    scattered = _advanced(np.zeros(units), kept**2, np.ones(len(kept)), single) / y**2  # variance of log y
    moved = [course(level=1.0), course(slope=1.0)]
    own = {"angular_step": turn_law, "gradient_norm": gradient_law}
    result = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, value in best.items():
            error = sum(np.nan_to_num(np.log(other[name] / value)) ** 2 for other in moved)
            error = error + np.square(own[name].log_error(ahead + 1) / 2) if name in own else error
            # each quantity moves as a power of y: |q|² as y^{1/p}, θ as y^{-1/2}, ‖g‖ as y^{-1/(2p)}
            error = error + scattered * np.square(0.5 if name == "angular_step" else SHARE.get(name, 1.0) / power)
            wide = np.exp(quantile * np.sqrt(error))
            result |= {name: value, f"{name}_low": value / wide, f"{name}_high": value * wide}
    stationary = law.stationary()[place][:, None] * source_law.at(ahead + 1)
    result["equilibrium_squared_norm"] = stationary ** (1 / power)
    result["relaxation"] = np.repeat(law.relaxation()[place][:, None], units, axis=1)
    return result


def _windows(seen: np.ndarray, beta: float) -> np.ndarray:
    """Places in the record that bound the windows, after the start is forgotten and the momentum filled."""
    first = int(np.searchsorted(seen, seen[0] + max(5 / (1 - beta), (seen[-1] - seen[0]) / 3)))
    count = min(WINDOWS, (len(seen) - 1 - first) // 2)
    if count < FEWEST:
        raise InvalidInput(
            f"expected at least {2 * FEWEST} recorded steps after the first {first}, in which momentum fills and the "
            f"start is forgotten, got {len(seen) - 1 - first}; record more of the run"
        )
    return np.linspace(first, len(seen) - 1, count + 1).astype(int)


def _advanced(start: np.ndarray, kept: np.ndarray, pushed: np.ndarray, source: np.ndarray) -> np.ndarray:
    """y after each stretch of steps, (stretches, units)."""
    values, y = np.empty_like(source), start
    for number in range(len(source)):
        y = values[number] = kept[number] * y + pushed[number] * source[number]
    return values
