"""The sweeps of fig-experiments on photographs: a narrow VGG-11 on every tenth class of Tiny ImageNet.

Hours of a processor are too long for each build: the runs that the panels show and the judging seeds that rule are
read from the repository, whatever the parameters of a build.
"""

import numpy as np
import xarray as xr

from nld.experiment.runs import specs
from nld.experiment.studies.training_cost import training_flops
from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._data import experiment_table as sweeps
from nld.figures._data import experiments_prose, photographs_prose, rate_curve
from nld.figures._render.experiment_panels import MARKS, draw_accuracy, name_modes
from nld.figures._render.labels import label_point
from nld.figures._render.style import BASELINE, COLOR, new_mosaic
from nld.figures._render.text import at_most
from nld.figures.evidence import kept, kept_path
from nld.inference import Verdict, rule
from nld.paper import Claim
from nld.paper.chapters import BENEFIT

SCALE = "photographs"
EVIDENCE, KEPT_SEEDS, AT_ONCE = "results/evidence/fig-photographs.nc", 32, 1  # a seed takes twenty minutes of a core
DATASET = "tiny-imagenet-20"
CHANCE = sweeps.CHANCE[DATASET]
CLAIMS = (
    Claim(rate_curve.CLAIM, "Free and held norms differ in loss by their effective rates alone: on one curve over the "
          "effective rate lie both.", (17,), "fig-photographs", BENEFIT),
)  # fmt: skip


def compute(profile: str) -> xr.Dataset:
    """All runs along ``run``, with their panel, as in fig-experiments, and the judging seeds; the same in all profiles.

    Raises:
        FileNotFoundError: the gathered results of a panel are missing.
    """
    tables, words = sweeps.gathered(SCALE)
    if len(tables) < len(sweeps.PANELS):
        raise FileNotFoundError(
            f"expected gathered results of {len(sweeps.PANELS)} panels, got {len(tables)}; {sweeps.commands(SCALE)}"
        )
    known = {"profile": SCALE, f"{SCALE}_origin": words, "hours": sum(each.attrs["hours"] for each in tables)}
    for name, spec, classes in (("flops", SCALE, 20), ("flops_paper", "paper", 200)):
        known[name] = training_flops(specs.sweep(f"{spec}-learning-rate").base, (3, 64, 64), classes)
    data = sweeps.joined(tables).assign_attrs(known)
    if kept_path(EVIDENCE) is None:
        return data
    return data.merge(kept(EVIDENCE, __name__), combine_attrs="no_conflicts")


def measure(seeds) -> xr.Dataset:
    """The judged settings with the given seeds: final accuracy and loss, effective rate and loss half-way."""
    return contrasts.run(seeds, contrasts.registered_values(SCALE), SCALE, rate_curve.half_way)


def judge(data: xr.Dataset) -> list[Verdict]:
    """The paper's findings A, B and C at this scale, and whether the effective rate is what makes the difference."""
    if "judged_accuracy" not in data:
        return []
    return rule([*contrasts.evidence(data, f"@{SCALE}"), rate_curve.evidence(data)])


def draw(data: xr.Dataset):
    """Final accuracies, one column a panel, over the losses of the judging seeds against their effective rates."""
    judged = "judged_half_rate" in data
    layout, size = ([list(sweeps.PANELS), ["rate"] * 3], (6.4, 4.6)) if judged else ([list(sweeps.PANELS)], (6.4, 2.4))
    figure, axes = new_mosaic(layout, size)
    for panel, (_, _, label, _) in sweeps.PANELS.items():
        values, accuracy, diverged = sweeps.final_accuracies(data, panel, SCALE)
        draw_accuracy(axes[panel], values, 100 * accuracy, diverged)
        axes[panel].axhline(100 * CHANCE, **BASELINE)
        axes[panel].set(xlabel=label, title=panel, ylim=(0, 65))
        if panel != "A":
            axes[panel].tick_params(labelleft=False)
    label_point(axes["A"], "guessing", (0, 100 * CHANCE), (0, 3), color=BASELINE["color"])
    axes["A"].set_ylabel("final test accuracy [%]")
    name_modes(axes["B"], top=0.45)
    if judged:
        _draw_rates(data, axes["rate"])
    return figure


def _draw_rates(data: xr.Dataset, axes) -> None:
    rates = data["judged_half_rate"].values
    for name, (marker, _) in MARKS.items():
        seeds = data.sel(constrained_norm=name)
        rate, loss = (seeds[f"judged_half_{quantity}"].values.ravel() for quantity in ("rate", "loss"))
        axes.plot(rate, loss, marker, color=COLOR[name], markersize=3.5, alpha=0.5)
    axes.plot(*_common_curve(data), color="0.4", linewidth=1)
    axes.axhline(-np.log(CHANCE), **BASELINE)
    label_point(axes, "guessing", (rates.min(), -np.log(CHANCE)), (0, 4), color=BASELINE["color"])
    axes.set(
        xscale="log", xlabel="effective rate half-way $\\eta/((1-\\beta)r^2)$ [1/ℓ]", ylabel="test loss half-way [ℓ]",
        title="one curve?",
    )  # fmt: skip


def _common_curve(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The parabola in logarithms through all marks."""
    rate, loss = (np.log(data[f"judged_half_{name}"].values.ravel()) for name in ("rate", "loss"))
    x = np.linspace(rate.min(), rate.max(), 100)
    return np.exp(x), np.exp(np.polyval(np.polyfit(rate, loss, 2), x))


def lead(data: xr.Dataset) -> float:
    """The largest lead of the free run over the held one in all panels, in percentage points of final accuracy."""
    leads = [sweeps.advantage(data, panel, "test_accuracy", SCALE).mean("seed") for panel in sweeps.PANELS]
    return 100 * max(float(each.max()) for each in leads)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences and numbers of the chapter, each chosen by the data; empty where no judging seed is kept."""
    return photographs_prose.sentences(data, judge(data))


def caption(data: xr.Dataset) -> str:
    count = data.sizes.get("judging_seed", 0)
    curve = (
        f"**Below:** test loss half-way against the effective rate half-way, before a schedule lowers it, one mark a "
        f"run of {count} judging seeds, with the parabola through all. "
        if count
        else ""
    )
    ahead = f"lead by at most {at_most(lead(data))} percentage points of accuracy" if lead(data) > 0 else "lead nowhere"
    return (
        f"On photographs free norms {ahead}. {experiments_prose.panels(data, SCALE)} The marks are means, the dotted "
        f"lines guessing. {curve}{data.attrs[f'{SCALE}_origin']}; {{doc}}`reproducibility` says how it is run again."
    )


def alt(data: xr.Dataset) -> str:
    said = f"Three panels of final test accuracy. {experiments_prose.accuracies(data, SCALE)}"
    if "judged_half_rate" not in data:
        return said
    rate, loss = data["judged_half_rate"].values, data["judged_half_loss"].values
    return (
        f"{said} Below, losses between {loss.min():.2f} and {loss.max():.2f} against effective rates from "
        f"{rate.min():.2g} to {rate.max():.2g}, on a logarithmic axis, with one parabola through free and held runs."
    )
