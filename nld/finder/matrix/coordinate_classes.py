"""Coordinates of activations and how they turn together: which are one, which are apart, which may not be mixed.

A coordinate is an index of a parameter's axis. Operations join coordinates that must turn alike or inversely, separate
those that they treat differently, and break those that they do not respect; coordinates that everything treats alike
form a vector.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import torch

from nld.finder.index_tensors import core, distinct, rows_along, varies

NONE = 0  # the label of an entry without coordinate


@dataclass(frozen=True)
class Vector:
    """Coordinates that may be mixed: for each (parameter, axis, sign), the indices of each coordinate, in order."""

    places: tuple[tuple[str, int, int], ...]
    indices: tuple[tuple[tuple[int, ...], ...], ...]  # one entry for each place: coordinate -> indices
    orthogonal: bool

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.indices[0])


class Coordinates:
    """What is known of the coordinates of all parameters, kept as a union-find forest with signs."""

    def __init__(self, tables: bool = False):
        self.tables = tables  # whether a sum joins coordinates that lie along more axes on one side than on the other
        self.owner: list[tuple[str, int, int]] = [("", 0, 0)]  # coordinate -> parameter, axis, index
        self.parent: list[int] = [0]
        self.sign: list[int] = [1]  # relative to the parent: 1 turns alike, -1 inversely
        self.orthogonal: set[int] = set()
        self.broken: set[int] = {NONE}
        self.contexts: dict[int, set[Hashable]] = defaultdict(set)
        # Coordinates added to another one of their own parameter, as by a rotary embedding.
        self.turned: set[int] = set()
        self.centred: set[tuple[str, int]] = set()  # axes of parameters whose coordinates a mean is subtracted from
        # An entrywise product of activations -> what it pairs if it is summed.
        self.products: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def declare(self, name: str, axis: int, shape: tuple[int, ...], trainable: bool) -> torch.Tensor:
        """New coordinates along an axis of a parameter, as labels of its entries."""
        start = len(self.owner)
        self.owner += [(name, axis, index) for index in range(shape[axis])]
        self.parent += range(start, start + shape[axis])
        self.sign += [1] * shape[axis]
        if not trainable:
            self.broken.update(range(start, start + shape[axis]))
        place = [shape[a] if a == axis else 1 for a in range(len(shape))]
        return torch.arange(start, start + shape[axis]).reshape(place).expand(shape)

    def _root(self, coordinate: int) -> tuple[int, int]:
        sign, path = 1, []
        while self.parent[coordinate] != coordinate:
            path.append(coordinate)
            sign *= self.sign[coordinate]
            coordinate = self.parent[coordinate]
        total = sign
        for node in path:
            step = self.sign[node]
            self.parent[node], self.sign[node] = coordinate, total
            total *= step
        return coordinate, sign

    def join(self, left: torch.Tensor, right: torch.Tensor, sign: int) -> None:
        """Coordinates of two tensors of one shape turn alike (1) or inversely (-1)."""
        for a, b in distinct(left, right)[0].tolist():
            (root_a, sign_a), (root_b, sign_b) = self._root(a), self._root(b)
            if root_a == root_b:
                if sign_a * sign_b != sign:
                    self.orthogonal.add(root_a)
                continue
            self.parent[root_b], self.sign[root_b] = root_a, sign_a * sign_b * sign
            for marked in (self.orthogonal, self.broken):
                if root_b in marked:
                    marked.add(root_a)

    def turn(self, left: torch.Tensor, right: torch.Tensor) -> None:
        """Note coordinates that meet another one of their own parameter: the two may be a pair that turns."""
        for a, b in distinct(left, right)[0].tolist():
            if a != b and self.owner[a][:2] == self.owner[b][:2]:
                self.turned.add(a)

    def break_(self, slots: Iterable[torch.Tensor]) -> None:
        """These coordinates may not be mixed."""
        for labels in slots:
            self.broken.update(self._root(c)[0] for c in core(labels).unique().tolist())

    def separate(self, event: Hashable, labels: torch.Tensor, axes: Iterable[int]) -> None:
        """An operation treats entries differently along these axes: note where each coordinate appears."""
        axes = [axis for axis in axes if varies(labels, axis)]
        rows = rows_along(labels, (axis for axis in range(labels.ndim) if axis not in axes))
        seen: dict[int, list[int]] = defaultdict(list)
        for position, row in enumerate(rows.tolist()):
            for coordinate in dict.fromkeys(row):
                seen[coordinate].append(position)
        for coordinate, positions in seen.items():
            self.contexts[coordinate].add((event, tuple(positions)))

    def vectors(self) -> list[Vector]:
        """Coordinates that may be mixed: unbroken, and treated alike by everything."""
        components: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for coordinate in range(1, len(self.owner)):
            root, sign = self._root(coordinate)
            components[root].append((coordinate, sign))
        broken = {self._root(coordinate)[0] for coordinate in self.broken}
        orthogonal = {self._root(coordinate)[0] for coordinate in self.orthogonal}
        groups: dict[tuple, list[list[tuple[int, int]]]] = defaultdict(list)
        for root, members in components.items():
            if root in broken or (len(members) < 2 and root not in orthogonal):
                continue
            first = members[0][1]
            members = [(coordinate, sign * first) for coordinate, sign in members]
            contexts = frozenset(context for coordinate, _ in members for context in self.contexts.get(coordinate, ()))
            places = tuple(sorted(((self.owner[c][:2], sign) for c, sign in members), key=str))
            groups[places, contexts, root in orthogonal].append(members)
        turned = {self._root(coordinate)[0] for coordinate in self.turned}
        result = []
        for (_, _, is_orthogonal), classes in groups.items():
            names = list(dict.fromkeys((*self.owner[c][:2], sign) for c, sign in classes[0]))
            tables = [
                [sorted(self.owner[c][2] for c, s in m if (*self.owner[c][:2], s) == n) for m in classes] for n in names
            ]
            if len(classes) > 1:
                indices = tuple(tuple(tuple(row) for row in table) for table in tables)
                result.append(Vector(tuple(names), indices, is_orthogonal))
            elif self._root(classes[0][0][0])[0] in turned and all(len(row) % 2 == 0 for (row,) in tables):
                # A pair of coordinates under a rotary embedding: what commutes with its rotations is a rotation.
                indices = tuple((tuple(row[0::2]), tuple(row[1::2])) for (row,) in tables)
                result.append(Vector(tuple(names), indices, True))
        return result
