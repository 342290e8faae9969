"""A compact drawing paints what matplotlib's paints: the same things in order, style and clip, as exactly as seen."""

import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from nld.figures._render.compact import compact, short_path, without_flat
from nld.figures._render.style import STYLE

GENERATOR = np.random.default_rng(0)
WALK = GENERATOR.normal(size=(2, 400)).cumsum(1)
GRID = GENERATOR.normal(size=(6, 6))


def lines(axes):
    axes.plot(*WALK, "--", label="$r^2$")
    axes.step(np.arange(20), WALK[0, :20], color="0.5", linewidth=0.7)
    axes.axhline(0, linestyle=":")
    axes.legend()


def areas(axes):
    axes.fill_between(np.arange(400), *WALK, alpha=0.3, linewidth=0)
    axes.contour(GRID, levels=4)
    axes.axvspan(3, 9, color="C1")


def markers(axes):
    axes.plot(WALK[0, :40], WALK[1, :40], "o", alpha=0.6, markerfacecolor="none")
    axes.scatter(WALK[0, :40], WALK[1, :40], c=np.arange(40), s=np.arange(40))
    axes.errorbar(np.arange(5), WALK[0, :5], WALK[1, :5] ** 2, fmt="s", capsize=2)


def letters(axes):
    axes.set(xscale="log", yscale="log", xlim=(1e-6, 1e2), ylim=(1e-3, 1), xlabel="rate $\\eta$ [w²/l] & <more>")
    axes.text(1, 0.1, "$\\sqrt{\\frac{a}{b + 1}}$", rotation=30, alpha=0.5, bbox={"boxstyle": "round"})
    axes.set_ylabel("two\nlines of  text")


def draw(content) -> str:
    with mpl.rc_context():
        mpl.rcParams.update(dict(mpl.rc_params_from_file(STYLE, use_default_template=False)))
        figure = Figure(figsize=(4, 3))
        content(figure.subplots())
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    return drawing.getvalue()


def painted(text: str) -> list[tuple[dict, np.ndarray | None, np.ndarray]]:
    """Everything that a drawing paints, in order: style, clip (left, top, width, height), and points on the page."""
    root = ElementTree.fromstring(text)
    named = {element.get("id"): element for element in root.iter()}
    found = []

    def visit(element, matrix, style, clip):
        tag = element.tag.rpartition("}")[2]
        if tag in ("defs", "metadata", "style", "clipPath"):
            return
        style = style | dict(re.split(": *", rule) for rule in re.split("; *", element.get("style", "")) if rule)
        if element.get("clip-path"):
            assert clip is None
            (box,) = named[element.get("clip-path")[5:-1]]
            clip = np.array([float(box.get(name)) for name in ("x", "y", "width", "height")])
        for name, values in re.findall(r"(\w+)\(([^)]*)\)", element.get("transform", "")):
            matrix = matrix @ transformation(name, [float(value) for value in values.split()])
        if tag == "use":
            shift = transformation("translate", [float(element.get("x", 0)), float(element.get("y", 0))])
            target = element.get("href") or element.get("{http://www.w3.org/1999/xlink}href")
            visit(named[target[1:]], matrix @ shift, style, clip)
        elif tag == "path" and element.get("d") and not (style.get("fill") == "none" and "stroke" not in style):
            points = vertices(element.get("d"))
            found.append((style, clip, (matrix @ np.vstack([points.T, np.ones(len(points))]))[:2].T))
        for child in element:
            visit(child, matrix, style, clip)

    visit(root, np.eye(3), {"stroke-linejoin": "round", "stroke-linecap": "butt"}, None)
    return found


def transformation(name: str, values: list[float]) -> np.ndarray:
    matrix = np.eye(3)
    if name == "translate":
        matrix[:2, 2] = values
    elif name == "scale":
        matrix[0, 0], matrix[1, 1] = values[0], values[-1]
    else:
        assert name == "rotate"
        cos, sin = np.cos(np.radians(values[0])), np.sin(np.radians(values[0]))
        matrix[:2, :2] = [[cos, -sin], [sin, cos]]
    return matrix


def vertices(path: str) -> np.ndarray:
    """All points of a path, those that bend its curves among them, read command by command."""
    at, start, points = np.zeros(2), np.zeros(2), []
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(number) for number in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", text)]
        if command == "z":
            at = start
            points.append(at)
        elif command in "hv":
            for number in numbers:
                at = at + ([number, 0] if command == "h" else [0, number])
                points.append(at)
        else:
            pairs = np.reshape(numbers, (-1, {"M": 1, "l": 1, "L": 1, "q": 2, "Q": 2, "c": 3, "C": 3}[command], 2))
            for piece in pairs:
                piece = piece + at if command.islower() else piece
                at = piece[-1]
                points += list(piece)
            start = at if command == "M" else start
    return np.array(points)


def distance(points: np.ndarray, line: np.ndarray) -> float:
    """How far the farthest of ``points`` lies from a line through all of ``line``."""
    first, chord = line[:-1], np.diff(line, axis=0)
    away = points[:, None] - first
    along = np.clip((away * chord).sum(-1) / np.maximum((chord**2).sum(-1), 1e-12), 0, 1)
    return float(np.hypot(*np.moveaxis(away - along[..., None] * chord, -1, 0)).min(1).max())


@pytest.mark.parametrize("content", [lines, areas, markers, letters])
def test_a_compact_drawing_paints_the_same_in_fewer_bytes(content):
    text = draw(content)
    short = compact(text)
    assert len(short) < 0.4 * len(text)
    before, after = painted(text), painted(short)
    assert len(before) == len(after) > 20
    seen = 0.045  # pt; a screen of twice the usual density shows 0.375
    for (style, clip, points), (short_style, short_clip, fewer) in zip(before, after, strict=True):
        assert {name: value for name, value in style.items() if name != "stroke-dashoffset"} == {
            name: value for name, value in short_style.items() if name != "stroke-dashoffset"
        }
        assert (clip is None) == (short_clip is None)
        if clip is not None:
            np.testing.assert_allclose(short_clip, clip, atol=0.006)
        assert len(fewer) <= len(points)
        assert distance(points, np.vstack([fewer, fewer[-1:]])) <= seen
        assert distance(fewer, np.vstack([points, points[-1:]])) <= seen


def test_what_stands_in_one_page_keeps_its_own_definitions():
    """Names are hashes of what they name: two drawings share a name only where they mean the same."""
    named: dict[str, str] = {}
    for content in (lines, areas, markers, letters):
        for name, rest in re.findall(r'<path id="(\w+)"([^>]*)>', compact(draw(content))):
            assert named.setdefault(name, rest) == rest
    assert len(named) > 40


@pytest.mark.parametrize("content", [lambda axes: axes.imshow(GRID), lambda axes: axes.bar([1], [2], hatch="//")])
def test_a_drawing_with_more_than_lines_stays_as_it_is(content):
    assert compact(draw(content)) == draw(content)


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 0 0 \nL 0 3.5 \n", "M0 0v3.5"),
        ("M 1.004 2 \nL 2 2 \nL 3 2 \nL 3 0.5 \nz\n", "M1 2h2v-1.5z"),
        ("M 0 0 L 5 5 L 2 2 ", "M0 0l5 5-3-3"),  # a line that runs back keeps its end
        ("M 7 7 L 7 7 ", "M7 7h0"),
        ("M 1 1 L 4 1 L 4 3 z L 2 2 ", "M1 1h3v2zl1 1"),  # what is closed goes on from its start
        ("M 0 0.5 C 0.1 0.5 0.25 0.4 0.5 0 ", "M0 .5c.1 0 .25-.1.5-.5"),
    ],
)
def test_short_paths(path, short):
    assert short_path(path) == short


def test_an_unknown_command_is_refused():
    with pytest.raises(ValueError, match="got 'A'"):
        short_path("M 0 0 A 1 1 0 0 0 2 2")


COORDINATE = st.integers(-500, 500)


@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=30), st.floats(0, 60))
def test_points_are_left_out_only_where_nobody_sees_it(points, flat):
    points = np.array(points)
    kept = without_flat(points, flat)
    assert (kept[[0, -1]] == points[[0, -1]]).all()
    assert {tuple(point) for point in kept} <= {tuple(point) for point in points}
    assert distance(points, kept) <= flat + 1e-9
