"""Rows of inner products: which unit each belongs to, and the numbers that the optimizer applies to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nld.monitor.inner_products.layout import Use

# Numbers of one parameter at one step: β, c (with the sign of g), c k, whether π is the bare gradient, and the c of
# every step, NaN where there is none; of a row, in place of the latter, the weight of π among the members of its block.
DECAY, COEFFICIENT, COUPLED, BARE, WEIGHT = range(5)

_TOGETHER = 2048  # rows that are reckoned with together: of a dozen steps, what is known of one quantity has 200 kB


@dataclass(frozen=True)
class Rows:
    """Which unit each row of inner products belongs to."""

    uses: Sequence[Use]  # the members, in the order of their rows
    first_unit: Sequence[int]  # for each use, the unit of its first row
    units: int

    @property
    def count(self) -> int:
        return sum(use.member.units for use in self.uses)

    def of_uses(self, value: Callable[[Use], float]) -> np.ndarray:
        """What is so many for each use, one a row: (rows,)."""
        return np.repeat([value(use) for use in self.uses], [use.member.units for use in self.uses])

    def spread(self, per_parameter: np.ndarray) -> np.ndarray:
        """Numbers of parameters, (..., 5, parameters), as numbers of rows."""
        numbers = per_parameter[..., self.of_uses(lambda use: use.parameter)]
        numbers[..., WEIGHT, :] = self._weights(per_parameter[..., WEIGHT, :])
        return numbers

    def _weights(self, coefficients: np.ndarray) -> np.ndarray:
        """c of a block's first member over that of each; 1 in blocks where a member has none: (..., rows)."""
        first = {use.block: use.parameter for use in reversed(self.uses)}
        of_first = coefficients[..., self.of_uses(lambda use: first[use.block])]
        weights = of_first / coefficients[..., self.of_uses(lambda use: use.parameter)]
        blocks = self.of_uses(lambda use: use.block)
        starts = np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1)) if len(blocks) else np.zeros(0, int)
        without = np.isnan(np.add.reduceat(weights, starts, axis=-1)) if len(blocks) else weights
        return np.where(np.repeat(without, np.diff(starts, append=len(blocks)), axis=-1), 1.0, weights)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum over the members of every unit: (..., rows) to (..., units)."""
        out = np.empty((*values.shape[:-1], self.units))
        for unit, row, first in self._places:
            np.add(0.0 if first else out[..., unit], values[..., row], out=out[..., unit])
        return out

    @cached_property
    def parts(self) -> list["Part"]:
        """Blocks that follow one another, few enough that what is computed of some steps stays in a cache."""
        parts, blocks = [], [use.block for use in self.uses]
        begin = count = 0
        for index, use in enumerate(self.uses):
            count += use.member.units
            last = index + 1 == len(blocks) or blocks[index + 1] != use.block
            if last and (count >= _TOGETHER or index + 1 == len(blocks)):
                parts.append(self._part(begin, index + 1))
                begin, count = index + 1, 0
        return parts

    def _part(self, begin: int, end: int) -> "Part":
        """Uses ``begin`` to ``end``, with rows and units counted from theirs."""
        uses, units = self.uses[begin:end], self.first_unit[begin:end]
        row, unit = uses[0].row, units[0]
        of_units = slice(unit, max(u + use.member.units for use, u in zip(uses, units, strict=True)))
        own = Rows([replace(use, row=use.row - row) for use in uses], [u - unit for u in units], of_units.stop - unit)
        return Part(
            own,
            slice(row, row + own.count),
            of_units,
            sign=own.of_uses(lambda use: use.member.coefficient),
            first=own.of_uses(lambda use: float(not use.again)),
            constant=own.of_uses(lambda use: use.kind.is_constant),
            features=own.of_uses(lambda use: np.prod(use.member.shape) / use.member.units),
            affine=own.of_uses(lambda use: 2.0 if use.member.offset else 1.0),
        )

    @cached_property
    def _places(self) -> list[tuple[slice, slice, bool]]:
        """For each use its units, its rows, and whether it is its block's first: all members have the same units."""
        before = [None, *self.first_unit[:-1]]
        return [
            (slice(unit, unit + use.member.units), slice(use.row, use.row + use.member.units), unit != last)
            for use, unit, last in zip(self.uses, self.first_unit, before, strict=True)
        ]


@dataclass(frozen=True)
class Part:
    """Some of the blocks of a charge group, and of each of its rows what stays the same."""

    rows: Rows
    of_rows: slice  # where its rows are among all
    of_units: slice  # and its units
    sign: np.ndarray
    first: np.ndarray  # 1 where no other row has the same entries, else 0: each entry counts once in a squared length
    constant: np.ndarray  # whether the generator is
    features: np.ndarray
    affine: np.ndarray  # |a + b|^2 <= 2 |a|^2 + 2 |b|^2 bounds an affine generator
