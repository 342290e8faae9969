"""The degrees of activations, and the equations that operations state between them."""

from fractions import Fraction

import torch

from nld.finder.index_tensors import compress, core, distinct, first_along, rows_along, varies
from nld.finder.linear_system import ZERO, Equations, combination
from nld.finder.tape import Ref, Tape

Term = tuple[torch.Tensor, int | Fraction]  # labels of unknowns and the factor in front of them
LARGEST = 4_000_000  # more distinct equations than this for one operation are not followed


class Degrees:
    """What is known so far: a degree is a sum of terms at each entry of an activation, none where it is zero."""

    def __init__(self, tape: Tape):
        self.equations = Equations()
        self.values: dict[int, list[Term]] = {}
        self.zeros = tape.zeros()  # such tensors have every degree
        self.denominators = tape.denominators()
        self.parameters = {ref.index for ref in tape.parameters.values()}
        self.picked: set[int] = set()  # stacks of which an index picks matrices, the same of all of them

    def labels(self, ref: Ref) -> torch.Tensor:
        """One label for each entry of an activation, folded from its terms."""
        terms = self.values.get(ref.index)
        if terms is None:
            return torch.tensor(ZERO).expand(ref.shape)
        if len(terms) > 1 or terms[0][1] != 1:
            terms = self.values[ref.index] = [(self.fold(terms), 1)]
        return terms[0][0]

    def fold(self, terms: list[Term]) -> torch.Tensor:
        """One label for each entry that stands for the sum of the terms."""
        rows, inverse = distinct(*(labels for labels, _ in terms))
        self.equations.touched.update(*rows.tolist())
        names = self.equations.sums(rows.tolist(), [factor for _, factor in terms])
        return compress(torch.tensor(names)[inverse].expand(terms[0][0].shape))

    def tie(self, labels: torch.Tensor, axes: list[int]) -> torch.Tensor:
        """Demand equal degrees along axes; the labels with these axes constant."""
        axes = [axis % labels.ndim for axis in axes] if labels.ndim else []
        if not varies(labels, *axes):
            self.equations.touched.update(core(labels).reshape(-1).tolist())
            return labels
        for row in torch.unique(rows_along(labels, axes), dim=0).tolist():
            self.equations.tie(dict.fromkeys(row))
        return first_along(labels, axes).expand(labels.shape)

    def tied(self, ref: Ref, axis: int) -> list[Term]:
        """The terms of an activation, with the demand that they are equal along an axis.

        Terms that do not vary along it are left apart: a large table has a term for its rows and one for its columns.
        """
        terms = self.values.get(ref.index, [])
        varying = [term for term in terms if varies(term[0], axis)]
        constant = [term for term in terms if not varies(term[0], axis)]
        if not varying:
            for labels, _ in constant:
                self.tie(labels, [axis])
            return constant
        return [(self.tie(self.fold(varying), [axis]), 1), *constant]

    def vanish(self, ref: Ref) -> None:
        """Demand that an activation does not scale."""
        if ref.index in self.values:
            self.equations.vanish_all(core(self.labels(ref)).unique().tolist())

    def vanishing_sum(self, terms: list[Term]) -> None:
        """Demand that the terms sum to zero at every index; terms that share no axis separate into constants."""
        clusters: list[tuple[set[int], list[Term]]] = []
        for labels, factor in terms:
            axes = {axis for axis in range(labels.ndim) if varies(labels, axis)}
            members = [(labels, factor)]
            for other in [c for c in clusters if c[0] & axes]:
                clusters.remove(other)
                axes, members = axes | other[0], members + other[1]
            clusters.append((axes, members))
        constants = [int(self.equations.new()) for _ in clusters[1:]]
        for position, (_, members) in enumerate(clusters):
            cores = [core(labels) for labels, _ in members]
            if torch.Size(torch.broadcast_shapes(*(c.shape for c in cores))).numel() > LARGEST:
                for labels in cores:
                    self.equations.vanish_all(labels.unique().tolist())
                continue
            rows, _ = distinct(*(labels for labels, _ in members))
            closing = {constants[position - 1]: -1} if position else dict.fromkeys(constants, 1)
            factors = [*closing.values(), *(factor for _, factor in members)]
            for row in rows.tolist():
                self.equations.vanish(combination([*closing, *row], factors))

    def contract(self, terms: list[Term], front: int) -> torch.Tensor:
        """Degrees of a sum of products: terms are aligned, all axes behind the first ``front`` are summed over."""
        shape = terms[0][0].shape
        places = {}  # axis -> which of the distinct slices of the terms stands at each index
        for axis in (a for a in range(front) if any(varies(labels, a) for labels, _ in terms)):
            slices = [core(labels).movedim(axis, 0).flatten(1) for labels, _ in terms if varies(labels, axis)]
            _, places[axis] = torch.unique(torch.cat(slices, 1), dim=0, return_inverse=True)
            count = int(places[axis].max()) + 1
            indices = torch.arange(len(places[axis]))
            firsts = torch.full((count,), len(indices)).scatter_reduce(0, places[axis], indices, "amin")
            terms = [(taken(labels, axis, firsts), factor) for labels, factor in terms]
        result = self.equations.new(tuple(terms[0][0].shape[a] if a in places else 1 for a in range(front)))
        aligned = result.reshape(*result.shape, *[1] * (len(shape) - front)).expand(terms[0][0].shape)
        self.vanishing_sum([*terms, (aligned, -1)])
        for axis, place in places.items():
            result = result.index_select(axis, place)
        return result.expand(shape[:front])


def taken(labels: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    """Slices of labels, constant axes kept constant."""
    if not varies(labels, axis):
        return labels.narrow(axis, 0, 1).expand(*labels.shape[:axis], len(indices), *labels.shape[axis + 1 :])
    small = core(labels).index_select(axis, indices)
    return small.expand(*labels.shape[:axis], len(indices), *labels.shape[axis + 1 :])
