"""Charges of translation, scale and rescale in training, against the integral laws of Neural Mechanics."""

import numpy as np
import xarray as xr

from nld.figures._data.charge_laws import END, KINDS, SHOWN, column, columns, first_zero
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import power, power_above
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

PLACE = ((), "fig-neural-mechanics", "book/neural-mechanics", "kunin2021neural")
CLAIMS = (
    Claim("symmetry-constrains-gradient-and-hessian", "A symmetry of the loss constrains gradient and Hessian at every "
          r"point, for any data set: $\langle g, A\rangle = 0$ and $HA + DA^\top g = 0$.", *PLACE),
    Claim("finite-rates-break-conservation-laws", "Finite learning rates break the conservation laws that the "
          "symmetries give gradient flow.", *PLACE),
    Claim("integral-laws-predict-charges", "Integral expressions from modified gradient flow describe sums, squared "
          "norms and their differences at finite learning rates, batch sizes and weight decay.", *PLACE),
    Claim("momentum-makes-charges-oscillate", "With momentum a charge is a harmonic oscillator, and weight decay above "
          "a critical value makes it swing.", *PLACE),
)  # fmt: skip
SYMBOL = {"translation": "sum $\\langle q, n\\rangle$ [w]", "scale": "$\\|q\\|^2$ [w²]",
          "rescale": "$\\|q_{in}\\|^2 - \\|q_{out}\\|^2$ [w²]"}  # fmt: skip
ERROR_LINES = {"exact": {"linewidth": 0.7, "alpha": 0.6}, "integral": {}, "gradient flow": {"linestyle": ":"}}
ROUNDING = ("gradient_constraint", "hessian_constraint")


def compute(profile: str, *, seed: int = 0, weight_decay: float = 0.01, momentum: float = 0.99) -> xr.Dataset:
    """Measured and predicted charges of a network of digits in five runs; one network serves both profiles."""
    runs = [column(rule, seed) for rule in columns(weight_decay, momentum)]
    return xr.concat(runs, "column").assign_attrs(seed=seed)


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for the caption and for prose about the figure."""
    worst = data["largest_error"]
    plain, heavy, last = worst.isel(column=slice(0, 3)), worst.isel(column=slice(3, 5)), data.isel(column=-1)
    norm = last["charge"].sel(kind="scale")
    better = heavy.sel(law="integral") / heavy.sel(law="started")
    squares = better.sel(kind=["scale", "rescale"])
    started = heavy.sel(law="started")
    percent = 100 * worst.sel(law="gradient flow", kind="scale")
    return {
        "exact": power_above(worst.sel(law="exact").max(), 1),
        "integral-plain": power_above(plain.sel(law="integral").max(), 1),
        "integral-no-decay": power(worst.isel(column=0).sel(law="integral").max()),
        "integral-short": power_above(heavy.isel(column=0).sel(law="integral").max(), 1),
        "integral-long": power_above(heavy.isel(column=1).sel(law="integral").max(), 1),
        "started": power_above(started.max(), 1),
        "flow-sums": power_above(plain.sel(law="gradient flow", kind="translation").max()),
        "flow-sums-heavy": f"{100 * float(heavy.sel(law='gradient flow', kind='translation').max()):.2g} %",
        "better-sums": " and ".join(f"{float(x):.0f}" for x in better.sel(kind="translation")),
        "better-squares": f"{float(squares.min()):.1f} to {float(squares.max()):.1f}",
        "flow-scale": f"{float(percent.min()):.0f} to {float(percent.max()):.0f} %",
        "translation-kept": power(worst.isel(column=0).sel(law="gradient flow", kind="translation")),
        "crossings": f"{int(last['crossings'])}",
        "critical-short": f"{float(data['critical_weight_decay'].isel(column=3).sel(kind='translation')):.2g}",
        "critical-long": power(last["critical_weight_decay"].sel(kind="translation"), 1),
        "times-critical": f"{float(last['weight_decay'] / last['critical_weight_decay'].sel(kind='translation')):.2g}",
        "gradient-constraint": power_above(data["gradient_constraint"].max()),
        "hessian-constraint": power_above(data["hessian_constraint"].max()),
        "tallest": f"{float(norm.max() / norm.isel(time=0).max()):.0f}",
    }


def draw(data: xr.Dataset):
    """Rows of symmetries and a row of errors, columns of runs."""
    columns = data.sizes["column"]
    figure, panels = new_figure(4, columns, size=(6.4, 6.4), sharex=True)
    time = data["time"].values
    for i in range(columns):
        rule = data.isel(column=i)
        for j, kind in enumerate(KINDS):
            axes, row = panels[j, i], rule.sel(kind=kind)
            axes.plot(time, row["gradient_flow"].values.T, **BASELINE)
            axes.plot(time, row["charge"].values.T, color=COLOR[kind], linewidth=2.2)
            axes.plot(time, row["predicted"].values.T, **predicted(linewidth=0.8, linestyle=(0, (3, 4))))
            for law, line in ERROR_LINES.items():
                values = row["error"].sel(law=law).values
                panels[-1, i].plot(time, np.where(values > 0, values, np.nan), color=COLOR[kind], **line)
        below = panels[-1, i]
        below.set(yscale="log", ylim=(1e-17, 100), xlabel="$t$ [w²/ℓ]", xlim=(0, END), xticks=(0, 30, 60))
        title = f"({'abcde'[i]}) $\\beta = {float(rule['momentum']):g}$\n$k = {float(rule['weight_decay']):g}$"
        panels[0, i].set_title(title, fontsize=9)
    for j, kind in enumerate(KINDS):
        panels[j, 0].set_ylabel(f"{kind}\n{SYMBOL[kind]}", color=COLOR[kind])
        _share_heights(panels[j, :-1])
        panels[j, -1].yaxis.tick_right()
        panels[j, -1].locator_params(axis="y", nbins=4)
    panels[-1, 0].set_ylabel("error of the law\nover largest $|x|$ [1]")
    for axes in panels[-1, 1:]:
        axes.tick_params(labelleft=False)
    for height, text in ((0.94, "gradient flow"), (0.58, "integral law"), (0.26, "law in steps")):
        label_panel(panels[-1, 2], text, 0.97, height, ha="right", va="center", fontsize=7.5)
    label_panel(panels[1, 0], "gradient flow", 0.06, 0.2, color="#888888", fontsize=7.5)
    return figure


def _share_heights(row) -> None:
    """One range for a row of panels, with tick labels at its left."""
    low, high = (pick(axes.get_ylim()[end] for axes in row) for pick, end in ((min, 0), (max, 1)))
    for axes in row:
        axes.set_ylim(low, high)
    for axes in row[1:]:
        axes.tick_params(labelleft=False)


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Sums and squares of the weights that a symmetry ties together follow an integral law, and it is not that of "
        "gradient flow. Columns: three weight decays without momentum and two with, in ℓ/w². Rows: charges of "
        f"translation, scale and rescale symmetry, {SHOWN} of each kind, measured in a network that learns digits from "
        "batches of 64 (coloured), predicted by the integral laws (dashed) and by gradient flow (dotted). **(e)** At a "
        f"momentum of {float(data['momentum'][-1]):g} the weight decay is {told['times-critical']} times the critical "
        f"{told['critical-long']} ℓ/w²; sums change their sign up to {told['crossings']} times. **Bottom row:** the "
        "largest error over all charges of a kind (in the colours above), of gradient flow (dotted; "
        f"{told['flow-scale']} for the squared norms), of the integral law (solid; up to {told['integral-plain']} "
        f"without momentum and {told['integral-long']} with) and of the law in steps (thin; {told['exact']})."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "A grid of five columns and four rows. In every panel of the upper three rows dashed predictions lie on "
        "coloured measured curves. The sums of the translation row stay level without weight decay, fall exponentially "
        f"with it, and in the last column change their sign up to {told['crossings']} times. The squared norms of the "
        f"scale row rise above the dotted curves of gradient flow, in the last column up to {told['tallest']} times "
        f"their first value. In the bottom row the errors of the three laws are lines near {told['flow-scale']}, below "
        f"{told['integral-long']} and below {told['exact']}."
    )


def judge(data: xr.Dataset) -> list[Verdict]:
    """Verdicts on the claims of Neural Mechanics; a run too short for the swing that is claimed rules on none."""
    told, worst = numbers(data), data["largest_error"]
    flow, law = worst.sel(law="gradient flow"), worst.sel(law="integral")
    bound = xr.where(data["momentum"] > 0, 2e-2, 5e-4)
    heavy = data.isel(column=slice(3, 5))
    above = heavy["weight_decay"] > heavy["critical_weight_decay"].sel(kind="translation")
    slow = above & (first_zero(heavy) > 0.9 * END)  # a swing that the run is too short to show
    swings = bool(((heavy["crossings"] > 0) == above)[~slow].all())
    seen = bool((above & ~slow).any())
    listed = ", ".join(
        f"{int(heavy['crossings'][i])} at {float(heavy['weight_decay'][i]):g} (critical {told[critical]})"
        for i, critical in enumerate(("critical-short", "critical-long"))
    )
    found = [
        Evidence(
            "symmetry-constrains-gradient-and-hessian",
            rf"At every step $\lvert\langle g, A\rangle\rvert$ is up to {told['gradient-constraint']} (l, for a "
            r"translation ℓ/w), and after training the entries of $HA + DA^\top g$ are "
            f"up to {told['hessian-constraint']} ℓ/w.",
            checks={
                "gradient": float(data["gradient_constraint"].max()) < 1e-13,
                "Hessian": float(data["hessian_constraint"].max()) < 1e-13,
            },
        ),
        Evidence(
            "finite-rates-break-conservation-laws",
            f"Squared norms leave the law of gradient flow by {told['flow-scale']}; without weight decay sums move by "
            f"up to {told['translation-kept']} of the largest: no finite rate breaks the law of a translation.",
            checks={
                "scale": float(flow.sel(kind="scale").min()) > 0.01,
                "rescale": float(flow.sel(kind="rescale").min()) > 0.01,
            },
        ),
        Evidence(
            "integral-laws-predict-charges",
            f"Over all charges and times the error is up to {told['integral-plain']} of the largest charge without "
            f"momentum, {told['integral-short']} at 0.9 and {told['integral-long']} at "
            f"{float(data['momentum'][-1]):g}; the law in steps leaves {told['exact']}.",
            checks={
                "within the bounds": bool((law < bound).all()),
                "ten times closer than gradient flow": bool(
                    (law.sel(kind="scale") < 0.1 * flow.sel(kind="scale")).all()
                ),
            },
        ),
        Evidence(
            "momentum-makes-charges-oscillate",
            f"Most changes of sign of a sum, by weight decay and its critical value in ℓ/w²: {listed}.",
            checks={"swings above the critical decay, and only there": swings},
        ),
    ]
    return rule(found if seen or not swings else found[:-1])
