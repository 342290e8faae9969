"""How many conservation laws, under which flow; what momentum keeps, and how what it loses moves.

Counts of Marcotte, Gribonval and Peyré (2023, 2024, 2025), for networks whose symmetries the finder lists.
"""

import numpy as np
import xarray as xr
from scipy.integrate import cumulative_simpson

from nld.experiment.studies import factorization, law_counts
from nld.figures._render.labels import label_point
from nld.figures._render.style import COLOR, new_mosaic, predicted
from nld.figures._render.text import power_above
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

PLACE = ((), "fig-law-counts", "book/how-many-conservation-laws")
CLAIMS = (
    Claim("linear-laws-are-counted", "Two linear layers with $r$ hidden units, few beside the widths, conserve "
          "$r(r+1)/2$ functions under gradient flow and $r(r-1)/2$ with momentum.", *PLACE, "marcotte2024keep"),
    Claim("relu-keeps-no-law-under-momentum", "Two layers with ReLU conserve one function a hidden unit under gradient "
          "flow and none with momentum.", *PLACE, "marcotte2024keep"),
    Claim("momentum-conserves-a-skew-charge", r"With momentum $e^{\tau t}(q^{\mathsf T}\dot q-\dot q^{\mathsf T}q)$ of "
          "the hidden units is conserved, and the law of gradient flow is not.", *PLACE, "marcotte2024keep"),
    Claim("symmetries-explain-all-laws", "Linear and ReLU networks have no conservation laws beyond the known ones.",
          *PLACE, "marcotte2023abide"),
    Claim("skips-change-no-count", "A skip connection leaves the number of laws of a block unchanged.", *PLACE,
          "marcotte2025transformative"),
)  # fmt: skip
PAIRS = [(n, m, r) for n, m in ((2, 2), (3, 2)) for r in (1, 2, 3)]
SIZES, END, STEPS, BETA = (3, 2, 2), 8.0, (0.01, 0.005), 0.9
RATES = (0.08, 0.04, 0.02, 0.01)
ROUNDING = ("residual_in_steps", "drift", "empty_buffer")


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Counts by architecture and flow, and charges of two linear layers with momentum; one size for both profiles.

    Args:
        seed: of weights, inputs and targets.
    """
    counts = [law_counts.laws(made, seed=seed) for made in law_counts.ARCHITECTURES.values()]
    pairs = [[int(law_counts.linear_pair(*sizes, flow, seed)) for flow in law_counts.FLOWS[:2]] for sizes in PAIRS]
    data = xr.Dataset(
        {
            "count": (("architecture", "flow"), [[int(c) for c in row.values()] for row in counts]),
            "known": (("architecture", "flow"), [[c.known for c in row.values()] for row in counts]),
            "pair_count": (("pair", "pair_flow"), pairs),
        },
        coords={
            "architecture": list(law_counts.ARCHITECTURES),
            "flow": list(law_counts.FLOWS),
            "pair": [str(sizes) for sizes in PAIRS],
            "pair_flow": list(law_counts.FLOWS[:2]),
        },
        attrs={"seed": seed},
    )
    return data.assign(_along_the_flow(seed)).assign(_in_steps(seed))


def _along_the_flow(seed: int) -> dict:
    """The charges of momentum flow from a velocity: kept, lost, and the lost one predicted from the speeds."""
    n, m, r = SIZES
    goal, (q, v) = factorization.target(seed, n, m), factorization.start(seed, n, m, r)
    paths = [factorization.flow(q, v, goal, END, step) for step in STEPS]
    drift = [np.abs(_kept(path) / _kept(path)[0] - 1).max() for path in paths]
    path, sign = paths[-1], np.repeat([1.0, -1.0], [n, m])[:, None]
    lost = (sign * path.position**2).sum((1, 2))
    # d/dt (e^{tau t} C') = 2 e^{tau t} |v|^2 with signs, for C = |U|^2 - |V|^2
    grow, t = np.exp(factorization.FRICTION * path.time), path.time
    source = cumulative_simpson(2 * grow * (sign * path.velocity**2).sum((1, 2)), x=t, initial=0)
    rate = (2 * (sign * q * v).sum() + source) / grow
    foreseen = lost[0] + cumulative_simpson(rate, x=t, initial=0)
    every = slice(None, None, 16)
    return {
        "lost": ("time", lost[every]),
        "lost_predicted": ("time", foreseen[every]),
        "skew": ("time", path.antisymmetric[every, 0, 1]),
        "time": ("time", t[every], {"units": "w/√ℓ"}),
        "drift": ("integrator_step", drift),
    }


def _kept(path: factorization.Path) -> np.ndarray:
    return np.exp(factorization.FRICTION * path.time) * path.antisymmetric[:, 0, 1]


def _in_steps(seed: int) -> dict:
    """Heavy ball on noisy targets: what J_n = beta J_{n-1} leaves, by learning rate, also from an empty buffer."""
    n, m, r = SIZES
    goal, (q, v) = factorization.target(seed, n, m), factorization.start(seed, n, m, r)
    errors, empty, moved = [], [], []
    for rate in RATES:
        steps = round(END / rate)
        path = factorization.heavy_ball(q, v, goal, rate, BETA, steps, seed)
        charge = path.antisymmetric[:, 0, 1]
        size = np.abs(path.position.mT @ path.velocity).max((1, 2))
        errors.append(np.abs((charge[1:] - BETA * charge[:-1]) / size[1:]).max())
        still = factorization.heavy_ball(q, 0 * v, goal, rate, BETA, steps, seed).antisymmetric
        empty.append(np.abs(still).max())
        plain = factorization.heavy_ball(q, 0 * v, goal, rate, 0.0, steps, seed)
        balance = (plain.position[:, :n] ** 2).sum((1, 2)) - (plain.position[:, n:] ** 2).sum((1, 2))
        moved.append(abs(balance[-1] - balance[0]))
    names = {"residual_in_steps": errors, "empty_buffer": empty, "gradient_descent_drift": moved}
    return {name: ("rate", values) for name, values in names.items()} | {"rate": ("rate", list(RATES))}


def judge(data: xr.Dataset) -> list[Verdict]:
    """Counts must be equal; the kept charge moves by the integrator's error, of order four."""
    told, count = numbers(data), data["count"]
    closed = np.array([[r * (r + 1) // 2, r * (r - 1) // 2] for _, _, r in PAIRS])
    pairs = data["pair_count"].values == closed
    relu = count.sel(architecture="ReLU")
    skips = [name for name in data["architecture"].values if str(name).endswith(", skip")]
    without = [str(name).removesuffix(", skip") for name in skips]
    gradient = count.sel(flow="gradient")
    drift = data["drift"].values
    lost = data["lost"].values
    exact = bool((data["known"] == count).all())
    equal = bool((gradient.sel(architecture=skips).values == gradient.sel(architecture=without).values).all())
    return rule([
        Evidence("linear-laws-are-counted", f"{told['pairs-right']} counts of {pairs.size} equal the closed forms.",
                 checks={"gradient": bool(pairs[:, 0].all()), "momentum": bool(pairs[:, 1].all())}),
        Evidence("relu-keeps-no-law-under-momentum", f"Counts {told['relu']} for two hidden units.",
                 checks={"gradient": int(relu.sel(flow="gradient")) == 2,
                         "momentum": int(relu.sel(flow="momentum")) == 0}),
        Evidence("momentum-conserves-a-skew-charge",
                 f"It moves by {told['drift']} of its value; halving the integrator's step divides that by "
                 f"{told['ratio']}. The law of gradient flow moves by {told['lost']}.",
                 checks={"kept": bool(drift[-1] < 1e-8 and 12 < drift[0] / drift[-1] < 20),
                         "lost": bool(np.abs(lost - lost[0]).max() > 0.1)}),
        Evidence("symmetries-explain-all-laws", f"Lower and upper bound meet in {told['complete']} cases.",
                 checks={"bounds meet": exact}),
        Evidence("skips-change-no-count", f"{len(skips)} blocks with and without a skip connection.",
                 checks={"equal": equal}),
    ])  # fmt: skip


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    closed = np.array([[r * (r + 1) // 2, r * (r - 1) // 2] for _, _, r in PAIRS])
    complete, lost, drift = (data["known"] == data["count"]).values, data["lost"].values, data["drift"].values
    moved = data["gradient_descent_drift"].values
    return {
        "pairs-right": str(int((data["pair_count"].values == closed).sum())),
        "relu": ", ".join(str(int(x)) for x in data["count"].sel(architecture="ReLU")),
        "complete": f"{int(complete.sum())} of {complete.size}",
        "drift": power_above(drift[-1]),
        "ratio": f"{drift[0] / drift[-1]:.1f}",
        "lost": f"{np.abs(lost - lost[0]).max():.2f} w²",
        "foreseen": power_above(np.abs(data["lost_predicted"].values - lost).max()),
        "in-steps": power_above(data["residual_in_steps"].values.max()),
        "empty": power_above(data["empty_buffer"].values.max()) if data["empty_buffer"].values.any() else "0",
        "order": f"{np.polyfit(np.log(RATES), np.log(moved), 1)[0]:.2f}",
        "skew-falls": f"{abs(float(data['skew'][0] / data['skew'][-1])):.0f}",
    }


def draw(data: xr.Dataset):
    """The table of counts on the left; the lost and the kept charge over time on the right."""
    figure, axes = new_mosaic([["table", "lost"], ["table", "kept"]], (6.4, 4.6), width_ratios=[1, 0.85])
    _draw_table(data, axes["table"])
    t, lost = data["time"].values, data["lost"].values
    axes["lost"].plot(t, lost, color=COLOR["rescale"], linewidth=3, alpha=0.75)
    axes["lost"].plot(t, data["lost_predicted"].values, **predicted(linewidth=0.9))
    axes["lost"].axhline(lost[0], color="#888888", linestyle=":", linewidth=1.4)
    axes["lost"].set(ylabel="$\\|U\\|^2 - \\|V\\|^2$ [w²]", xticklabels=[])
    axes["lost"].set_title("(b) lost with momentum")
    skew = np.abs(data["skew"].values)
    axes["kept"].plot(t, skew, color=COLOR["rotation"], linewidth=3, alpha=0.75)
    axes["kept"].plot(t, skew[0] * np.exp(-factorization.FRICTION * t), **predicted(linewidth=0.9))
    axes["kept"].set(yscale="log", ylabel="$|J_{12}|$ [w√ℓ]", xlabel="time $t$ [w/√ℓ]")
    label_point(axes["kept"], "$\\propto e^{-\\tau t}$", (t[len(t) // 2], skew[len(t) // 2]), (6, 6))
    axes["kept"].set_title("(c) kept: a rotation")
    return figure


def _draw_table(data, axes) -> None:
    names, flows = [str(x) for x in data["architecture"].values], [str(x) for x in data["flow"].values]
    for row in range(len(names)):
        for column, flow in enumerate(flows):
            count, known = (int(data[name].values[row, column]) for name in ("count", "known"))
            color = COLOR[{"gradient": "gradient_descent", "momentum": "heavy_ball", "mirror": "entropy"}[flow]]
            axes.scatter(column, row, s=190 if count else 0, color=color, alpha=0.35, linewidth=0)
            axes.text(column, row, f"{count}{'' if count == known else '+'}", ha="center", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(flows)), flows)
    axes.set(xlim=(-0.6, len(flows) - 0.4), ylim=(len(names) - 0.4, -0.6))
    axes.tick_params(length=0)
    axes.set_title("(a) conservation laws")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Momentum loses the laws that belong to a scaling and keeps those that belong to a rotation. **(a)** Number of "
        "independent conservation laws of small networks, for every data set and loss, under gradient flow, momentum "
        "and a mirror flow with the entropy's metric; a + would mark laws that no symmetry in the finder's list "
        f"explains (lower and upper bound meet in {told['complete']} cases). **(b)** Two linear layers with momentum: "
        f"what gradient flow conserves (dotted) moves by {told['lost']}, as its law of motion says from the speeds "
        f"(dashed). **(c)** In the same run $J = q^{{\\mathsf T}}\\dot q - \\dot q^{{\\mathsf T}} q$ decays as "
        f"$e^{{-\\tau t}}$ (dashed): $e^{{\\tau t}}J$ is constant within {told['drift']} of its value."
    )


def alt(data: xr.Dataset) -> str:
    told, names = numbers(data), data["architecture"].values
    rows = "; ".join(
        f"{name} {', '.join(str(int(x)) for x in data['count'].values[i])}" for i, name in enumerate(names)
    )
    return (
        f"Three panels. Left, a table of counts under gradient, momentum and mirror flow: {rows}. Top right, a charge "
        f"that starts on a dotted level and leaves it by {told['lost']}, on its dashed prediction. Bottom right, on a "
        f"logarithmic axis, a charge that falls {told['skew-falls']}-fold along a straight dashed line."
    )
