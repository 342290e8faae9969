"""The sweeps of fig-experiments on photographs: a narrow VGG-11 on Tiny ImageNet, read from gathered results.

Less than an epoch of it takes a laptop an hour: too long for each build, and what it measures is in the repository.
"""

import xarray as xr

from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._data import experiment_table as sweeps
from nld.figures._data import experiments_prose
from nld.figures._render.experiment_panels import draw_accuracy, name_modes
from nld.figures._render.style import new_figure
from nld.figures._render.text import at_most, number
from nld.inference import Verdict, rule

SCALE = "photographs"


def compute(profile: str) -> xr.Dataset:
    """All runs along ``run``, with their panel, as in fig-experiments; the same in all profiles.

    Raises:
        FileNotFoundError: the gathered results of a panel are missing.
    """
    tables, words = sweeps.gathered(SCALE)
    if len(tables) < len(sweeps.PANELS):
        raise FileNotFoundError(
            f"expected gathered results of {len(sweeps.PANELS)} panels, got {len(tables)}; {sweeps.commands(SCALE)}"
        )
    hours = sum(each.attrs["hours"] for each in tables)
    return sweeps.joined(tables).assign_attrs({"profile": SCALE, f"{SCALE}_origin": words, "hours": hours})


def judge(data: xr.Dataset) -> list[Verdict]:
    """The paper's findings A, B and C at this scale: the largest rate and weight decay, every step of momentum."""
    rows = contrasts.from_table(data, SCALE, sweeps.selected(data, SCALE))
    return rule(contrasts.evidence(rows, f"@{SCALE}"))


def draw(data: xr.Dataset):
    """Final accuracies, one column a panel."""
    figure, axes = new_figure(1, len(sweeps.PANELS), size=(6.4, 2.3))
    for panel, place in zip(sweeps.PANELS, axes, strict=True):
        draw_accuracy(place, *sweeps.final_accuracies(data, panel, SCALE))
        place.set(xlabel=sweeps.PANELS[panel].label, title=panel)
    axes[0].set_ylabel("final test accuracy")
    name_modes(axes[0])
    return figure


def lead(data: xr.Dataset) -> float:
    """The largest lead of the free run over the held one in all panels, in percentage points of final accuracy."""
    leads = [sweeps.advantage(data, panel, "test_accuracy", SCALE).mean("seed") for panel in sweeps.PANELS]
    return 100 * max(float(each.max()) for each in leads)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """How far the best of a panel's runs gets, in words."""
    chance = 100 * sweeps.CHANCE["tiny-imagenet"]
    best = {panel: 100 * sweeps.results(data, panel, "test_accuracy", SCALE).mean("seed") for panel in ("B", "C")}
    with_momentum = float(best["B"].where(best["B"]["value"] > 0, drop=True).max())
    leads = 100 * sweeps.advantage(data, "A", "test_accuracy", SCALE).mean("seed")
    return {
        "rates-lead": number(leads.max(), ".1f"),
        "with-momentum": _reach(with_momentum, chance),
        "with-decay": _reach(float(best["C"].max()), chance),
    }


def _reach(accuracy: float, chance: float) -> str:
    reach = f"the best mean accuracy is {accuracy:.1f} %, where guessing gives {chance:g} %"
    return f"{reach}: too large a rate for either network to get far" if accuracy < 10 * chance else reach


def caption(data: xr.Dataset) -> str:
    ahead = f"lead by at most {at_most(lead(data))} percentage points of accuracy" if lead(data) > 0 else "lead nowhere"
    return (
        f"On photographs, after half an epoch, free norms {ahead}. {experiments_prose.panels(data, SCALE)} The marks "
        f"are means; guessing gives {sweeps.CHANCE['tiny-imagenet']:g}. {data.attrs[f'{SCALE}_origin']}; "
        "{doc}`reproducibility` says how it is run again."
    )


def alt(data: xr.Dataset) -> str:
    return f"Three panels of final test accuracy. {experiments_prose.accuracies(data, SCALE)}"
