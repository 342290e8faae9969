"""What gradient flow conserves, gradient descent conserves to first order, and Adam does not. Paper: Eq 13."""

import numpy as np
import xarray as xr

from nld.experiment.studies import conservation
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import COLOR, band, new_figure, predicted
from nld.figures._render.text import number, power, power_above
from nld.inference import Evidence, Verdict, rule

RUNS = {  # largest learning rate and the sum of all learning rates, which is the training time
    "gradient descent": (0.2, 8.0),
    "Adam": (0.002, 0.16),
}
RATES = 4
SEEDS = 3
KEPT = 1e-12  # what rounding leaves of a drift


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Drifts of four kinds of charges by optimizer, seed and learning rate; one network serves both profiles."""
    kinds = ["translation", "scale", "rescale", "general_linear"]
    rates = np.array([[largest / 2**i for i in range(RATES)] for largest, _ in RUNS.values()])
    seeds = np.arange(seed, seed + SEEDS)
    found = [
        [[list(conservation.drifts(name, rate, round(end / rate), int(s)).values()) for rate in row] for s in seeds]
        for (name, (_, end)), row in zip(RUNS.items(), rates, strict=True)
    ]
    return xr.Dataset(
        {
            "drift": (("optimizer", "seed", "rate", "symmetry"), found, {"units": "1", "long_name": "drift of charge"}),
            "learning_rate": (("optimizer", "rate"), rates, {"units": "w²/ℓ for gradient descent, w for Adam"}),
        },
        coords={"optimizer": list(RUNS), "symmetry": kinds, "seed": seeds},
        attrs={"images": conservation.IMAGES},
    )


def slopes(data: xr.Dataset) -> np.ndarray:
    """Least-squares slopes of the logarithm of the median drift over that of the rate, shape (optimizer, symmetry)."""
    drift = np.median(data["drift"].values, axis=1)
    pairs = zip(np.log(data["learning_rate"].values), np.log(np.maximum(drift, 1e-300)), strict=True)
    return np.array([np.polyfit(rate, values, 1)[0] for rate, values in pairs])


def judge(data: xr.Dataset) -> list[Verdict]:
    """Under gradient descent: translation kept to rounding, the drifts of the others of order 1 in the rate."""
    told, drift = numbers(data), data["drift"].sel(optimizer="gradient descent")
    return rule([
        Evidence(
            "overdamped-charges-are-conserved",
            "Under gradient descent on full batches the charge of a translation moves by at most "
            f"{told['translation-drift']} of "
            f"the norm, and the drifts of the others have orders {told['orders']} in the learning rate.",
            checks={
                "translation": float(drift.sel(symmetry="translation").max()) < KEPT,
                "order of the others": bool(np.abs(slopes(data)[0, 1:] - 1).max() < 0.05),
            },
        )
    ])  # fmt: skip


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    translation = data["drift"].median("seed").sel(symmetry="translation").values
    order = slopes(data)[0, 1:]
    return {
        "orders": f"{order.min():.3f} to {order.max():.3f}",
        "translation-drift": power_above(translation[0].max()),
        "adam-orders": under_adam(data),
        "adam-translation": f"{translation[1].min():.2f} to {translation[1].max():.2f}",
    }


def under_adam(data: xr.Dataset) -> str:
    """Whether smaller steps bring the laws back under Adam, a clause with the orders of the drifts."""
    orders = slopes(data)[1]
    listed = f"{number(orders.min(), '.2f')} to {number(orders.max(), '.2f')}"
    if orders.max() < 0.5:
        return f"smaller learning rates do not bring the laws back, for the drifts have orders of {listed}"
    return f"a smaller learning rate lessens some of the drifts, which have orders of {listed}"


def draw(data: xr.Dataset):
    """Drift over the learning rate, one panel an optimizer."""
    figure, panels = new_figure(1, 2, size=(6.4, 3.4), sharey=True)
    kinds = [str(kind) for kind in data["symmetry"].values]
    # Scale and general linear drift alike: large open squares show behind small dots.
    marks = {
        "translation": {"marker": "o", "markersize": 3.5},
        "scale": {"marker": "s", "markersize": 8, "markerfacecolor": "none"},
        "rescale": {"marker": "^", "markersize": 5},
        "general_linear": {"marker": "o", "markersize": 3.5},
    }
    for index, (axes, name, unit) in enumerate(zip(panels, data["optimizer"].values, ("w²/ℓ", "w"), strict=True)):
        rate, drift = data["learning_rate"].values[index], data["drift"].values[index]
        for column, kind in enumerate(kinds):
            width = 3.2 if kind == "scale" else 1.4
            band(axes, rate, drift[:, :, column], COLOR[kind], linewidth=width, **marks[kind])
        axes.set(xscale="log", yscale="log", xlabel=f"learning rate $\\eta$ [{unit}]", ylim=(3e-17, 20))
        ticks_at(axes.xaxis, rate)
        axes.set_title(f"({'ab'[index]}) {name}")
    rate, drift = data["learning_rate"].values[0], np.median(data["drift"].values[0], axis=0)
    panels[0].plot(rate, drift[-1, 2] / 4 * rate / rate[-1], **predicted())
    label_point(panels[0], "$\\propto \\eta$, predicted", (rate[2], drift[2, 2] / 4), (0, -16), ha="center", fontsize=9)
    order = slopes(data)[0]
    names = {
        kind: f"{kind.replace('_', ' ')}: slope {order[column]:.2f}" for column, kind in enumerate(kinds) if column
    }
    signs = {"scale": "□", "rescale": "▲", "general_linear": "●"}
    for place, (kind, text) in enumerate(names.items()):
        label_panel(panels[0], f"{signs[kind]} {text}", 0.06, 0.44 - 0.07 * place, color=COLOR[kind])
    label_point(panels[0], "translation", (rate[0], drift[0, 0]), (0, 9), color=COLOR["translation"], ha="right")
    last, end = np.median(data["drift"].values[1], axis=0)[0], data["learning_rate"].values[1][0]
    label_point(panels[1], "translation", (end, last[0]), (0, 6), color=COLOR["translation"], ha="right")
    panels[0].set_ylabel("drift of the charge [1]")
    return figure


def caption(data: xr.Dataset) -> str:
    drift = np.median(data["drift"].values, axis=1)
    listed = ", ".join(f"{x:.2f}" for x in slopes(data)[0, 1:])
    stays = "stays within rounding," if drift[0, :, 0].max() < KEPT else "moves by at most"
    return (
        "Gradient descent keeps the charges of gradient flow up to the breaking of its kinetic energy; Adam does not "
        f"keep them. Drift of four kinds of charges in a network of digits ({data.attrs['images']} images, full "
        "batches, fixed training time), relative to the norm (translation) or the squared norms of the layers. **(a)** "
        f"Under gradient descent the charge of a translation {stays} "
        f"{power_above(drift[0, :, 0].max())}; the others drift with the learning rate (slopes {listed}; "
        f"dashed: slope 1). **(b)** Under Adam all four move, by {drift[1, -1].min():.2g} to {drift[1, -1].max():.2g} "
        f"at the smallest learning rate. Medians and ranges over {data.sizes['seed']} seeds."
    )


def alt(data: xr.Dataset) -> str:
    drift, orders = np.median(data["drift"].values, axis=1), slopes(data)[1]
    return (
        "Two panels with logarithmic axes. Left, gradient descent: the drifts of scale, rescale and general linear "
        f"charges fall with the learning rate along straight lines from {drift[0, 0, 1:].max():.1g} to "
        f"{power(drift[0, -1, 1:].min())}, and that of translation stays near {power(drift[0, :, 0].max())}. Right, "
        f"Adam: four lines of slopes {number(orders.min(), '.2f')} to {number(orders.max(), '.2f')} between "
        f"{drift[1].min():.2g} and {drift[1].max():.2g}."
    )
