"""The pictures of a monitor's report, from its record: books, norms, rates and angles."""

import tempfile
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nld.figures._render.style import predicted, save
from nld.monitor.diagnosis import equilibrium_step
from nld.monitor.finding import Recorded, tolerance
from nld.monitor.velocity import follows_momentum, moved_share

COLORS = [f"C{i}" for i in range(6)]  # one a line; more layers are thinned out evenly
POINTS = 600  # points of a line


def _thin(record: Recorded) -> Recorded:
    steps = record.sizes["step"]
    return record.isel(step=np.unique(np.linspace(0, steps - 1, min(steps, POINTS)).astype(int)))


def _short(name: str, most: int = 44) -> str:
    """A name with its middle left out where it would leave no room for the picture."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2) :]}"


def _few(record: Recorded, chosen: xr.DataArray) -> Recorded:
    """The chosen blocks, at most as many as there are COLORS."""
    places = np.flatnonzero(chosen.values)
    some = np.unique(np.linspace(0, len(places) - 1, min(len(places), len(COLORS))).astype(int))
    return record.isel(block=places[some])


def _scale(record: xr.Dataset) -> xr.Dataset:
    """Scale blocks."""
    return _few(record, record.kind == "scale")


def _over_steps(record: xr.Dataset | xr.DataArray, lines: list[tuple[str, np.ndarray, str]], label: str) -> Figure:
    """Lines on a logarithmic axis with their names at the right end; names that would overlap are moved apart."""
    figure = Figure(figsize=(6.4, 3.2))
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(*_limits([line for _, line, _ in lines]))
    axes.margins(x=0)
    ends = []
    for name, line, color in lines:
        finite = line[np.isfinite(line) & (line > 0)]
        if finite.size:
            axes.plot(record.step, line, **({"color": color, "linewidth": 1.3} if color in COLORS else predicted()))
            ends.append((float(finite[-1]), name, color))
    low, high = np.log10(axes.get_ylim())
    position = -np.inf
    for value, name, color in sorted(ends):
        position = max((np.log10(value) - low) / (high - low), position + 0.075)
        axes.annotate(_short(name), (1.015, position), xycoords="axes fraction", color=color, fontsize=8, va="center")
    axes.set_xlabel("step $n$")
    axes.set_ylabel(label)
    return figure


def draw_books(record: xr.Dataset) -> Figure:
    """Relative residual of every block against the step: median over units, and the worst unit."""
    record = _thin(record)
    worst = record.relative_residual.max("unit").max("block").where(lambda v: v > 0)
    median = record.relative_residual.median("unit").median("block").where(lambda v: v > 0)
    allowed = worst * 0 + tolerance(record)
    lines = [("worst unit", worst.values, "C1"), ("median unit", median.values, "C0")]
    lines.append(("tolerance", allowed.values, mpl.rcParams["text.color"]))
    return _over_steps(record, lines, r"$|$residual$|\,/\,|\pi||A(q)|$")


def draw_terms(record: xr.Dataset) -> Figure:
    """How much of each charge's motion is dissipation, kinetic symmetry breaking and weight decay."""
    over = ["step", "unit"]
    names = ("dissipation", "kinetic_symmetry_breaking", "weight_decay_term", "residual")
    sizes = {name: abs(record[name]).sum(over).values for name in names}
    total = sum(sizes.values())
    blocks = record.sizes["block"]
    figure = Figure(figsize=(6.4, 0.8 + 0.24 * blocks))
    axes = figure.add_subplot()
    # A charge that nothing moves has a share of rounding errors only: that is no share of anything.
    balanced = (record.relative_residual.max(["step", "unit"]) <= tolerance(record)).values
    still = balanced & (sizes["residual"] >= 0.5 * total)
    for block in np.flatnonzero(still).tolist():
        axes.text(0.01, block, "charge does not move", fontsize=7, va="center")
    left = np.zeros(blocks)
    for name, color in zip(names, ("C0", "C1", "C2", "#888888"), strict=True):
        share = np.divide(sizes[name], total, out=np.zeros(blocks), where=~still & (total > 0))
        axes.barh(range(blocks), share, left=left, color=color, label=name.replace("_", " ").removesuffix(" term"))
        left += share
    kinds = [str(kind).replace("_", " ") for kind in record.kind.values]
    names = [f"{_short(str(name))} ({kind})" for name, kind in zip(record.block.values, kinds, strict=True)]
    axes.set_yticks(range(blocks), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the charge's motion")
    figure.legend(loc="outside upper center", ncols=4, columnspacing=1.0, handlelength=1.0)
    return figure


def _draw_medians(name: str, label: str, record: xr.Dataset) -> Figure:
    """A positive quantity of each scale-invariant layer against the step, median over its units."""
    record = _thin(_scale(record))
    return _over_steps(record, _of_blocks(record, record[name].median("unit")), label)


def draw_velocity(record: xr.Dataset) -> Figure:
    """By how much the velocity along its symmetry moves each block in a step, mean over units."""
    moved = moved_share(record)
    moved = _thin(_few(moved, _has_velocity(record, moved)))
    return _over_steps(moved, _of_blocks(moved, moved), r"velocity along the symmetry $2\eta\,|V|/|q|^2$  (1)")


def _has_velocity(record: xr.Dataset, moved: xr.DataArray) -> xr.DataArray:
    """Blocks whose velocity is known and is not minus the charge of the books, (block,)."""
    return (moved > 0).any("step") & ~follows_momentum(record)


def draw_angles(record: xr.Dataset) -> Figure:
    """Angular step of each layer's filters against the equilibrium value."""
    record = _thin(_scale(record))
    # Angles scatter from step to step: show a running root mean square over a fortieth of the run.
    window = max(record.sizes["step"] // 40, 1)
    squared = (record.angular_step**2).mean("unit").rolling(step=window, min_periods=1).mean()
    found = [line for line in np.unique(equilibrium_step(record).values.T, axis=0) if np.isfinite(line).any()]
    predictions = [("equilibrium", line, mpl.rcParams["text.color"]) for line in found]
    lines = [*_of_blocks(record, np.sqrt(squared)), *predictions]
    return _over_steps(record, lines, "angular step, r.m.s. over units  (rad)")


def _of_blocks(record: xr.Dataset | xr.DataArray, values: xr.DataArray) -> list[tuple[str, np.ndarray, str]]:
    """Name, line and colour of each block."""
    names = record.block.values
    return [(str(name), values.sel(block=name).values, color) for name, color in zip(names, COLORS, strict=False)]


def _limits(lines: list[np.ndarray]) -> tuple[float, float]:
    """Limits of a logarithmic axis around the positive values."""
    values = np.concatenate([line.ravel() for line in lines])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return 0.1, 1.0
    return float(positive.min()) / 1.3, float(positive.max()) * 1.3


PICTURES = {
    "books": (
        draw_books,
        "Are the books balanced? Residual of the exact law over the largest value its charge could have.",
    ),
    "terms": (draw_terms, "What moves each charge: shares of dissipation, kinetic symmetry breaking and weight decay."),
    "velocity": (
        draw_velocity,
        "How far steps go along the symmetries: the velocity, which moves squared norms and their balances.",
    ),
    "norms": (
        partial(_draw_medians, "squared_norm", r"$|q|^2$, median over units  (w$^2$)"),
        "Squared norms of the scale-invariant layers.",
    ),
    "rates": (
        partial(_draw_medians, "effective_learning_rate", r"effective learning rate $\eta/|q|^2$  (1/ℓ)"),
        "The learning rate that each layer's direction really sees.",
    ),
    "angles": (draw_angles, "Angle by which each layer turns a step, and the angle it will turn at equilibrium."),
}
_NEED_SCALE = ("norms", "rates", "angles")


def _caption(name: str, caption: str, record: xr.Dataset) -> str:
    """What a picture shows; of charges also whose they are, since not every rule moves weights by its momentum."""
    if name != "terms" or not record.sizes["block"]:
        return caption
    if bool(follows_momentum(record).all()):
        return f"{caption} Under this rule a charge is minus the velocity along the symmetry."
    caption += " They are the charges of the momentum, or of the gradient where there is none; the steps' velocity "
    return caption + "along the symmetry is another number under this rule."


def pictures(record: xr.Dataset) -> dict[str, tuple[str, str, str]]:
    """All pictures that a record has data for: name to (SVG for light pages, for dark pages, caption)."""
    found = {}
    for name, (draw, caption) in PICTURES.items():
        if name in _NEED_SCALE and not (record.kind == "scale").any():
            continue
        if name == "velocity" and not _has_velocity(record, moved_share(record)).any():
            continue
        with tempfile.TemporaryDirectory() as folder:
            save(draw, record, Path(folder), printed=False)
            light, dark = (Path(folder, f"figure{suffix}.svg").read_text() for suffix in ("", "-dark"))
        found[name] = (light, dark, _caption(name, caption, record))
    return found
