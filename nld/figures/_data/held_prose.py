"""Numbers and sentences for the caption, the verdicts and the prose about held norms."""

import numpy as np
import xarray as xr

from nld.figures._data.held_runs import MARGIN
from nld.figures._data.held_scores import EFFECTS, RULES, architecture_of, effect, hit_rate, measured, misses, predicted
from nld.figures._render.text import number


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    change, own = data["judged_change"].values.mean(0), data["own_scale"].values > 0
    texts = data["is_text"].values > 0
    chosen, everything = (data[f"judged_{name}_change"].values.mean(0) for name in ("chosen", "all"))
    held = data["judged_change"].sel(unit=data["carrier"].values).values.mean(0)
    gained, alone = data["judged_gained_change"].values.mean(0), data["judged_gain_alone"].values.mean(0)
    told = {
        "seeds": f"{data.sizes['judging_seed']} judging seed{'s' * (data.sizes['judging_seed'] != 1)}",
        "units": f"{data.sizes['unit']}",
        "architectures": f"{data.sizes['architecture']}",
        "texts": f"{int(texts.sum())}",
        "margin": f"{MARGIN:g}",
        "own-classes": f"{int(own.sum())}",
        "own-change": _signed(data["judged_change"].values[:, own].mean()),
        "own-range": f"{_signed(change[own].min())} to {_signed(change[own].max())}",
        "chosen": _signed(np.median(chosen[texts])),
        "chosen-least": _signed(chosen[texts].min()),
        "chosen-most": _signed(chosen[texts].max()),
        "chosen-helped": f"{int((effect(chosen[texts]) < 0).sum())}",
        "all": _signed(np.median(everything)),
        "all-harmed": f"{int((effect(everything) > 0).sum())}",
        "all-helped": f"{int((effect(everything) < 0).sum())}",
        "shared": _span(everything[~np.isin(data["architecture"].values, architecture_of(data, "carrier"))]),
        "carriers": f"{len(held)}",
        "carrier-held": _signed(held.mean()),
        "carrier-harmed": f"{int((effect(held) > 0).sum())}",
        "carrier-gained": _signed(gained.mean()),
        "carrier-left": f"{int((effect(gained) > 0).sum())}",
        "carrier-alone": _signed(alone.mean()),
        "worst": _worst(data),
        "small-queries": _of(data, "small start: query"),
        "small-keys": _of(data, "small start: key"),
        "large-head": _of(data, "large start: head"),
        "embeddings": _range(data, "token"),
        "routers": _range(data, "router"),
        "misses": f"{len(misses(data))}",
    }
    for name, rule in zip(("rule", "own", "none"), RULES, strict=True):
        rate, low, high = hit_rate(data, rule)
        told |= {name: f"{100 * rate:.0f} %", f"{name}-interval": f"{100 * low:.0f} to {100 * high:.0f} %"}
        told[f"{name}-right"] = f"{int((measured(data) == predicted(data, rule)).sum())}"
    said = predicted(data, RULES[0])
    for value, word in EFFECTS.items():
        told[f"said-{word}"] = f"{int((said == value).sum())}"
        told[f"found-{word}"] = f"{int((measured(data) == value).sum())}"
        told[f"right-{word}"] = f"{int(((said == value) & (measured(data) == value)).sum())}"
    return told | sentences(data)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences whose truth depends on the data."""
    rates = {rule: hit_rate(data, rule) for rule in RULES}
    best, second = rates[RULES[0]], max(rates[RULES[1]], rates[RULES[2]])
    held = data["judged_change"].sel(unit=data["carrier"].values).values.mean(0)
    gained, alone = data["judged_gained_change"].values.mean(0), data["judged_gain_alone"].values.mean(0)
    if best[1] > second[2]:
        verdict = "The rule is right more often than two simpler ones, and its interval lies above theirs."
    elif best[0] > second[0]:
        verdict = "The rule is right more often than two simpler ones, but the intervals overlap."
    else:
        verdict = "The rule is not right more often than two simpler ones."
    if (effect(gained) <= 0).all():
        gain = "With a trained factor none of them is harmful any more."
    elif gained.mean() < held.mean() / 2:
        gain = "A trained factor takes away more than half of it, but not everywhere all of it."
    else:
        gain = "A trained factor takes away less than half of it."
    control = (
        "Free matrices gain about as much from such a factor, so what it adds is not due to holding."
        if alone.mean() < gained.mean() + MARGIN
        else "Free matrices gain less from such a factor than held ones end up with."
    )
    own = data["judged_change"].values.mean(0)[data["own_scale"].values > 0]
    harmed = int((effect(own) > 0).sum())
    spoken = (
        "Symmetry is right where it speaks: none of them is harmed."
        if not harmed
        else f"Symmetry is not always right where it speaks: {harmed} of them {'is' if harmed == 1 else 'are'} harmed."
    )
    free = measured(data)[predicted(data, RULES[0]) < 1]
    summary = (
        "Nearly every matrix may be held." if (free < 1).mean() > 0.9 else "Most matrices may be held, and not all."
    )
    return {
        "summary": summary, "verdict": verdict, "spoken": spoken, "gain": gain, "control": control,
        "missed": "; ".join(_missed(data)),
    }  # fmt: skip


def _missed(data: xr.Dataset) -> list[str]:
    """The rule's misses by what was said and what was found, with the classes."""
    said = dict(zip(data["unit"].values.tolist(), predicted(data, RULES[0]), strict=True))
    found = dict(zip(data["unit"].values.tolist(), measured(data), strict=True))
    kinds: dict[tuple[int, int], list[str]] = {}
    for unit in misses(data):
        kinds.setdefault((said[unit], found[unit]), []).append(unit.replace(": ", "’ "))
    return [
        f"said {EFFECTS[one]}, found {EFFECTS[other]}: {len(units)}"
        for (one, other), units in sorted(kinds.items(), key=lambda item: -len(item[1]))
    ]


def _of(data: xr.Dataset, unit: str) -> str:
    """Change when one class is held; "" if it is not among them."""
    change = data["judged_change"].values.mean(0)[data["unit"].values == unit]
    return _signed(change[0]) if len(change) else ""


def _range(data: xr.Dataset, label: str) -> str:
    """Least and largest change when classes of this name are held that are no carriers; "" if there is none."""
    names = data["unit"].values
    these = np.array([str(name).endswith(f": {label}") for name in names]) & ~np.isin(names, data["carrier"].values)
    return _span(data["judged_change"].values.mean(0)[these])


def _span(change: np.ndarray) -> str:
    """From the least to the largest; one number where they are the same, "" of none."""
    return " to ".join(dict.fromkeys(map(_signed, (change.min(), change.max())))) if len(change) else ""


def _worst(data: xr.Dataset) -> str:
    """The class whose holding costs most, and how much."""
    change = data["judged_change"].values.mean(0)
    unit = str(data["unit"].values[np.argmax(change)])
    architecture, _, label = unit.partition(": ")
    return f"{_signed(change.max())} ℓ, the {label} of “{architecture}”"


def _signed(value) -> str:
    """Three decimals with a sign."""
    return number(value, "+.3f")
