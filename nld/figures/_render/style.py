"""How figures look: one grammar of lines and colours, drawn once for light and once for dark pages.

Measured is a coloured solid line or dots, predicted is dashed in the text's colour, a
baseline without symmetry breaking is dotted grey.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from nld.figures._render.compact import compact

STYLE = Path(__file__).with_name("nld.mplstyle")
# What dark pages show in the place of the text's colour, and of the set's blue, its darkest, in which labels are hard
# to read there; what replaces it is not the set's sky blue either.
DARK = {"#222222": "#d8d8d8", "#0072b2": "#4d88ea"}
THUMBNAIL = (480, 300)  # pixels, at most

# One meaning, one colour, through the whole book (Okabe and Ito's colour-blind-safe set).
COLOR = {
    "original": "#0072B2",
    "transformed": "#CC79A7",
    "unconstrained": "#0072B2",
    "constrained": "#D55E00",
    "gradient_descent": "#0072B2",
    "heavy_ball": "#009E73",
    "nesterov": "#56B4E9",
    "adam": "#CC79A7",
    "adamw": "#E69F00",
    "lion": "#D55E00",
    "muon": "#D55E00",
    "sgdp": "#56B4E9",
    "adamp": "#0072B2",
    "rmsprop": "#D55E00",
    "euclidean": "#0072B2",
    "entropy": "#E69F00",
    "burg": "#009E73",
    "translation": "#0072B2",
    "rotation": "#009E73",
    "scale": "#D55E00",
    "rescale": "#CC79A7",
    "general_linear": "#E69F00",
}
BASELINE = {"color": "#888888", "linestyle": ":", "linewidth": 1.4}


def predicted(**changes) -> dict:
    """Line properties of a prediction: dashed, in the colour of the text."""
    return {"color": mpl.rcParams["text.color"], "linestyle": "--", "linewidth": 1.2, **changes}


def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 3.2), **options
) -> tuple[Figure, Any]:
    """A figure and its axes, outside pyplot, so that nothing has to be closed."""
    figure = Figure(figsize=size)
    return figure, figure.subplots(rows, columns, **options)


def new_mosaic(layout: Any, size: tuple[float, float], **options) -> tuple[Figure, dict[str, Any]]:
    """The same with axes by the names that ``layout``, a list of rows, gives them."""
    figure = Figure(figsize=size)
    return figure, figure.subplot_mosaic(layout, **options)


def band(axes, x, samples: np.ndarray, color: str, **line) -> None:
    """Median over the first axis of ``samples`` with the range from minimum to maximum as a band."""
    axes.fill_between(x, samples.min(0), samples.max(0), color=color, alpha=0.25, linewidth=0)
    axes.plot(x, np.median(samples, axis=0), color=color, **line)


def save(draw: Callable[[xr.Dataset], Figure], data: xr.Dataset, folder: Path, printed: bool = True) -> None:
    """Draw and write figure.svg and figure-dark.svg into ``folder``.

    If ``printed``, figure.pdf, figure.png and thumbnail.webp too. The files hold no date and no random identifier:
    equal data give equal bytes. The thumbnail is transparent; dark pages turn its lightness round.
    """
    with mpl.rc_context(fname=str(STYLE)):
        figure = draw(data)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        figure.set_layout_engine("none")  # found once; the other files have the same
        if printed:
            figure.savefig(folder / "figure.pdf", metadata={"CreationDate": None, "Producer": None, "Creator": None})
            figure.savefig(folder / "figure.png", dpi=200, facecolor="white", metadata={"Software": None})
            # Slower settings take fifty times longer to save one byte in a hundred.
            _thumbnail(figure).save(folder / "thumbnail.webp", lossless=True, quality=75, method=4)
    light = dark = drawing.getvalue()
    for old, new in DARK.items():
        dark = dark.replace(old, new)
    (folder / "figure.svg").write_text(compact(light), "utf-8")
    (folder / "figure-dark.svg").write_text(compact(dark), "utf-8")


def _thumbnail(figure: Figure) -> Image.Image:
    width, height = figure.get_size_inches()
    drawing = io.BytesIO()
    figure.savefig(drawing, dpi=min(THUMBNAIL[0] / width, THUMBNAIL[1] / height))
    # Forty colours are enough for lines and labels, and take a fourth of the bytes.
    return Image.open(drawing).quantize(40, method=Image.Quantize.FASTOCTREE).convert("RGBA")
