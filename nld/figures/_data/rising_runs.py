"""The runs that fig-rising-gradients shows: a language model and a digits network under rates that fall at the end."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nld.advice import correct_decay, forecast, param_groups
from nld.experiment.studies import falling_rate_tasks as tasks
from nld.experiment.studies import falling_rates
from nld.experiment.studies.falling_rate_tasks import DIGITS, LANGUAGE, LEARNED, PLAIN, Setting, Task
from nld.figures.evidence import judged
from nld.monitor import Monitor

EVIDENCE = "results/evidence/fig-rising-gradients.nc"
CORRECTED = ("nothing", "scale-symmetric", "others", "all")  # groups whose weight decay follows the schedule
SCHEDULES = {"stable": falling_rates.stable_then_decay, "cosine": falling_rates.cosine}
SEEN = {"stable": 0.6, "cosine": 0.4}  # share of the run that a forecast is made from
STEPS, WINDOWS = 1000, 20
BEFORE, LAST = 4, 1  # windows before a forecast begins, that rises are measured from, and those at the end
FALLING = round(0.4 * STEPS)  # steps in which the stable schedule falls
PARTS = {"language": ("own", "shared", "others"), "digits": ("own", "others")}


@dataclass(frozen=True)
class Run:
    """What one training gave.

    Args:
        course: of ``falling_rates.follow``: norms of gradients and weights of each part, at each step.
        record: of the monitor, of the scale-symmetric blocks; None if it was not watched.
        loss: at the end, of the language model on the validation text, in ℓ; NaN of the digits network.
    """

    course: xr.Dataset
    record: xr.Dataset | None
    loss: float


def train_language(
    seed: int, schedule: str, corrected: str = "nothing", watched: bool = False, steps: int = STEPS
) -> Run:
    """A byte-level language model under AdamW."""
    task = tasks.language(seed, steps)
    run = _trained(task, LANGUAGE, schedule, corrected, watched, steps)
    return Run(run.course, run.record, tasks.validation_loss(task.model))


def train_digits(
    seed: int,
    schedule: str,
    corrected: str = "nothing",
    watched: bool = False,
    steps: int = STEPS,
    fresh: bool = True,
    setting: Setting = DIGITS,
) -> Run:
    """A perceptron with batch normalization under SGD; ``fresh``: other labels are wrong at each step."""
    return _trained(tasks.digits(seed, steps, setting, fresh), setting, schedule, corrected, watched, steps)


def _trained(task: Task, setting: Setting, schedule: str, corrected: str, watched: bool, steps: int) -> Run:
    groups = param_groups(task.model, task.example, weight_decay=setting.decay)
    optimizer = task.optimizer(groups)
    hidden = [group["decay_acts_on"] == "effective rate" for group in groups]
    seen = [number for number in range(len(groups)) if not hidden[number]]
    parts = {str(group["scale"]): group["names"] for group, hides in zip(groups, hidden, strict=True) if hides}
    parts["others"] = [name for number in seen for name in groups[number]["names"]]
    shares = rates(schedule, setting, steps)
    with ExitStack() as stack:
        if corrected in ("scale-symmetric", "all"):
            stack.enter_context(correct_decay(optimizer, groups, maximum=setting.rate))
        monitor = stack.enter_context(
            Monitor(task.model, optimizer, groups.scale_blocks(shared=True), units="mean") if watched else nullcontext()
        )
        course = falling_rates.follow(
            task.model, optimizer, task.batches, shares, parts, loss=task.loss,
            decay_follows=seen if corrected in ("others", "all") else (),
        )  # fmt: skip
    return Run(course, monitor.record() if monitor is not None else None, float("nan"))


def measure(seeds: Sequence[int]) -> xr.Dataset:
    """What rules: norms in windows of both networks under each schedule and correction, losses, and forecasts."""
    rows = [xr.merge([_digits(seed), _language(seed)]) for seed in seeds]
    return xr.concat(rows, "judging_seed").assign_coords(judging_seed=list(seeds))


def ruling(seed: int) -> xr.Dataset:
    """Judging seeds: kept ones, or one that is run here."""
    return judged(EVIDENCE, measure, seed=seed, live=1)


def _language(seed: int) -> xr.Dataset:
    """The language model under each schedule and correction, with losses at the end."""
    runs = {(s, c): train_language(seed, s, c, watched=c == "nothing") for s in SCHEDULES for c in CORRECTED}
    loss = [[runs[s, c].loss for c in CORRECTED] for s in SCHEDULES]
    return _table("language", runs, LANGUAGE).assign(language_loss=(("schedule", "corrected"), loss, {"units": "ℓ"}))


def _digits(seed: int) -> xr.Dataset:
    """The digits network; and two single rows: with wrong labels that it can learn, and without momentum."""
    runs = {(s, c): train_digits(seed, s, c, watched=c == "nothing") for s in SCHEDULES for c in CORRECTED}
    learned = windows(train_digits(seed, "stable", fresh=False, setting=LEARNED).course, PARTS["digits"])
    still = windows(train_digits(seed, "stable", setting=PLAIN).course, PARTS["digits"])
    dims = ("digits_part", "window")
    return _table("digits", runs, DIGITS).assign(
        learned_gradient=(dims, learned[0]), learned_weight=(dims, learned[1]),
        plain_gradient=(dims, still[0]), plain_weight=(dims, still[1]),
    )  # fmt: skip


def _table(network: str, runs: dict[tuple[str, str], Run], setting: Setting) -> xr.Dataset:
    parts = PARTS[network]
    norms = np.full((2, len(SCHEDULES), len(CORRECTED), len(parts), WINDOWS), np.nan)
    rises = np.full(len(SCHEDULES), np.nan)
    for (schedule, corrected), run in runs.items():
        place = list(SCHEDULES).index(schedule)
        norms[:, place, CORRECTED.index(corrected)] = windows(run.course, parts)
        if run.record is not None:
            rises[place] = forecast_rise(run.record, schedule, setting)
    dims = ("schedule", "corrected", f"{network}_part", "window")
    return xr.Dataset(
        {
            f"{network}_gradient": (dims, norms[0], {"units": "ℓ/w"}),
            f"{network}_weight": (dims, norms[1], {"units": "w"}),
            f"{network}_forecast": ("schedule", rises, {"units": "1", "long_name": "forecast of the rise"}),
        },
        coords={
            "schedule": list(SCHEDULES), "corrected": list(CORRECTED), f"{network}_part": list(parts),
            "window": (np.arange(WINDOWS) + 0.5) / WINDOWS,
        },
    )  # fmt: skip


def windows(course: xr.Dataset, parts: Sequence[str]) -> np.ndarray:
    """Geometric means of the norms of gradients and weights over the windows of a run, (2, parts, windows)."""
    course = course.sel(part=list(parts))
    stacked = np.log(np.stack([course[name].values.T for name in ("gradient_norm", "weight_norm")]))
    return np.exp(stacked.reshape(2, len(parts), WINDOWS, -1).mean(-1))


def forecast_rise(record: xr.Dataset, schedule: str, setting: Setting) -> float:
    """Gradient norm of all scale-symmetric blocks in the last windows, forecast, over that before the forecast."""
    steps = record.sizes["step"]
    seen, window = round(SEEN[schedule] * steps), steps // WINDOWS
    foreseen = forecast(record.isel(step=slice(seen)), rates(schedule, setting, steps), steps)
    squared = (record.squared_gradient.mean("unit") * record.units).sum("block")
    ahead = (np.square(foreseen.gradient_norm).mean("unit") * foreseen.units).sum("block")
    before = squared.isel(step=slice(seen - BEFORE * window, seen)).mean()
    return float(np.sqrt(ahead.isel(step=slice(-LAST * window, None)).mean() / before))


def rates(schedule: str, setting: Setting, steps: int = STEPS) -> np.ndarray:
    """Learning rates over the largest, (steps,)."""
    return falling_rates.shares(SCHEDULES[schedule], steps, setting.warmup)
