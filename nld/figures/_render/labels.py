"""What is written into a picture: labels beside what they name, and ticks at chosen values."""


def label_point(axes, text: str, place, shift=(0, 0), **properties) -> None:
    """Small text beside a point of the data.

    Args:
        place: the point, in the coordinates of the data.
        shift: from there to the text, in typographic points.
        properties: of matplotlib's text, such as ``color`` and ``ha``.
    """
    axes.annotate(text, place, shift, textcoords="offset points", **{"fontsize": 8, **properties})


def label_panel(axes, text: str, x: float, y: float, **properties) -> None:
    """Small text at a place of the panel, whose lower left corner is (0, 0) and whose upper right one is (1, 1)."""
    axes.text(x, y, text, transform=axes.transAxes, **{"fontsize": 8, **properties})


def ticks_at(axis, values) -> None:
    """Ticks at these values of ``axes.xaxis`` or ``axes.yaxis``, as plain numbers, and at no others between them."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.axes.minorticks_off()


def even_ticks(axes, values) -> None:
    """The values of a sweep at 0, 1, 2 ... along x; their names are turned where they would touch."""
    names = [f"{value:g}" for value in values]
    axes.set_xticks(range(len(values)), names, rotation=60 if len("".join(names)) > 16 else 0)
