"""How much gradients rise where the rate falls, in logarithms, and numbers for prose about the figure."""

import numpy as np
import xarray as xr

from nld.experiment.studies.falling_rate_tasks import SQUARES
from nld.figures._data.rising_runs import BEFORE, DIGITS, FALLING, LANGUAGE, LAST, SEEN, STEPS, WINDOWS, Setting
from nld.figures._render.text import at_most, number
from nld.inference import e_test, fixed
from nld.learning_rules.rules import adam, heavy_ball
from nld.theory.falling_rates import norm_after_linear_decay


def rise(data: xr.Dataset, network: str, corrected: str, schedule: str = "stable") -> np.ndarray:
    """Log of the gradient norm of the scale-symmetric blocks at the end over that before the rate falls, by seed."""
    before, end = _sides(data[f"{network}_gradient"].sel(schedule=schedule, corrected=corrected), network, schedule)
    return 0.5 * np.log(np.square(end).sum(-1) / np.square(before).sum(-1))


def rise_by_norm(data: xr.Dataset, network: str, corrected: str, schedule: str = "stable") -> np.ndarray:
    """The same if nothing but the norms had changed: each part's gradient divided by what its norm shrank by."""
    chosen = {"schedule": schedule, "corrected": corrected}
    before, _ = _sides(data[f"{network}_gradient"].sel(chosen), network, schedule)
    first, last = _sides(data[f"{network}_weight"].sel(chosen), network, schedule)
    return 0.5 * np.log(np.square(before * first / last).sum(-1) / np.square(before).sum(-1))


def shrinking(data: xr.Dataset, network: str) -> np.ndarray:
    """Log of the norm of the blocks with a scale of their own at the end over that before, uncorrected, by seed."""
    weights = data[f"{network}_weight"].sel(schedule="stable", corrected="nothing")
    before, end = _sides(weights, network, "stable")
    return np.log(end / before)[..., 0]


def shrinking_law(setting: Setting) -> float:
    """The closed form of the same, at the middle of the last windows, where some of the rate is left."""
    left = 0.5 * LAST / WINDOWS * STEPS / FALLING
    rule = (
        heavy_ball(setting.rate, setting.momentum, setting.decay)
        if setting is DIGITS
        else adam(setting.rate, setting.momentum, SQUARES, setting.decay, decoupled=True)
    )
    return float(np.log(norm_after_linear_decay(rule, FALLING, left)))


def equilibrium_error(data: xr.Dataset, name: str = "plain") -> np.ndarray:
    """Log of gradient over weight while the rate stays, over √(2 k/η), of descent without momentum, by seed."""
    if name == "plain":
        gradient, weight = data["plain_gradient"], data["plain_weight"]
    else:
        chosen = {"schedule": "stable", "corrected": "nothing"}
        gradient, weight = data["digits_gradient"].sel(chosen), data["digits_weight"].sel(chosen)
    ratio = (gradient / weight).sel(digits_part="own").transpose("judging_seed", "window").values
    still = np.log(ratio[:, slice(*_before("stable"))]).mean(-1)
    return still - 0.5 * np.log(2 * DIGITS.decay * (1 - DIGITS.momentum) / DIGITS.rate)


def loss_gain(data: xr.Dataset, corrected: str, schedule: str = "stable") -> np.ndarray:
    """Validation loss without correction minus that with it, in ℓ, by seed."""
    loss = data["language_loss"].sel(schedule=schedule)
    return (loss.sel(corrected="nothing") - loss.sel(corrected=corrected)).values


def _before(schedule: str) -> tuple[int, int]:
    stop = round(SEEN[schedule] * WINDOWS)
    return stop - BEFORE, stop


def _sides(table: xr.DataArray, network: str, schedule: str) -> tuple[np.ndarray, np.ndarray]:
    """Geometric means of the scale-symmetric parts before the rate falls and at the end, (seeds, parts) each."""
    part = f"{network}_part"
    hidden = table.isel({part: table[part].values != "others"}).transpose("judging_seed", part, "window")
    logs = np.log(hidden.values)
    before = logs[..., slice(*_before(schedule))].mean(-1)
    return np.exp(before), np.exp(logs[..., -LAST:].mean(-1))


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    told = {"seeds": f"{data.sizes['judging_seed']}"}
    for network, setting in (("language", LANGUAGE), ("digits", DIGITS)):
        for corrected in data["corrected"].values:
            key = f"{network}-{str(corrected).replace('scale-symmetric', 'scale')}"
            told[key] = _factor(rise(data, network, corrected))
            told[f"{key}-norm"] = _factor(rise_by_norm(data, network, corrected))
        foreseen, measured = (
            np.log(data[f"{network}_forecast"].sel(schedule="stable").values),
            rise(data, network, "nothing"),
        )
        told |= {
            f"{network}-forecast": _factor(foreseen),
            f"{network}-forecast-error": _percent(np.median(np.abs(np.expm1(foreseen - measured)))),
            f"{network}-shrunk": f"{np.exp(shrinking(data, network).mean()):.2f}",
            f"{network}-shrunk-law": f"{np.exp(shrinking_law(setting)):.2f}",
        }  # fmt: skip
        late = np.log(data[f"{network}_forecast"].sel(schedule="cosine").values)
        told |= {
            f"{network}-cosine": _factor(rise(data, network, "nothing", "cosine")),
            f"{network}-cosine-norm": _factor(rise_by_norm(data, network, "nothing", "cosine")),
            f"{network}-cosine-scale": _factor(rise(data, network, "scale-symmetric", "cosine")),
            f"{network}-cosine-forecast": _factor(late),
        }
    learned = _sides(data["learned_gradient"], "digits", "stable")
    learned_weight = _sides(data["learned_weight"], "digits", "stable")
    told |= {
        "learned": _factor(np.log(learned[1] / learned[0])[:, 0]),
        "learned-norm": _factor(np.log(learned_weight[0] / learned_weight[1])[:, 0]),
        "plain-ratio-error": f"{at_most(100 * np.abs(np.expm1(equilibrium_error(data).mean())), 1)}",
        "momentum-ratio-error": f"{at_most(100 * np.abs(np.expm1(equilibrium_error(data, 'momentum').mean())), 1)}",
        "loss": f"{float(data['language_loss'].sel(schedule='stable', corrected='nothing').mean()):.3f}",
    }
    for corrected in ("scale-symmetric", "others", "all"):
        gain = loss_gain(data, corrected)
        told[f"gain-{corrected.replace('scale-symmetric', 'scale')}"] = _with_error(gain)
    told["gain-cosine"] = _with_error(loss_gain(data, "scale-symmetric", "cosine"))
    return told


NAMES = {"language": "the language model", "digits": "the digits network"}
NEAR = np.log(1.05)  # factors that words call equal


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare, as the data have it."""
    told = numbers(data)
    rest, ended, missed, spread = {}, {}, {}, {}
    for network in NAMES:
        plain, corrected = rise(data, network, "nothing"), rise(data, network, "scale-symmetric")
        rest[network] = float((plain - rise_by_norm(data, network, "nothing")).mean())
        ended[network] = float(corrected.mean())
        missed[network] = float((np.log(data[f"{network}_forecast"].sel(schedule="stable").values) - plain).mean())
        others, whole = rise(data, network, "others") - plain, rise(data, network, "all") - corrected
        spread[network] = max(abs(others.mean()), abs(whole.mean())) < abs(plain.mean()) / 2
    return {
        "rest": "The rest is the gradient at unit norm, which " + _both(rest, "rises", "falls", "stays") + ".",
        "forecast": "The forecast of the rise is "
        + _both(missed, "too high", "too low", "right to 5 %")
        + f": {told['language-forecast']}-fold against {told['language-nothing']}, and {told['digits-forecast']}-fold "
        f"against {told['digits-nothing']}.",
        "remedy": "With corrected decay on the scale-symmetric blocks the gradient "
        + _both(ended, "still rises", "even falls", "stays")
        + f": {told['language-scale']} and {told['digits-scale']} times what it was. The factor that comes from norms "
        f"is {told['language-scale-norm']} and {told['digits-scale-norm']}.",
        "controls": (
            "So it is these blocks that matter, and the finder names them."
            if all(spread.values())
            else "So these blocks alone do not account for all of it."
        ),
        "losses": _losses(data, told),
        "cosine": "Extrapolating a gradient at unit norm that has not come to rest is what fails there."
        if abs(np.log(data["language_forecast"].sel(schedule="cosine").values).mean()
               - rise(data, "language", "nothing", "cosine").mean()) > np.log(1.2)
        else "That is as good as before a straight line.",
    }  # fmt: skip


def _both(logs: dict[str, float], above: str, below: str, equal: str) -> str:
    """What is true of the two networks, in one clause if it is the same."""
    words = {n: equal if abs(x) < NEAR else above if x > 0 else below for n, x in logs.items()}
    if len({*words.values()}) == 1:
        return f"{words['language']} in both networks"
    return " and ".join(f"{words[network]} in {name}" for network, name in NAMES.items())


def _losses(data: xr.Dataset, told: dict[str, str]) -> str:
    """What the corrections do to the loss, each shown only where its interval leaves out zero."""
    low, high = e_test.confidence_sequence(loss_gain(data, "scale-symmetric"))
    whole = fixed.interval(loss_gain(data, "all"))
    text = (
        f"The abstract also promises a lower loss. On scale-symmetric blocks the correction gains {told['gain-scale']}"
    )
    text += f" ℓ of {told['loss']} ℓ: "
    text += "it lowers the loss" if low > 0 else "it raises the loss" if high < 0 else "these seeds cannot tell"
    text += f". Corrected everywhere it gains {told['gain-all']} ℓ"
    text += ", on the others alone " + told["gain-others"] + " ℓ."
    if whole[0] > 0:
        text += " Nothing was registered about these two; a function that is less regularized at the end may be why."
    return text


def _factor(logs: np.ndarray) -> str:
    """A mean factor, from logarithms."""
    return f"{np.exp(np.mean(logs)):.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _with_error(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{number(values.mean(), '.4f')} ± {error:.4f}"
