"""How far a filter turns in a step, once kinetic symmetry breaking and weight decay balance. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.studies.measure import measure_filters
from nld.figures._render.labels import label_point
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.learning_rules.rules import heavy_ball
from nld.theory.equilibrium import angular_step

EXPLORATORY = "one network and one seed; the walks of fig-rotation rule on the equilibrium"
RULES = ((0.1, 0.0, 0.02), (0.1, 0.9, 0.02), (0.03, 0.9, 0.01), (0.01, 0.9, 0.01))  # eta, beta, k
STEPS = 700
MEAN_OVER = 20  # steps


def compute(profile: str, *, seed: int = 0, label_noise: float = 0.4) -> xr.Dataset:
    """Mean |q_{n+1} - q_n|² over mean |q_n|², filters and steps together, of four runs; one for all profiles.

    With wrong labels the gradients do not fade, so that there is an equilibrium to settle in.
    """
    base = Experiment(steps=STEPS, seed=seed, label_noise=label_noise, width=0.5)
    members = [base.replace(learning_rate=eta, momentum=beta, weight_decay=k) for eta, beta, k in RULES]
    record = measure_filters(members)
    means = record[["squared_step", "squared_norm"]].mean("filter").coarsen(step=MEAN_OVER).mean()  # type: ignore[attr-defined]
    step, norm = means["squared_step"], means["squared_norm"]
    law = [angular_step(heavy_ball(eta, beta, k)) ** 2 for eta, beta, k in RULES]
    return xr.Dataset(
        {
            "squared_angle": (("member", "step"), (step / norm).values, {"units": "1", "long_name": "|q' - q|²/|q|²"}),
            "squared_norm": (("member", "step"), norm.values, {"units": "w²", "long_name": "mean squared norm"}),
            "predicted": (("member",), np.array(law), {"units": "1", "long_name": "2 eta k/(1 + beta)"}),
        },
        coords={
            "step": np.arange(STEPS // MEAN_OVER) * MEAN_OVER + MEAN_OVER / 2,
            "learning_rate": ("member", [rule[0] for rule in RULES]),
            "momentum": ("member", [rule[1] for rule in RULES]),
            "weight_decay": ("member", [rule[2] for rule in RULES]),
        },
        attrs={"label_noise": label_noise, "seed": seed},
    )


def late_ratios(data: xr.Dataset) -> np.ndarray:
    """Measured over predicted, mean over the second half of the run: (member)."""
    return (_late(data["squared_angle"]).mean("step") / data["predicted"]).values


def drifting_law(data: xr.Dataset) -> xr.DataArray:
    """The law for a norm that grows by a fraction d a step, (2 eta k + (1 - beta) d)/(1 + beta): (member).

    d is measured over the second half of the run.
    """
    norm = _late(data["squared_norm"])
    growth = np.log(norm.isel(step=-1) / norm.isel(step=0)) / ((norm.sizes["step"] - 1) * MEAN_OVER)
    return data["predicted"] + (1 - data["momentum"]) / (1 + data["momentum"]) * growth


def drift_ratios(data: xr.Dataset) -> np.ndarray:
    """Measured over ``drifting_law``, mean over the second half of the run: (member)."""
    return (_late(data["squared_angle"]).mean("step") / drifting_law(data)).values


def _late(values: xr.DataArray) -> xr.DataArray:
    return values.isel(step=slice(values.sizes["step"] // 2, None))


def draw(data: xr.Dataset):
    """Measured ratios over steps, and the law as a dashed line for each run."""
    figure, axes = new_figure(size=(6.4, 3.4), squeeze=False)
    axes = axes[0, 0]
    colors = (COLOR["gradient_descent"], COLOR["heavy_ball"], COLOR["adam"], COLOR["constrained"])
    step = data["step"].values
    late = _late(data["step"]).values[[0, -1]]
    for index, color in enumerate(colors):
        row = data.isel(member=index)
        axes.plot(step, row["squared_angle"], color=color)
        axes.axhline(float(row["predicted"]), **predicted())
        axes.plot(late, [float(drifting_law(data)[index])] * 2, **predicted(linestyle="-", linewidth=0.9))
        text = f"$\\eta = {float(row['learning_rate']):g}$, $\\beta = {float(row['momentum']):g}$, "
        text += f"$k = {float(row['weight_decay']):g}$"
        label_point(axes, text, (step[-1], float(row["predicted"])), (6, -3), color=color, annotation_clip=False)
    lowest = (late[0], float(drifting_law(data)[-1]))
    label_point(axes, "solid: the law for norms that still grow", lowest, (-4, 14), ha="center")
    lowest = (step[-1], float(data["predicted"][-1]))
    label_point(axes, "dashed: the law for norms that stand still", lowest, (-4, -12), ha="right")
    axes.set(xlabel="step $n$", ylabel="squared turn $\\|p\\|^2/\\|q\\|^2$", yscale="log", xlim=(0, step[-1]))
    return figure


def caption(data: xr.Dataset) -> str:
    found = ", ".join(f"{value:.2f}" for value in late_ratios(data))
    grown = ", ".join(f"{value:.2f}" for value in drift_ratios(data))
    return (
        "Where norms stand still, filters turn by the angle $\\sqrt{2\\eta k/(1+\\beta)}$ a step, whatever the "
        "gradients are. Coloured: squared length of a step over squared norm of a filter, means over all filters of a "
        f"batch-normalized network and over {MEAN_OVER} steps, at four settings; dashed: the law. Over the second half "
        f"of the run the quotient of the two is {found}, from top to bottom. The norms still grow then; the law with "
        f"that growth put in (short solid lines) gives quotients of {grown}. Digits with "
        f"{100 * data.attrs['label_noise']:.0f} % wrong labels, batches of 64; "
        "$\\eta$ in w²/ℓ, $k$ in ℓ/w²."
    )


def alt(data: xr.Dataset) -> str:
    law, found = (", ".join(f"{value:.2g}" for value in each) for each in (data["predicted"].values, late_ratios(data)))
    grown = ", ".join(f"{value:.2f}" for value in drift_ratios(data))
    return (
        f"Four noisy curves on a logarithmic axis and a dashed line for each, at {law}. Over the second half of the "
        f"steps the curves are at {found} times their lines, and at {grown} times short solid lines, which "
        "allow for the growth of the norms."
    )
