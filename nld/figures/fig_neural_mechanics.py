"""Charges of translation, scale and rescale in training, against the integral laws of Neural Mechanics."""

import numpy as np
import xarray as xr

from nld.figures._data.charge_laws import END, KINDS, SHOWN, column, columns, first_zero
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
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
LAWS = {"gradient flow": ("o", "none"), "integral": ("o", "full"), "exact": ("|", "full")}  # mark and filling
PANELS = (("scale", 2), ("translation", 2), ("rescale", 2), ("translation", -1), ("scale", -1))  # kind and column
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
    """Charges of three kinds in a run without momentum, of two in the run with most; largest errors of all runs."""
    figure, axes = new_mosaic([[*"abc"], [*"def"]], (6.4, 4.4), height_ratios=[1, 1.05])
    for letter, (kind, index) in zip("abcde", PANELS, strict=True):
        run = data.isel(column=index)
        _draw_charges(axes[letter], data["time"].values, run.sel(kind=kind), COLOR[kind])
        axes[letter].set(ylabel=f"{kind} {SYMBOL[kind]}")
        setting = f"$\\beta = {float(run['momentum']):g}$, $k = {float(run['weight_decay']):g}$"
        axes[letter].set_title(f"({letter}) {setting}", fontsize=8.5)
    for letter in "abcde":
        axes[letter].set(xlabel="$t$ [w²/ℓ]", xlim=(0, END), xticks=(0, 30, 60))
    label_panel(axes["a"], "gradient flow", 0.05, 0.08, color=BASELINE["color"])
    label_panel(axes["a"], "measured", 0.45, 0.84, color=COLOR["scale"])
    label_panel(axes["a"], "integral law", 0.45, 0.74)
    _draw_errors(axes["f"], data)
    return figure


def _draw_charges(axes, time: np.ndarray, row: xr.Dataset, color: str) -> None:
    axes.plot(time, row["gradient_flow"].values.T, **BASELINE)
    axes.plot(time, row["charge"].values.T, color=color, linewidth=2.6, alpha=0.75)
    axes.plot(time, row["predicted"].values.T, **predicted(linewidth=0.8, linestyle=(0, (3, 5))))


def _draw_errors(axes, data: xr.Dataset) -> None:
    places = np.arange(data.sizes["column"])
    for law, (marker, filling) in LAWS.items():
        for shift, kind in zip((-0.2, 0, 0.2), KINDS, strict=True):
            values = data["largest_error"].sel(law=law, kind=kind).values
            mark = {"marker": marker, "fillstyle": filling, "color": COLOR[kind], "markersize": 4.5}
            axes.plot(np.where(values > 0, values, np.nan), places + shift, linestyle="none", **mark)
    runs = zip(data["momentum"].values, data["weight_decay"].values, strict=True)
    axes.set_yticks(places, [f"{momentum:g}, {decay:g}" for momentum, decay in runs], fontsize=7)
    axes.set(xscale="log", xlim=(1e-17, 1e2), ylim=(len(places) - 0.4, -2.4), ylabel="$\\beta$, $k$")
    axes.set(xlabel="largest error [1]", xticks=[1e-16, 1e-8, 1])
    axes.set_title("(f) all runs", fontsize=8.5)
    names = ((1e-16, -0.8, "| law in steps"), (1, -1.4, "● integral law"), (50, -2.0, "○ gradient flow"))
    for place, height, text in names:
        axes.text(place, height, text, fontsize=7.5, ha="right" if place > 1e-9 else "left", va="center")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Sums and squares of the weights that a symmetry ties together follow an integral law, and it is not that of "
        f"gradient flow. **(a, b, c)** Charges of scale, translation and rescale symmetry, {SHOWN} of each kind, "
        "measured in a network that learns digits from batches of 64 without momentum (coloured), predicted by the "
        "integral laws (dashed) and by gradient flow (dotted). **(d, e)** Sums and squared norms with momentum "
        f"{float(data['momentum'][-1]):g}: the weight decay is {told['times-critical']} times the critical "
        f"{told['critical-long']} ℓ/w², and sums change their sign up to {told['crossings']} times. **(f)** The "
        "largest error over all charges of a kind, over the largest charge, in five runs: of gradient flow (open "
        f"circles; {told['flow-scale']} for the squared norms), of the integral law (full circles; up to "
        f"{told['integral-plain']} without momentum and {told['integral-long']} with) and of the law in steps (bars; "
        f"{told['exact']}). $k$ in ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Six panels. In the first five dashed predictions lie on coloured measured curves. Without momentum squared "
        "norms stay above the dotted curves of gradient flow while sums fall exponentially; with momentum "
        f"{float(data['momentum'][-1]):g} sums change their sign up to {told['crossings']} times and squared norms "
        f"rise up to {told['tallest']} times their first value. In the last panel the largest errors of three laws in "
        f"five runs lie near {told['flow-scale']}, below {told['integral-long']} and below {told['exact']}."
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
