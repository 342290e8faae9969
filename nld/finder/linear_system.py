"""Exact sparse linear equations: what the operations of a network demand of the coefficients of a symmetry.

Every unknown is an integer; unknown 0 is the number zero. An equation is a linear form (unknown -> coefficient) that
must vanish. Coefficients are integers or fractions, so that a symmetry is found or not found, never "almost".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

ZERO = 0
Form = dict[int, Fraction | int]


@dataclass(frozen=True)
class Axis:
    """Unknowns of a parameter along ``axes`` of its view of this shape, flattened; one for each index."""

    parameter: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    unknowns: torch.Tensor


def combination(unknowns: Iterable[int], factors: Iterable) -> dict:
    """The sum of unknowns, each times its factor, as a form."""
    form: dict = {}
    for unknown, factor in zip(unknowns, factors, strict=True):
        form[unknown] = form.get(unknown, 0) + factor
    return form


def exact(number: float | Fraction) -> Fraction | int:
    """A number without rounding; whole ones as integers, which are much faster than fractions."""
    return int(number) if number == int(number) else Fraction(number)


class Equations:
    """Homogeneous linear equations, solved as they come (each solved unknown is kept as a form of the others)."""

    def __init__(self):
        self.count = 1
        self.solved: dict[int, Form] = {ZERO: {}}
        self.touched: set[int] = set()  # unknowns that some operation of the network has used
        self.eliminate_first: set[int] = set()  # unknowns that a basis should not be written in

    def new(self, shape: tuple[int, ...] = (), eliminate_first: bool = False) -> torch.Tensor:
        """Fresh unknowns, as an integer tensor of this shape."""
        size = int(torch.Size(shape).numel())
        unknowns = torch.arange(self.count, self.count + size).reshape(shape)
        if eliminate_first:
            self.eliminate_first.update(range(self.count, self.count + size))
        self.count += size
        return unknowns

    def reduce(self, form: Form) -> Form:
        """The form in terms of the unknowns that are still free."""
        result: Form = {}
        solved = self.solved
        for unknown, coefficient in form.items():
            if not coefficient:
                continue
            solution = solved.get(unknown)
            if solution is None:  # most of them
                if total := result.get(unknown, 0) + coefficient:
                    result[unknown] = total
                else:
                    del result[unknown]
                continue
            if not solved.keys().isdisjoint(solution):
                solution = solved[unknown] = self.reduce(solution)
            for other, factor in solution.items():
                total = result.get(other, 0) + coefficient * factor
                if total:
                    result[other] = total
                else:
                    del result[other]
        return result

    def vanish(self, form: Form) -> None:
        """Demand that the form is zero."""
        self.touched.update(form)
        if form := self.reduce(form):
            self._solve(form)

    def _solve(self, form: Form) -> None:
        """Demand that a reduced form is zero."""
        # Solve for an unknown of a parameter if there is one, else for the newest.
        pivot = max(form, key=lambda unknown: (unknown in self.eliminate_first, unknown))
        scale = form.pop(pivot)
        if scale in (1, -1):  # nearly always
            self.solved[pivot] = {unknown: -scale * c for unknown, c in form.items()}
        else:
            self.solved[pivot] = {unknown: exact(Fraction(-c) / scale) for unknown, c in form.items()}

    def sums(self, rows: Iterable[Sequence[int]], factors: Sequence[float | Fraction]) -> list[int]:
        """For each row an unknown that is the sum of its unknowns times the factors."""
        names = []
        for row in rows:
            form = self.reduce({unknown: exact(factor) for unknown, factor in combination(row, factors).items()})
            if not form:
                names.append(ZERO)
            elif list(form.values()) == [1]:
                names.append(next(iter(form)))
            else:
                names.append(int(self.new()))
                self._solve({**form, names[-1]: -1})
        return names

    def vanish_all(self, unknowns: Iterable[int]) -> None:
        """Demand that each of these unknowns is zero."""
        for unknown in unknowns:
            self.vanish({unknown: 1})

    def tie(self, unknowns: Iterable[int]) -> None:
        """Demand that all these unknowns are equal."""
        first = None
        for unknown in unknowns:
            if first is None:
                first = unknown
                self.touched.add(unknown)
            else:
                self.vanish({first: 1, unknown: -1})
