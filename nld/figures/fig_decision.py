"""A finding of the monitor that changes a decision, and what the changed decision is worth. Beyond the paper."""

import numpy as np
import xarray as xr

from nld.figures._data import decay_decisions
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import COLOR, new_figure, predicted

EXPLORATORY = "two seeds and four weight decays tell what a finding may be worth, not whether it is"


def compute(profile: str, *, seed: int = 0, label_noise: float = 0.4) -> xr.Dataset:
    """Accuracy by weight decay and seed, angles and forecasts of the two decisions; one network for all profiles."""
    return decay_decisions.runs(seed, label_noise)


def late_angles(data: xr.Dataset) -> np.ndarray:
    """Angular step of each layer over the last tenth of both runs, in radians: (decision, block)."""
    return data["angular_step"].isel(step=slice(-data.sizes["step"] // 10, None)).mean("step").values


def settled(data: xr.Dataset) -> np.ndarray:
    """Whether all layers end within a quarter of the equilibrium: (decision)."""
    near = np.abs(late_angles(data) / data["equilibrium_step"].values[:, None] - 1) < 0.25
    return np.all(near, axis=1)


def decisions(data: xr.Dataset) -> tuple[list[float], list[float]]:
    """The default weight decay and the one decided on; their accuracies, medians over seeds."""
    decays = [float(k) for k in data["decision"].values]
    return decays, [float(data["accuracy"].sel(weight_decay=k).median()) for k in decays]


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare the two decisions, chosen by the data."""
    _, (before, after) = decisions(data)
    largest, most = float(data["weight_decay"][-1]), float(data["accuracy"].isel(weight_decay=-1).median())
    low, high = late_angles(data).min(1), late_angles(data).max(1)
    where = [
        f"{'within' if there else 'not within'} a quarter of the equilibrium, {law:.2g}"
        for there, law in zip(settled(data), data["equilibrium_step"].values, strict=True)
    ]
    more = (
        f"More is not better. At k = {largest:g} 1/w accuracy is {100 * most:.1f} %: filters that turn too far in each "
        "step do not settle on anything."
        if most < after
        else f"At k = {largest:g} 1/w accuracy is {100 * most:.1f} %; how far is too far, these runs do not show."
    )
    return {
        "angles": (
            f"in the end all layers turn by {low[1]:.2g} to {high[1]:.2g} radians a step, {where[1]}. Under the "
            f"default they turn by {low[0]:.2g} to {high[0]:.2g}, {where[0]}"
        ),
        "more": more,
        "worth": "the decision can pay" if after > before else "the decision need not pay",
    }


def draw(data: xr.Dataset):
    """Angular steps of the layers under both decisions; accuracy over the weight decay."""
    figure, panels = new_figure(1, 2, size=(6.4, 3.4))
    step = data["step"].values
    for row, (name, color) in enumerate(zip(("default", "decided"), ("original", "transformed"), strict=True)):
        decision = data.isel(decision=row)
        for layer in range(data.sizes["block"]):
            angle = decision["angular_step"].isel(block=layer).values
            panels[0].plot(step, angle, color=COLOR[color], linewidth=0.8)
            if name == "default":
                end = (step[-1], np.median(angle[-len(angle) // 10 :]))
                label_point(panels[0], f"layer {layer + 1}", end, (4, -3), color=COLOR[color], annotation_clip=False)
        level = float(decision["equilibrium_step"])
        panels[0].axhline(level, **predicted())
        text = f"equilibrium at $k = {float(decision['decision']):g}$, {name}"
        label_point(panels[0], text, (step[-1] * (0.5, 0.42)[row], level), (0, 4), ha="center", color=COLOR[color])
    panels[0].set(yscale="log", xlabel="step $n$", ylabel="angular step [rad]", xlim=(0, step[-1]))
    panels[0].set_title("(a) how far filters turn")
    decays = data["weight_decay"].values
    for accuracy in data["accuracy"].transpose("seed", ...).values:
        panels[1].plot(decays, accuracy, color=COLOR["unconstrained"], marker="o", markersize=4, linewidth=1)
    chosen = float(data["decision"][1])
    filters = data["accuracy_filters_only"].values
    panels[1].plot(np.full(len(filters), chosen), filters, "^", color=COLOR["constrained"], markersize=5)
    best = (decays[1], float(data["accuracy"].isel(weight_decay=1).max()))
    label_point(panels[1], "all weights", best, (-4, 10), ha="right", color=COLOR["unconstrained"])
    label_point(panels[1], "filters only", (chosen, filters.min()), (-9, -28), ha="center", color=COLOR["constrained"])
    panels[1].set(xscale="log", xlabel="weight decay $k$ [1/w]", ylabel="test accuracy [1]")
    ticks_at(panels[1].xaxis, decays)
    panels[1].set_title("(b) what it is worth")
    return figure


def caption(data: xr.Dataset) -> str:
    (default, chosen), accuracy = decisions(data)
    ahead = data["steps_to_equilibrium"]
    before, after = (data["accuracy"].sel(weight_decay=k) for k in (default, chosen))
    there = ["is" if each else "is not" for each in settled(data)]
    better = "better" if before.max() < after.min() else "not clearly better"
    return (
        f"After {data.sizes['step']} steps at AdamW's default weight decay a network {there[0]} near its equilibrium; "
        f"at one chosen from the monitor's finding it {there[1]}, and the network is {better}. **(a)** Angle by which "
        "each layer's filters turn in a step (three lines a run) and the equilibrium (dashed). The forecast at the end "
        f"of the default run is {float(ahead[0].min()):,.0f} to {float(ahead[0].max()):,.0f} further steps. **(b)** "
        f"Accuracy on clean test images after training with {100 * data.attrs['label_noise']:.0f} % wrong labels: "
        f"{100 * accuracy[0]:.1f} % at $k = {default:g}$, "
        f"{100 * accuracy[1]:.1f} % at $k = {chosen:g}$; triangles: $k = {chosen:g}$ for "
        f"the filters alone, which the loss cannot notice. A line joins the runs of one seed; there are "
        f"{data.sizes['seed']} seeds."
    )


def alt(data: xr.Dataset) -> str:
    (default, chosen), accuracy = decisions(data)
    last = data["angular_step"].isel(step=slice(-30, None)).mean(["step", "block"])
    law = data["equilibrium_step"]
    return (
        f"Left: angular step over training. At weight decay {default:g} it ends near {float(last[0]):.2g} radians, "
        f"with an equilibrium of {float(law[0]):.2g}; at {chosen:g} it ends near {float(last[1]):.2g}, with an "
        f"equilibrium of {float(law[1]):.2g}. Right: test accuracy over weight decay goes from {accuracy[0]:.2f} at "
        f"{default:g} to {accuracy[1]:.2f} at {chosen:g}; with the filters alone it is "
        f"{float(data['accuracy_filters_only'].median()):.2f}."
    )
