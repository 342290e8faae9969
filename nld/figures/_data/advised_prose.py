"""Numbers and sentences for the caption, the verdicts and the prose about the advised learning rate."""

import numpy as np
import xarray as xr

from nld.experiment.studies.advised_rates import BATCH, NANO, STEPS, WARM_UP
from nld.figures._data.advised_runs import EFFECT, SCALES, SETTINGS
from nld.figures._render.text import number


def gain(data: xr.Dataset, setting: str) -> np.ndarray:
    """Test loss of the script minus that of the run that follows its report once, seed by seed, in ℓ."""
    loss = data["judged_loss"].sel(setting=setting)
    return (loss.sel(run="script") - loss.sel(run="once")).values


def gain_again(data: xr.Dataset, setting: str) -> np.ndarray:
    """Test loss of the run whose report is silent minus that after the first change once more, in ℓ."""
    loss = data["judged_loss"].sel(setting=setting)
    return (loss.sel(run="last") - loss.sel(run="again")).values


def of_scale(scale: str) -> list[str]:
    """Names of the settings of a scale."""
    return [name for name, setting in SETTINGS.items() if setting.network in SCALES[scale]]


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure: of all settings, of each scale, and of each setting by its place."""
    seeds, followed = data.sizes["judging_seed"], data["judged_followed"].values
    told = {
        "seeds": f"{seeds} judging seed{'s' * (seeds != 1)}",
        "settings": f"{data.sizes['setting']}",
        "effect": f"{EFFECT:g}",
        "steps": f"{STEPS}",
        "warm-up": f"{WARM_UP}",
        "texts": f"{BATCH['batch_size']}",
        "bytes": f"{BATCH['context']}",
        "followed-most": f"{int(followed.max())}",
        "silent": f"{int(data['judged_silent'].sum())} of {data['judged_silent'].size}",
    }
    for place, name in enumerate(SETTINGS, 1):
        here = data.sel(setting=name)
        loss, factor, turn = (here[f"judged_{of}"].mean("judging_seed") for of in ("loss", "factor", "turn"))
        told |= {
            f"{place}-before": f"{float(loss.sel(run='script')):.2f}",
            f"{place}-after": f"{float(loss.sel(run='once')):.2f}",
            f"{place}-gain": number(gain(data, name).mean(), ".2f"),
            f"{place}-again": number(gain_again(data, name).mean(), "+.2f"),
            f"{place}-factor": f"{float(factor.sel(run='once')):.1f}",
            f"{place}-turn": f"{float(turn.sel(watched='script')):.2f}",
            f"{place}-turn-after": f"{float(turn.sel(watched='last')):.2f}",
        }
    for scale in SCALES:
        names = of_scale(scale)
        gains, again = ([of(data, name).mean() for name in names] for of in (gain, gain_again))
        told |= {
            f"{scale}-gains": _span(gains, ".2f"),
            f"{scale}-again": _span(again, "+.2f"),
            f"{scale}-silent": f"{int(data['judged_silent'].sel(setting=names).sum())} of {seeds * len(names)}",
        }
    return told | sentences(data)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences whose truth depends on the data."""
    gains = {name: gain(data, name) for name in SETTINGS}
    helped = sum(bool((values > 0).all()) for values in gains.values())
    least = min(float(gain(data, name).mean()) for name in SETTINGS)
    cost = max(float(gain_again(data, name).mean()) for name in SETTINGS)
    return {
        "helps": f"In {helped} of the {len(gains)} settings it lowers the loss of every seed, and in the mean of the "
        f"setting that it helps least by {number(least, '.2f')} ℓ",
        "silence": f"Where the report has fallen silent, the first change once more is worth at most "
        f"{number(cost, '.2f')} ℓ in the mean of a setting"
        if cost < EFFECT
        else f"Where the report has fallen silent, the first change once more would still bring up to "
        f"{number(cost, '.2f')} ℓ: silence is not the optimum",
    }


def _span(values: list[float], form: str) -> str:
    """The range of some numbers."""
    low, high = number(min(values), form), number(max(values), form)
    return low if low == high else f"{low} to {high}"


def weights() -> str:
    """How many weights the language models have, to two digits; the one is as large as the other."""
    return f"{round(sum(q.numel() for q in NANO.build().parameters()), -4):,}"
