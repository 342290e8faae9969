"""Panels that compare runs whose norms are free with runs whose norms are held, over the values of a sweep."""

import numpy as np

from nld.figures._render.labels import even_ticks, label_panel
from nld.figures._render.style import COLOR

MARKS = {"unconstrained": ("o", "●"), "constrained": ("s", "■")}  # norms of filters free, and held: marker and sign


def name_modes(axes, left: float = 0.03, apart: float = 0.1, top: float = 0.14) -> None:
    """The two marks with their names, in the lower left unless told otherwise."""
    for mode, (name, (_, sign)) in enumerate(MARKS.items()):
        label_panel(axes, f"{sign} {name}", left, top - apart * mode, color=COLOR[name])


def draw_accuracy(axes, values: np.ndarray, accuracy: np.ndarray, diverged: np.ndarray) -> None:
    """Final accuracies over a sweep: means and ranges over seeds, with crosses where a run diverged.

    Args:
        values: of the sweep, in their order.
        accuracy, diverged: of each run, shape (mode, value, seed).
    """
    places = np.arange(len(values))
    for mode, (name, (marker, _)) in enumerate(MARKS.items()):
        samples, color = accuracy[mode], COLOR[name]
        axes.fill_between(places, samples.min(1), samples.max(1), color=color, alpha=0.25, linewidth=0)
        axes.plot(places, samples.mean(1), color=color, marker=marker, markersize=3.5, linewidth=1.2)
        bad = np.argwhere(diverged[mode])
        axes.plot(bad[:, 0], samples[bad[:, 0], bad[:, 1]], "x", color=color, markersize=7, zorder=4)
    even_ticks(axes, values)
