"""How much momentum amplifies the growth of a norm: (1+beta)/(1-beta)^3 or 1/(1-beta)^2? Paper: claim after Eq 17.

Smooth, white and correlated gradients in a model, mini-batch gradients in a network.
"""

import numpy as np
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.studies.measure import measure_filters, squared_norms
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures.evidence import judged
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules.rules import heavy_ball
from nld.theory.adaptive import momentum_amplification

MOMENTA = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
CORRELATIONS = (0.0, 0.9, 1.0)  # of successive gradients: white, between, smooth
SIZE = 64  # coordinates of the model
NETWORK_MOMENTA = (0.0, 0.5, 0.9, 0.95)
EVIDENCE, KEPT_SEEDS = "results/evidence/fig-amplification.nc", 8
JUDGED_MOMENTUM = 0.9
BATCHES = {"full batches": {"train_size": 256, "batch_size": 256}, "mini-batches": {}}


def compute(profile: str, *, seed: int = 0, learning_rate: float = 0.1) -> xr.Dataset:
    """Amplification of the model at every momentum and correlation, and of a network; both profiles are the same.

    ``learning_rate`` is the network's at beta = 0; at others it is multiplied by 1 - beta, so that all train alike.
    """
    return xr.Dataset(
        {
            "model": (("correlation", "momentum"), model_amplification(seed), {"units": "1"}),
            "network": (("network_momentum", "layer"), network_amplification(learning_rate, seed), {"units": "1"}),
        },
        coords={
            "correlation": list(CORRELATIONS),
            "momentum": list(MOMENTA),
            "network_momentum": list(NETWORK_MOMENTA),
            "layer": [1, 2, 3],
        },
        attrs={"learning_rate": learning_rate, "seed": seed},
    ).merge(
        judged(EVIDENCE, lambda s: measure(s, learning_rate), seed=seed, registered=learning_rate == 0.1),
        combine_attrs="no_conflicts",
    )


def measure(seeds, learning_rate: float = 0.1) -> xr.Dataset:
    """A network's factor at momentum 0.9, the median over all its filters, by batches: (judging_seed, batches)."""
    beta, columns = JUDGED_MOMENTUM, []
    for batches in BATCHES.values():
        base = _base(learning_rate * (1 - beta)).replace(momentum=beta, **batches)
        quotients, _ = _quotients([base.replace(seed=int(seed)) for seed in seeds])
        columns.append(np.median(quotients, axis=1))
    return xr.Dataset(
        {"judged_factor": (("judging_seed", "batches"), np.array(columns).T, {"units": "1"})},
        coords={"judging_seed": list(seeds), "batches": list(BATCHES)},
    )


def model_amplification(seed: int, steps: int = 3000) -> np.ndarray:
    """(r⁴(T) - r⁴(0))/(2 eta² T) under heavy ball with |g^| = 1, after the buffers have filled.

    The gradient at q is the part of a direction d_n orthogonal to q, at length 1/|q|. Successive directions have the
    given correlation; the fully correlated one is carried along by a rotation of q, so that it never runs out.

    Returns:
        (correlation, momentum).
    """
    random = np.random.default_rng(seed)
    momentum, correlation = np.array(MOMENTA)[:, None], np.array(CORRELATIONS)[:, None, None]
    rule = heavy_ball(1e-3 * (1 - momentum) ** 2, momentum)
    q, state = np.zeros((len(CORRELATIONS), len(MOMENTA), SIZE)), ()
    q[..., 0] = 1.0
    start, settle = 0.0, int(np.ceil(30 / (1 - momentum.max())))
    direction = random.normal(size=q.shape)
    for n in range(settle + steps):
        squared = (q * q).sum(-1, keepdims=True)
        if n == settle:
            start = squared**2
        direction = correlation * direction + np.sqrt(1 - correlation**2) * random.normal(size=q.shape)
        tangent = direction - (direction * q).sum(-1, keepdims=True) / squared * q
        carried = np.stack([-q[..., 1::2], q[..., ::2]], -1).reshape(q.shape)
        tangent = np.where(correlation < 1, tangent, carried)
        force = tangent / np.sqrt((tangent * tangent).sum(-1, keepdims=True) * squared)
        q, state = rule.step(q, state, lambda _, force=force: force)
    grown = (q * q).sum(-1, keepdims=True) ** 2 - start
    return (grown / (2 * rule.learning_rate**2 * steps))[..., 0]


def network_amplification(learning_rate: float, seed: int) -> np.ndarray:
    """The same quotient for each filter of the digits network without weight decay, after the first 100 steps.

    Returns:
        (momentum, layer), the median over the filters of a layer.
    """
    base = _base(learning_rate).replace(seed=seed)
    members = [base.replace(momentum=beta, learning_rate=learning_rate * (1 - beta)) for beta in NETWORK_MOMENTA]
    quotient, layers = _quotients(members)
    return np.stack([np.median(quotient[:, layers == name], axis=1) for name in dict.fromkeys(layers)], axis=1)


def _base(learning_rate: float) -> Experiment:
    return Experiment(weight_decay=0.0, steps=300, width=0.5, learning_rate=learning_rate)


def _quotients(members: list[Experiment]) -> tuple[np.ndarray, np.ndarray]:
    """(r⁴(T) - r⁴(100))/(2 eta² sum |g^|²) of each filter after the first 100 steps, (member, filter); its layer."""
    record, first = measure_filters(members), 100
    squared = squared_norms(record)
    unit = (record["squared_gradient"] * record["squared_norm"]).isel(step=slice(first, None)).sum("step").values
    rates = np.array([member.learning_rate for member in members])[:, None]
    quotient = (squared[:, -1] ** 2 - squared[:, first] ** 2) / (2 * rates**2 * unit)
    return quotient, record["layer"].values


def correlation_sum(momentum, correlation):
    """chi = sum over all integers j of beta^|j| c^|j| = (1 + beta c)/(1 - beta c)."""
    return (1 + momentum * correlation) / (1 - momentum * correlation)


def prediction(momentum, correlation):
    """chi/(1 - beta)²; for smooth gradients, c = 1, the paper's (1 + beta)/(1 - beta)³."""
    if correlation == 1:
        return momentum_amplification(momentum)
    return correlation_sum(momentum, correlation) / (1 - momentum) ** 2


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
        above.annotate(name, (1 / (1 - momentum[at]), measured[at]), shifts[index], textcoords="offset points",
                       color=color, ha=side)  # fmt: skip
        below.plot(1 / (1 - momentum), measured / prediction(momentum, correlation), "osD"[index], color=color,
                   linestyle="-", linewidth=0.8, markersize=4)  # fmt: skip
    x = np.repeat(1 / (1 - data["network_momentum"].values), data.sizes["layer"])
    above.plot(x, data["network"].values.ravel(), "x", color=COLOR["constrained"], markersize=5)
    at = 2
    above.annotate("network, mini-batches", (x[3 * at], data["network"].values[at].min()), (10, -24),
                   textcoords="offset points", color=COLOR["constrained"])  # fmt: skip
    above.set(xscale="log", yscale="log", ylabel="amplification of the growth of $r^4$")
    below.axhline(1, **predicted())
    below.set(xscale="log", xlabel="steps that momentum remembers, $1/(1-\\beta)$", ylabel="measured /\npredicted",
              ylim=(0.85, 1.15))  # fmt: skip
    marks = [1, 2, 5, 10, 20, 50]
    below.set_xticks(marks, [str(mark) for mark in marks])
    below.minorticks_off()
    return figure


def at_nine_tenths(data: xr.Dataset) -> dict[str, float]:
    """Measured amplification at beta = 0.9: smooth, white, and the layers' median in the network."""
    return {
        "smooth": float(data["model"].sel(momentum=0.9, correlation=1.0)),
        "white": float(data["model"].sel(momentum=0.9, correlation=0.0)),
        "network": float(data["network"].sel(network_momentum=0.9).median()),
    }


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    found = at_nine_tenths(data)
    low, high = float(data["network"].sel(network_momentum=0.9).min()), float(
        data["network"].sel(network_momentum=0.9).max()
    )  # fmt: skip
    return (
        "Momentum amplifies the growth of norms, by how much depends on how long gradients stay the same. **Top:** the "
        "growth of $r^4$ in units of what gradient descent at the same $\\eta$ would give. Dots: measured in a model "
        f"with {SIZE} coordinates, for smooth, white and partly correlated gradients; dashed, predicted: "
        "$(1+\\beta)/(1-\\beta)^3$, $1/(1-\\beta)^2$, and $\\chi/(1-\\beta)^2$ between them. At $\\beta = 0.9$ the "
        f"measured factors are {found['smooth']:.0f} and {found['white']:.0f}. Crosses: the three layers of a "
        f"batch-normalized network trained with mini-batches, medians over their filters; {low:.0f} to {high:.0f} at "
        "$\\beta = 0.9$. **Bottom:** the model over its prediction."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    found, shares = at_nine_tenths(data), []
    for correlation in CORRELATIONS:
        shares.append(data["model"].sel(correlation=correlation) / prediction(data["momentum"], correlation))
    shares = np.array(shares)
    return (
        "Amplification over one over one minus beta, both logarithmic. Three rows of dots rise along dashed curves: "
        f"at beta 0.9 they reach {found['white']:.0f} for white noise and {found['smooth']:.0f} for smooth gradients, "
        f"with one row between. Crosses from a network lie at {found['network']:.0f}. Below, measured over predicted "
        f"is {shares.min():.2f} to {shares.max():.2f}."
    )
