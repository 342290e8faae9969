"""Every counter term adds one order: what a discrete rule does between gradient flow and itself, term by term.

Iterates are compared with their slow flow, gradient flow plus counter terms (Barrett and Dherin 2021, Miyagawa 2022;
Kovachki and Stuart 2021 with momentum), mirror descent with its Bregman motion, and the Bregman family with its rates
(Wibisono, Wilson and Jordan 2016).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from nld import learning_rule as rules
from nld.figures.fig_orders import START, gradient
from nld.figures.style import COLOR, new_figure, predicted
from nld.figures.text import power
from nld.learning_rule import LearningRule, iterate
from nld.paper import Claim
from nld.theory import bregman, continuum
from nld.theory.counter_terms import slow_flow, startup_delay, state_on_manifold
from nld.verdict import REFUTED, REPRODUCED, Verdict

RESCALED_TIME = 1.2  # t/mu at which distances are measured
RELAXATIONS = {"quick": (40, 67, 113, 190, 320), "paper": (40, 67, 113, 190, 320, 538)}  # mu times the steps
NETWORK_TIME, NETWORK_STEPS = 4, (40, 80, 160, 320)
ACCELERATED_TIME, ACCELERATED_STEPS = 2.0, (40, 80, 160, 320, 640)
MIRROR_MOMENTUM: Any = 0.5
EXPONENTS = (1.5, 2, 3, 4)
CURVATURES = np.logspace(-4, 0, 41)  # l/w² of the quadratic on which the Bregman family runs
WINDOW = (6, 60)  # clock of p = 2 within which every curvature scale is in play, where exponents are fitted
GROUP_COLOR = {"network": "gradient_descent", "mirror descent": "entropy", "Bregman, p = 2": "nesterov"}
CHAPTER = "book/between-the-steps"

CLAIMS = (
    Claim(
        "implicit-gradient-regularization",
        "Gradient descent follows gradient flow on f + (eta/4)|grad f|^2 to order eta^3 a step, eta^2 in a fixed time.",
        (), "fig-counter-terms", CHAPTER, "barrett2021implicit",
    ),
    Claim(
        "counter-terms-cancel-the-discretization",
        "With counter terms up to eta^(k+1) the equation of motion of gradient descent has an error of eta^(k+2).",
        (), "fig-counter-terms", CHAPTER, "miyagawa2022toward",
    ),
    Claim(
        "momentum-is-a-rescaled-flow",
        "Heavy ball and Nesterov with fixed momentum follow gradient flow at the rate eta/(1 - beta) to order eta.",
        (), "fig-counter-terms", CHAPTER, "kovachki2021continuous",
    ),
    Claim(
        "momentum-has-a-slow-manifold",
        "They are attracted exponentially by a manifold on which they follow gradient flow of a modified loss to order "
        "eta^2.",
        (), "fig-counter-terms", CHAPTER, "kovachki2021continuous",
    ),
    Claim(
        "bregman-rate",
        "Along the motion of an ideally scaled Bregman Lagrangian D_h(q*, q + e^-alpha q') + e^beta (f - f*) never "
        "grows, so the loss falls at least as e^-beta.",
        (), "fig-counter-terms", CHAPTER, "wibisono2016variational",
    ),
    Claim(
        "bregman-time-dilation",
        "All motions of the polynomial family are one curve, travelled at different speeds.",
        (), "fig-counter-terms", CHAPTER, "wibisono2016variational",
    ),
)  # fmt: skip


def compute(profile: str, *, momentum: float = 0.9, seed: int = 0) -> xr.Dataset:
    """Distances of iterates to their flows over the step, by case, and the Bregman family's losses over time.

    Args:
        momentum: beta of heavy ball and Nesterov.
        seed: of the small network and its data.
    """
    cases = [*_network_cases(seed), *_euclidean_cases(profile, momentum), *_mirror_cases(profile), _accelerated_case()]
    longest = max(len(steps) for *_, steps, _ in cases)
    step, error = (
        np.array([[*row, *[np.nan] * (longest - len(row))] for row in rows])
        for rows in zip(*(case[3:] for case in cases), strict=True)
    )
    data = xr.Dataset(
        {
            "error": (("case", "point"), error, {"units": "w", "long_name": "distance of the iterates to the flow"}),
            "step": (
                ("case", "point"),
                step,
                {"units": "w²/l", "long_name": "learning rate over μ² (last case: root)"},
            ),
            "predicted_order": (("case",), [case[2] for case in cases]),
            "group": (("case",), [case[0] for case in cases]),
            "attraction": (("rule",), [_attraction(make(momentum)) for make in (_heavy_ball, _nesterov)]),
        },
        coords={"case": [case[1] for case in cases], "rule": ["heavy ball", "Nesterov"]},
        attrs={"momentum": momentum, "mirror_momentum": MIRROR_MOMENTUM},
    )
    return data.assign(_bregman_family())


def _descent(_momentum) -> Callable[[float], LearningRule]:
    return rules.gradient_descent


def _heavy_ball(momentum) -> Callable[[float], LearningRule]:
    return lambda rate: rules.heavy_ball(rate, momentum)


def _nesterov(momentum) -> Callable[[float], LearningRule]:
    return lambda rate: rules.nesterov(rate, momentum)


def _euclidean_cases(profile: str, momentum: float):
    """(group, label, predicted order, steps, errors) of the three rules on the loss of fig-orders."""
    for group, family in (("gradient descent", _descent), ("heavy ball", _heavy_ball), ("Nesterov", _nesterov)):
        labels = [("gradient flow", 1), ("1 counter term", 2), ("2 counter terms", 3)]
        measured = [distances]
        if family is not _descent:  # without a buffer there is nothing to fill
            labels += [("1 term, empty buffer", 1), ("the same, delay taken off", 2)]
            measured += [cold_distances]
        runs = [_rule_for(family(momentum), relaxations) for relaxations in RELAXATIONS[profile]]
        scale = [rule.learning_rate / rule.friction**2 for rule, _ in runs]
        rows = [[x for measure in measured for x in measure(rule, gradient, START, steps)] for rule, steps in runs]
        for (label, order), error in zip(labels, np.array(rows).T, strict=True):
            yield group, f"{group}: {label}", order, scale, error


def _rule_for(make: Callable[[float], LearningRule], relaxations: float) -> tuple[LearningRule, int]:
    friction = make(1.0).friction
    steps = round(relaxations / friction)
    return make(RESCALED_TIME * friction / steps), steps


def distances(rule: LearningRule, slope, start, steps: int, orders=(0, 1, 2)) -> list[float]:
    """Last iterate of a run that begins on the slow manifold to the flows with so many counter terms."""
    last = iterate(rule, slope, start, steps, state_on_manifold(rule, slope, start)).position[-1]
    end = [0, steps * rule.learning_rate]
    return [float(np.linalg.norm(last - slow_flow(rule, slope, start, end, n).position[-1])) for n in orders]


def cold_distances(rule: LearningRule, slope, start, steps: int) -> list[float]:
    """Last iterate from an empty buffer to the flow with one term, and to the same ``startup_delay`` steps earlier."""
    last, late = iterate(rule, slope, start, steps).position[-1], startup_delay(rule)
    ends = [[0, n * rule.learning_rate] for n in (steps, steps - late)]
    return [float(np.linalg.norm(last - slow_flow(rule, slope, start, end).position[-1])) for end in ends]


def _attraction(make: Callable[[float], LearningRule]) -> float:
    """Factor by which a step shrinks the distance of iterates from an empty buffer to the slow flow they end on."""
    rule, _ = _rule_for(make, 3200)
    count = round(2 / rule.friction)
    fresh = iterate(rule, gradient, START, count).position
    late = startup_delay(rule) * rule.learning_rate
    early = slow_flow(rule, gradient, START, [0, -late], 2).position[-1]
    flow = slow_flow(rule, gradient, early, np.arange(count + 1) * rule.learning_rate, 2).position
    gap = np.linalg.norm(fresh - flow, axis=1)
    return float(np.exp(np.polyfit(np.arange(count + 1), np.log(gap), 1)[0]))


def _network_cases(seed: int):
    """Gradient descent on a small tanh network: full batch, mean squared error."""
    slope, start = network(seed)
    rates = [NETWORK_TIME / n for n in NETWORK_STEPS]
    errors = np.array(
        [distances(rules.gradient_descent(r), slope, start, n) for r, n in zip(rates, NETWORK_STEPS, strict=True)]
    )
    for order, label in enumerate(("gradient flow", "1 counter term", "2 counter terms"), 1):
        yield "network", f"network: {label}", order, rates, errors[:, order - 1]


def network(seed: int) -> tuple[Callable, np.ndarray]:
    """Gradient of the loss of a 3-8-1 tanh network on 32 points, and parameters to start from, shape (41,)."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(32, 3))
    targets = np.sin(inputs.sum(1))

    def slope(q):
        weights, bias, out, shift = q[:24].reshape(8, 3), q[24:32], q[32:40], q[40]
        hidden = np.tanh(inputs @ weights.T + bias)
        error = (hidden @ out + shift - targets) / len(targets)
        back = np.outer(error, out) * (1 - hidden**2)
        return np.concatenate([(back.T @ inputs).ravel(), back.sum(0), hidden.T @ error, [error.sum()]])

    return slope, 0.7 * draw.normal(size=41)


def _mirror_cases(profile: str):
    """Mirror descent with momentum under entropy: natural gradient flow, Table 1's scaling, the ideal one."""
    rows = []
    for relaxations in RELAXATIONS[profile]:
        rule, steps = _rule_for(lambda rate: rules.mirror(rate, rules.entropy, MIRROR_MOMENTUM), relaxations)
        end = [0, steps * rule.learning_rate]
        flows = [continuum.gradient_flow(rule, gradient, START, end)]
        velocity = continuum.fresh_velocity(rule, gradient, START)
        for scaling in (bregman.damped_scaling, bregman.ideal_scaling):
            motion = partial(scaling, rule.mass, rule.friction)
            flows.append(continuum.bregman_flow(rules.entropy, motion, gradient, START, velocity, end))
        last = iterate(rule, gradient, START, steps).position[-1]
        rows.append([rule.learning_rate / rule.friction**2, *(np.linalg.norm(last - x.position[-1]) for x in flows)])
    scale, *errors = np.array(rows).T
    labels = (("natural gradient flow", 1), ("scaling of Table 1", 1), ("ideal scaling", 2))
    for (label, order), error in zip(labels, errors, strict=True):
        yield "mirror descent", f"mirror descent: {label}", order, scale, error


def _accelerated_case():
    """Nesterov's method of 1983, momentum (n - 1)/(n + 2), against the Bregman motion p = 2, where t = n sqrt(eta)."""
    start, roots = np.array(START), ACCELERATED_TIME / np.array(ACCELERATED_STEPS)
    motion = continuum.bregman_flow(
        rules.euclidean, bregman.nesterov_scaling, gradient, start, 0 * start, [1e-6, ACCELERATED_TIME]
    )
    errors = []
    for root, steps in zip(roots, ACCELERATED_STEPS, strict=True):
        before = now = start
        for n in range(1, steps + 1):
            ahead = now + (n - 1) / (n + 2) * (now - before)
            before, now = now, ahead - root**2 * gradient(ahead)
        errors.append(np.linalg.norm(now - motion.position[-1]))
    return "Bregman, p = 2", "Bregman, p = 2: accelerated gradient", 1, roots, errors


def _bregman_family() -> dict:
    """Losses of q'' + (p + 1)/t q' + p² t^{p-2}/4 f' = 0 from rest, read at times with equal clocks t^p."""
    clock = np.geomspace(0.01, 100, 301)
    start, constant = np.ones_like(CURVATURES), 0.25
    times, losses, energies, positions = [], [], [], []
    for p in EXPONENTS:
        time = clock ** (2 / p)
        scaling = partial(bregman.polynomial_scaling, p, constant)
        path = continuum.bregman_flow(rules.euclidean, scaling, lambda q: CURVATURES * q, start, 0 * start, time)
        loss = (CURVATURES * path.position**2).sum(1) / 2
        velocity: Any = path.velocity
        ahead = path.position + velocity * time[:, None] / p
        times.append(time)
        losses.append(loss)
        energies.append((ahead**2).sum(1) / 2 + constant * time**p * loss)
        positions.append(path.position)
    energy, loss, time = np.array(energies), np.array(losses), np.array(times)
    powers = np.array(EXPONENTS)[:, None]
    same = np.abs(np.array(positions) - positions[EXPONENTS.index(2)])
    return {
        "exponent": ("exponent", list(EXPONENTS)),
        "time": (("exponent", "moment"), time, {"units": "w/√l", "long_name": "time of the Bregman motion"}),
        "loss": (("exponent", "moment"), loss, {"units": "l", "long_name": "loss above its minimum"}),
        "energy_growth": (("exponent",), np.diff(energy).max(1) / energy[:, 0], {"long_name": "largest, relative"}),
        "bound": (
            ("exponent",),
            (constant * time**powers * loss / energy[:, :1]).max(1),
            {"long_name": "C t^p f/E(0)"},
        ),
        "dilation": (("exponent",), same.max((1, 2)), {"units": "w", "long_name": "distance to p = 2, same clock"}),
    }


def orders(data: xr.Dataset) -> np.ndarray:
    """Least-squares slopes of log error over log step, shape (case,)."""
    pairs = zip(data["step"].values, data["error"].values, strict=True)
    return np.array([_slope(*(row[np.isfinite(row)] for row in pair)) for pair in pairs])


def exponents(data: xr.Dataset) -> np.ndarray:
    """Measured p of a loss that falls as t^-p, shape (exponent,)."""
    clock = data["time"].sel(exponent=2).values
    inside = (clock > WINDOW[0]) & (clock < WINDOW[1])
    pairs = zip(data["time"].values, data["loss"].values, strict=True)
    return np.array([-_slope(time[inside], loss[inside]) for time, loss in pairs])


def _slope(x, y) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def judge(data: xr.Dataset) -> list[Verdict]:
    """Measured orders within a quarter of the claimed ones (0.15 for momentum); attraction within 3 %."""
    found = dict(zip(data["case"].values, orders(data), strict=True))

    def rule(claim: str, labels: dict[str, int], tolerance: float, extra: bool = True, also: str = "") -> Verdict:
        holds = extra and all(abs(found[label] - order) < tolerance for label, order in labels.items())
        listed = "; ".join(f"{label} {found[label]:.2f} ({order})" for label, order in labels.items())
        return Verdict(claim, REPRODUCED if holds else REFUTED, f"Measured orders (claimed): {listed}.{also}")

    descent, ball, look = "gradient descent: ", "heavy ball: ", "Nesterov: "
    beta, attraction = data.attrs["momentum"], data["attraction"].values
    growth, bound, dilation = (float(data[name].max()) for name in ("energy_growth", "bound", "dilation"))
    return [
        rule(
            "implicit-gradient-regularization",
            {f"{descent}1 counter term": 2, "network: 1 counter term": 2, f"{descent}gradient flow": 1},
            0.2,
        ),
        rule(
            "counter-terms-cancel-the-discretization",
            {f"{descent}gradient flow": 1, f"{descent}1 counter term": 2, f"{descent}2 counter terms": 3},
            0.25,
        ),
        rule("momentum-is-a-rescaled-flow", {f"{ball}gradient flow": 1, f"{look}gradient flow": 1}, 0.15),
        rule(
            "momentum-has-a-slow-manifold",
            {f"{ball}1 counter term": 2, f"{look}1 counter term": 2},
            0.15,
            bool(np.abs(attraction / beta - 1).max() < 0.03),
            f" The distance to the manifold shrinks by {attraction[0]:.3f} and {attraction[1]:.3f} a step; "
            f"beta is {beta:g}.",
        ),
        Verdict(
            "bregman-rate",
            REPRODUCED if growth <= 1e-8 and bound <= 1 else REFUTED,
            f"Largest relative growth of the energy in a step {growth:.0e}; largest C t^p f/E(0) {bound:.2f}.",
        ),
        Verdict(
            "bregman-time-dilation",
            REPRODUCED if dilation < 1e-8 else REFUTED,
            f"Motions of p = {', '.join(f'{p:g}' for p in data['exponent'].values)} at equal t^p differ by at most "
            f"{dilation:.0e} w.",
        ),
    ]


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    found = dict(zip(data["case"].values, orders(data), strict=True))

    def of(label: str) -> str:
        values = sorted(found[f"{rule}: {label}"] for rule in ("heavy ball", "Nesterov"))
        return " and ".join(f"{x:.2f}" for x in values)

    descent = [found[f"gradient descent: {x}"] for x in ("gradient flow", "1 counter term", "2 counter terms")]
    net = [found[f"network: {x}"] for x in ("gradient flow", "1 counter term", "2 counter terms")]
    error = data["error"].sel(case="heavy ball: gradient flow").values
    better = data["error"].sel(case="heavy ball: 2 counter terms").values
    return {
        "descent-orders": ", ".join(f"{x:.2f}" for x in descent),
        "network-orders": ", ".join(f"{x:.2f}" for x in net),
        "cold-orders": of("1 term, empty buffer"),
        "delayed-orders": of("the same, delay taken off"),
        "damped-order": f"{found['mirror descent: scaling of Table 1']:.2f}",
        "ideal-order": f"{found['mirror descent: ideal scaling']:.2f}",
        "accelerated-order": f"{found['Bregman, p = 2: accelerated gradient']:.2f}",
        "finest-gain": power((error / better)[np.isfinite(error)][-1]),
        "attraction": f"{float(data['attraction'][0]):.3f}",
        "exponents": ", ".join(f"{x:.2f}" for x in exponents(data)),
        "dilation": power(data["dilation"].max()),
        "energy-growth": power(data["energy_growth"].max()),
        "bound": f"{float(data['bound'].max()):.2f}",
        "furthest-order": f"{np.abs(orders(data) - data['predicted_order'].values).max():.2f}",
    }


def draw(data: xr.Dataset):
    """Errors of heavy ball and losses of the Bregman family on the left, all measured orders on the right."""
    figure, _ = new_figure(size=(6.4, 5.9))
    figure.clear()
    axes = figure.subplot_mosaic([["errors", "orders"], ["losses", "orders"]], width_ratios=[1, 0.62])
    _draw_errors(data, axes["errors"])
    _draw_losses(data, axes["losses"])
    _draw_orders(data, axes["orders"])
    return figure


def _draw_errors(data, axes) -> None:
    color = COLOR["heavy_ball"]
    labels = {
        "gradient flow": ("gradient flow", (-4, 8)),
        "1 counter term": ("+ 1 counter term", (-4, 8)),
        "2 counter terms": ("+ 2 counter terms", (4, -12)),
    }
    for case, (label, shift) in labels.items():
        chosen = data.sel(case=f"heavy ball: {case}")
        step, error, order = chosen["step"].values, chosen["error"].values, int(chosen["predicted_order"])
        inside = np.isfinite(step)
        step, error = step[inside], error[inside]
        axes.plot(step, error, "o", color=color, markersize=4.5)
        axes.plot(step, error[-1] * (step / step[-1]) ** order, **predicted())
        right = shift[1] < 0
        axes.annotate(
            label, (step[2], error[2]), shift, textcoords="offset points", color=color, fontsize=8,
            ha="left" if right else "right",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", ylabel="distance to the iterates [w]")
    axes.set_xlabel("learning rate $\\eta/(1-\\beta)^2$ [w²/l]")
    ticks = [0.005, 0.01, 0.02]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.set_title("(a) heavy ball and its flows")


def _draw_losses(data, axes) -> None:
    color = COLOR["nesterov"]
    for p, time, loss in zip(data["exponent"].values, data["time"].values, data["loss"].values, strict=True):
        late = time > 0.3
        axes.plot(time[late], loss[late], color=color, linewidth=1.3)
        inside = (time**p > WINDOW[0] ** 2) & (time**p < WINDOW[1] ** 2)
        middle = np.exp(np.log(loss[inside]).mean()) * np.exp(np.log(time[inside]).mean()) ** p
        axes.plot(time[inside], middle * time[inside] ** -p, **predicted())
        side, shift = ("right", 3) if p == 4 else ("left", -3)
        axes.annotate(
            f"$p$ = {p:g}", (time[-1], loss[-1]), (shift, -10), textcoords="offset points", color=color, ha=side, size=8
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(0.3, 1500),
        ylim=(2e-4, 5),
        xlabel="time $t$ [w/√l]",
        ylabel="loss $f - f^*$ [l]",
    )
    axes.set_title("(b) the Bregman family falls as $t^{-p}$")


def _draw_orders(data, axes) -> None:
    names, found = [], orders(data)
    groups = [str(group) for group in data["group"].values]
    row, place = 0.0, []
    for index, group in enumerate(groups):
        if index == 0 or group != groups[index - 1]:
            row += 1.0 if index else 0.0
            shown = {"network": "gradient descent, network"}.get(group, group)
            axes.text(
                -0.03, row, shown, transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold", size=8
            )
            row += 1
        place.append(row)
        names.append(str(data["case"].values[index]).split(": ")[1])
        row += 1
    for y, order, value, group in zip(place, data["predicted_order"].values, found, groups, strict=True):
        axes.plot([order, order], [y - 0.42, y + 0.42], **predicted(linestyle="-", linewidth=1.6))
        color = COLOR[GROUP_COLOR.get(group, group.lower().replace(" ", "_"))]
        axes.plot(value, y, "o", color=color, markersize=5)
    axes.set_yticks(place, names)
    axes.set(ylim=(row - 0.3, -0.7), xlim=(0.6, 3.4), xticks=[1, 2, 3], xlabel="order: dot measured,\nbar predicted")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#999999", alpha=0.25, linewidth=0.6)
    axes.set_title("(c) all rules", x=-0.6)


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    text, mirror = numbers(data), data.attrs["mirror_momentum"]
    return (
        "Every counter term adds one order of accuracy, for every rule. **(a)** Distance between heavy ball "
        f"($\\beta = {data.attrs['momentum']:g}$) and flows with no, one and two counter terms, at $t/\\mu = "
        f"{RESCALED_TIME:g}$ w²/l; dashed: powers 1, 2 and 3 through the last dot. **(b)** Loss along four members of "
        "the Bregman family, from rest on a quadratic with curvatures over four decades (solid), and $t^{-p}$ "
        f"(dashed); fitted exponents {text['exponents']}. **(c)** Orders measured by such fits as in (a) (dots) and "
        "predicted (bars), for iterates that begin on the slow manifold, or with an empty buffer where it says so; "
        f"the network has 41 parameters, mirror descent the entropy's geometry and momentum {mirror:g}. No measured "
        f"order is further than {text['furthest-order']} from its prediction."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    found, expected = orders(data), data["predicted_order"].values
    groups = {order: found[expected == order] for order in np.unique(expected)}
    listed = "; ".join(f"{len(x)} near {order}, {x.min():.2f} to {x.max():.2f}" for order, x in groups.items())
    return (
        "Three panels. Top left: errors of heavy ball over the learning rate on logarithmic axes, three straight lines "
        "that get steeper with each counter term. Right: a column of dots on bars, measured and predicted orders of "
        f"{len(found)} comparisons: {listed}. Bottom left: four falling losses over time, the steeper the larger p, "
        f"with exponents {', '.join(f'{x:.2f}' for x in exponents(data))}."
    )
