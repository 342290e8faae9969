"""The same drawing in fewer bytes: SVG without what matplotlib says twice, or more finely than anybody can see.

Paths lose the points that lie on the line between their neighbours (to ``FLAT``) and are written in steps from point
to point, rounded to a hundredth of a point; outlines of letters, to a 640th of the size of their font. Style and
clipping that neighbours share are said once, on a group; what is invisible is left out. Identifiers are short hashes
of what they name: drawings that stand in one page of HTML cannot mix them up.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from xml.etree import ElementTree

import numpy as np

from nld.errors import InvalidInput

FLAT = 0.03  # pt: a point as near as this to the line between its neighbours is not seen
COARSE = 10  # outlines of letters have 6400 steps to the size of the font: ten times more than needed
SCALE = 0.015625  # from these steps to matplotlib's unit of text, a hundredth of the size of the font
KNOWN = {"svg", "g", "defs", "path", "use", "clipPath", "rect"}
POINTS = {"M": 1, "L": 1, "Q": 2, "C": 3}
NUMBER = r"-?\d+\.?\d*(?:e-?\d+)?"
COMMAND = "A-DF-Za-df-z"  # an e is of a number


@dataclass
class Node:
    """An element of a drawing, its style as a table."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    style: dict[str, str] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)

    def walk(self) -> Iterator["Node"]:
        """All elements, the inner ones first."""
        for child in self.children:
            yield from child.walk()
        yield self

    def __str__(self) -> str:
        style = ";".join(f"{name}:{value}" for name, value in self.style.items())
        attributes = self.attributes | ({"style": style} if style else {})
        text = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        inner = "".join(map(str, self.children))
        return f"<{self.tag}{text}>{inner}</{self.tag}>" if inner else f"<{self.tag}{text}/>"


def compact(text: str) -> str:
    """The drawing ``text``, an SVG that matplotlib wrote with ``svg.fonttype: path``, in fewer bytes.

    A drawing with more than lines, areas and letters (images, hatches) stays as it is.
    """
    root = _read(ElementTree.fromstring(text))
    if not {node.tag for node in root.walk()} <= KNOWN:
        return text
    letters = {node.attributes["id"] for node in root.walk() if node.attributes.get("transform") == f"scale({SCALE})"}
    _round(root, letters)
    shared = _share(root)
    for node in root.walk():
        if node.tag == "use":
            own = shared[node.attributes["href"][1:]].style  # which wins
            node.style = {name: value for name, value in node.style.items() if name not in own}
        node.children = _clipped_once(list(_useful(node.children, shared)), shared)
        _style_once(node)
    for node in root.walk():  # groups whose style has moved further out
        node.children = list(_useful(node.children, shared))
    size = {name: root.attributes[name] for name in ("width", "height", "viewBox")}
    shared = {name: node for name, node in shared.items() if node.attributes.get("d", "M")}
    # matplotlib's rule for all elements would rule the page as well when the drawing stands in it.
    style = {"stroke-linejoin": "round"} | root.style
    drawing = [Node("defs", {}, {}, list(shared.values())), *root.children]
    return str(Node("svg", {"xmlns": "http://www.w3.org/2000/svg"} | size, style, drawing)) + "\n"


def _read(element: ElementTree.Element) -> Node:
    attributes = {name.rpartition("}")[2]: value for name, value in element.items()}
    style = dict(re.split(r":\s*", rule) for rule in re.split(r";\s*", attributes.pop("style", "")) if rule)
    tag = element.tag.rpartition("}")[2]
    if tag == "g":
        attributes.pop("id", None)
    children = [_read(child) for child in element if not child.tag.endswith(("}metadata", "}style"))]
    return Node(tag, attributes, style, children)


def _round(node: Node, letters: set[str], text: bool = False) -> None:
    """Shorten all coordinates; the scale of the letters moves from their outlines to the lines of ``text``."""
    factor, digits = (1 / (SCALE * COARSE), 0) if text else (1, 2)
    if node.attributes.get("id") in letters:
        del node.attributes["transform"]
        factor = 1 / COARSE
    if "d" in node.attributes:
        node.attributes["d"] = short_path(node.attributes["d"], factor, digits)
    for name in {"x", "y", "width", "height"} & node.attributes.keys() if node.tag in ("use", "rect") else ():
        node.attributes[name] = _number(float(node.attributes[name]), digits)
    move, _, rest = node.attributes.pop("transform", "").partition(")")
    x, y = (_number(float(value) * factor, digits) for value in re.findall(NUMBER, move) or (0, 0))
    if node.tag == "g" and rest:
        turn, _, scale = rest.strip().rpartition("scale(")
        scale = " ".join(f"{float(value) * SCALE * COARSE:.7g}" for value in re.findall(NUMBER, scale))
        node.attributes["transform"], text = f"translate({x} {y}){turn}scale({scale})".replace(") ", ")"), True
    elif rest:
        node.attributes["transform"] = f"translate({x} {y}){rest.strip()}"
    elif move:
        node.attributes |= {name: value for name, value in (("x", x), ("y", y)) if value != "0"}
    for child in node.children:
        _round(child, letters, text)


def short_path(text: str, factor: float = 1.0, digits: int = 2) -> str:
    """A path of absolute M, L, Q, C and z in relative coordinates, without the points that are not seen.

    Args:
        text: the path.
        factor: of all coordinates.
        digits: to which coordinates are rounded. Without any, the path is a letter's and keeps its points.

    Raises:
        ValueError: the path has other commands.
    """
    parts: list[str] = []
    at = start = np.zeros(2, int)
    pieces = re.findall(rf"([{COMMAND}])([^{COMMAND}]*)", text)
    for command, run in itertools.groupby(pieces, key=lambda piece: piece[0]):
        if command == "z":
            parts.append("z")
            at = start
            continue
        if command not in POINTS:
            raise InvalidInput(f"expected a path of {', '.join(POINTS)} and z, got {command!r} in {text[:80]!r}")
        numbers = [float(number) for _, piece in run for number in re.findall(NUMBER, piece)]
        points = (np.array(numbers) * factor * 10**digits).round().astype(int).reshape(-1, POINTS[command], 2)
        if command == "M":
            at = start = points[-1, 0]
            parts.append("M" + _join(at, digits))
            continue
        if command == "L" and digits:
            kept = without_flat(np.vstack([at, points[:, 0]]), FLAT * 10**digits)
            points = kept[1:, None]
        steps = points - np.vstack([at, points[:-1, -1]])[:, None]
        at = points[-1, -1]
        parts += _lines(steps[:, 0], digits) if command == "L" else [command.lower() + _join(steps.ravel(), digits)]
    return "".join(parts)


def without_flat(points: np.ndarray, flat: float) -> np.ndarray:
    """The points of an open line but those within ``flat`` of the line through its neighbours that stay.

    Douglas and Peucker's rule with the distance to the segment, so that a line which runs back on itself keeps its
    ends.

    Args:
        points: (point, coordinate).
        flat: in the units of the points.
    """
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    todo = [(0, len(points) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        chord, inner = points[last] - points[first], points[first + 1 : last] - points[first]
        along = np.clip(inner @ chord / max(chord @ chord, 1), 0, 1)
        distance = np.hypot(*(inner - along[:, None] * chord).T)
        if distance.max() > flat:
            middle = first + 1 + int(distance.argmax())
            keep[middle] = True
            todo += [(first, middle), (middle, last)]
    return points[keep]


def _lines(steps: np.ndarray, digits: int) -> list[str]:
    moving = steps[steps.any(1)]
    if not len(moving):
        return ["h0"]  # a dot, where the ends of lines are round
    kinds = ["v" if not x else "h" if not y else "l" for x, y in moving]
    parts = []
    for kind, run in itertools.groupby(zip(kinds, moving, strict=True), key=lambda pair: pair[0]):
        numbers = [number for _, step in run for number in (step if kind == "l" else step[step != 0])]
        parts.append(kind + _join(numbers, digits))
    return parts


def _join(numbers, digits: int) -> str:
    text, last = "", ""
    for value in numbers:
        number = _number(value / 10**digits, digits)
        apart = text and number[0] != "-" and not (number[0] == "." and "." in last)
        text, last = text + " " * bool(apart) + number, number
    return text


def _number(value: float, digits: int) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", f"{round(value, digits) + 0.0:.9g}")


def _share(root: Node) -> dict[str, Node]:
    """Take what has a name out of the drawing, and name it by its content: name to element."""
    found: dict[str, Node] = {}
    names = {}
    for node in root.walk():
        for child in node.children if node.tag == "defs" else ():
            old = child.attributes.pop("id")
            names[old] = "n" + hashlib.sha256(str(child).encode()).hexdigest()[:5]
            found[names[old]] = Node(child.tag, {"id": names[old]} | child.attributes, child.style, child.children)
    for node in root.walk():
        node.children = [child for child in node.children if child.tag != "defs"]
        if "href" in node.attributes and node.tag == "use":
            node.attributes["href"] = "#" + names[node.attributes["href"][1:]]
        if "clip-path" in node.attributes:
            node.attributes["clip-path"] = f"url(#{names[node.attributes['clip-path'][5:-1]]})"
    return found


def _useful(children: list[Node], shared: dict[str, Node]) -> Iterator[Node]:
    """The elements that show something, without the groups that say nothing."""
    for child in children:
        if _shows_nothing(child, shared):
            continue
        if child.tag != "g" or child.attributes:
            yield child
        elif not child.style:
            yield from child.children
        else:
            yield child


def _shows_nothing(node: Node, shared: dict[str, Node]) -> bool:
    if node.tag == "use":
        return not shared[node.attributes["href"][1:]].attributes.get("d")  # a space
    if node.tag == "path":
        return node.style.get("fill") == "none" and "stroke" not in node.style
    return node.tag == "g" and not node.children


def _clipped_once(children: list[Node], shared: dict[str, Node]) -> list[Node]:
    """Neighbours that are clipped alike as one group."""
    found = []
    for clip, run in itertools.groupby(children, key=lambda child: child.attributes.get("clip-path")):
        run = list(run)
        if clip and len(run) > 1:
            for child in run:
                del child.attributes["clip-path"]
            run = [Node("g", {"clip-path": clip}, {}, list(_useful(run, shared)))]
            _style_once(run[0])
        found += run
    return found


def _style_once(group: Node) -> None:
    """Give the group the style that all its elements share. (All of fill and stroke is inherited.)"""
    if group.tag not in ("g", "svg") or len(group.children) < 2:
        return
    shared = set.intersection(*(set(child.style.items()) for child in group.children))
    for name, value in sorted(shared):
        if name.startswith(("fill", "stroke")):
            group.style[name] = value
            for child in group.children:
                del child.style[name]
