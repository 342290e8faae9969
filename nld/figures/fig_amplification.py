"""How much momentum amplifies the growth of a norm: (1+beta)/(1-beta)^3 or 1/(1-beta)^2? Paper: claim after Eq 17.

Smooth, white and correlated gradients in a model, mini-batch gradients in a network.
"""

import numpy as np
import xarray as xr

from nld.figures._data import amplified_norms
from nld.figures._data.amplified_norms import BATCHES, CORRELATIONS, JUDGED_MOMENTUM, SIZE, prediction
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule
from nld.theory.adaptive import momentum_amplification

EVIDENCE, KEPT_SEEDS = "results/evidence/fig-amplification.nc", 8


def compute(profile: str, *, seed: int = 0, learning_rate: float = 0.1) -> xr.Dataset:
    """Amplification of the model at every momentum and correlation, and of a network; both profiles are the same.

    ``learning_rate`` is the network's at beta = 0; at others it is multiplied by 1 - beta, so that all train alike.
    """
    ruling = judged(EVIDENCE, lambda s: measure(s, learning_rate), seed=seed, registered=learning_rate == 0.1)
    return amplified_norms.factors(seed, learning_rate).merge(ruling, combine_attrs="no_conflicts")


def measure(seeds, learning_rate: float = 0.1) -> xr.Dataset:
    """A network's factor at momentum 0.9, the median over all its filters, by batches: (judging_seed, batches)."""
    return amplified_norms.judged_factors(seeds, learning_rate)


def judge(data: xr.Dataset) -> list[Verdict]:
    """The paper's factor at momentum 0.9 within 20 %: of smooth gradients, and of a network's by batches."""
    found, paper = at_nine_tenths(data), float(momentum_amplification(JUDGED_MOMENTUM))
    factor = data["judged_factor"]
    listed = ", ".join(f"{np.exp(np.log(factor.sel(batches=b)).mean()):.0f} with {b}" for b in BATCHES)
    numbers = (
        f"At momentum 0.9 the paper's factor is {paper:.0f}. In a model smooth gradients give "
        f"{found['smooth']:.0f} and "
        f"white ones {found['white']:.0f}; a batch-normalized network gives {listed} (geometric means). The factor is "
        r"$\chi/(1-\beta)^2$ with $\chi$ the correlation sum of the gradients; $(1+\beta)/(1-\beta)$ bounds $\chi$ "
        "only where gradients are stationary and no decay is in the buffer."
    )
    samples = {batches: np.log(factor.sel(batches=batches).values / paper) for batches in BATCHES}
    checks = {"smooth gradients": abs(found["smooth"] / paper - 1) < 0.2}
    return rule([Evidence("momentum-amplification", numbers, samples, checks)])


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare the network with the model's smooth and white gradients, chosen by the data."""
    layers = data["network"]
    at = float(np.log(layers.sel(network_momentum=JUDGED_MOMENTUM)).mean())
    smooth, white = (np.log(prediction(JUDGED_MOMENTUM, c)) for c in (1.0, 0.0))
    nearer = "noise first and signal second" if abs(at - white) < abs(at - smooth) else "signal first and noise second"
    chi = (layers * (1 - layers["network_momentum"]) ** 2).median("layer").sel(network_momentum=[0.9, 0.95]).values
    longer = (
        "The longer momentum remembers, the more of the signal, which repeats, stands out from the noise, which does "
        "not."
        if chi[1] > chi[0]
        else "Here a longer memory brings out no more of the signal."
    )
    full = float(np.exp(np.log(data["judged_factor"].sel(batches="full batches")).mean()))
    paper = float(momentum_amplification(JUDGED_MOMENTUM))
    beyond = "The paper's factor is no upper bound either" if full > paper else "That is below the paper's factor"
    return {
        "mini-batches": f"Mini-batches are {nearer}.",
        "longer-memory": longer,
        "full-batches": f"With full batches the factor is {full:.0f}, the paper's {paper:.0f}. {beyond}.",
    }


def draw(data: xr.Dataset):
    """Amplification over 1/(1 - beta) on logarithmic axes, and the model over its prediction below."""
    figure, (above, below) = new_figure(2, 1, size=(6.4, 4.6), sharex=True, height_ratios=[2.6, 1])
    momentum = data["momentum"].values
    fine = 1 - np.geomspace(1, 1 - momentum[-1], 100)
    colors = (COLOR["gradient_descent"], COLOR["adam"], COLOR["heavy_ball"])
    names = ("white noise", f"correlation {CORRELATIONS[1]:g}", "smooth")
    shifts = ((8, -14), (-2, -30), (-10, 6))
    for index, (color, name) in enumerate(zip(colors, names, strict=True)):
        correlation = CORRELATIONS[index]
        measured = data["model"].values[index]
        above.plot(1 / (1 - momentum), measured, "osD"[index], color=color, markersize=5)
        above.plot(1 / (1 - fine), prediction(fine, correlation), **predicted())
        at = (4, -1, -3)[index]
        side = "right" if shifts[index][0] < 0 else "left"
        label_point(
            above, name, (1 / (1 - momentum[at]), measured[at]), shifts[index], color=color, ha=side, fontsize=9
        )
        below.plot(1 / (1 - momentum), measured / prediction(momentum, correlation), "osD"[index], color=color,
                   linestyle="-", linewidth=0.8, markersize=4)  # fmt: skip
    x = np.repeat(1 / (1 - data["network_momentum"].values), data.sizes["layer"])
    above.plot(x, data["network"].values.ravel(), "x", color=COLOR["constrained"], markersize=5)
    place = (x[3 * 2], data["network"].values[2].min())
    label_point(above, "network, mini-batches", place, (10, -24), color=COLOR["constrained"], fontsize=9)
    above.set(xscale="log", yscale="log", ylabel="amplification of the growth of $r^4$")
    below.axhline(1, **predicted())
    below.set(xscale="log", xlabel="steps that momentum remembers, $1/(1-\\beta)$", ylabel="measured /\npredicted",
              ylim=(0.85, 1.15))  # fmt: skip
    ticks_at(below.xaxis, [1, 2, 5, 10, 20, 50])
    return figure


def at_nine_tenths(data: xr.Dataset) -> dict[str, float]:
    """Measured amplification at beta = 0.9: smooth, white, and the layers' median in the network."""
    return {
        "smooth": float(data["model"].sel(momentum=0.9, correlation=1.0)),
        "white": float(data["model"].sel(momentum=0.9, correlation=0.0)),
        "network": float(data["network"].sel(network_momentum=0.9).median()),
    }


def caption(data: xr.Dataset) -> str:
    found, layers = at_nine_tenths(data), data["network"].sel(network_momentum=0.9).values
    return (
        "Momentum amplifies the growth of norms; by how much depends on how long gradients stay the same. **Top:** the "
        "growth of $r^4$ in units of what gradient descent at the same $\\eta$ would give. Dots: measured in a model "
        f"with {SIZE} coordinates, for smooth, white and partly correlated gradients; dashed, predicted: "
        "$(1+\\beta)/(1-\\beta)^3$, $1/(1-\\beta)^2$, and $\\chi/(1-\\beta)^2$ between them. At $\\beta = 0.9$ the "
        f"measured factors are {found['smooth']:.0f} and {found['white']:.0f}. Crosses: the three layers of a "
        f"batch-normalized network trained with mini-batches, medians over their filters; {layers.min():.0f} to "
        f"{layers.max():.0f} at $\\beta = 0.9$. **Bottom:** the model over its prediction."
    )


def alt(data: xr.Dataset) -> str:
    found, model = at_nine_tenths(data), data["model"]
    shares = np.array([model.sel(correlation=c) / prediction(data["momentum"], c) for c in CORRELATIONS])
    return (
        "Amplification over one over one minus beta, both logarithmic. Three rows of dots rise along dashed curves: "
        f"at beta 0.9 they reach {found['white']:.0f} for white noise and {found['smooth']:.0f} for smooth gradients, "
        f"with one row between. Crosses from a network lie at {found['network']:.0f}. Below, measured over predicted "
        f"is {shares.min():.2f} to {shares.max():.2f}."
    )
