"""Inner products of a matrix, for its rows and for its columns, in one pass over its numbers.

The pages of nld.monitor.inner_products.layout move every number several times, once more where the units of a
block are columns, and take a tensor operation for every member. On a CPU that is most of what the
monitor costs. The loop of numba_kernel reads gradient, momentum, position and parameter once,
takes down all products of rows and of columns, and remembers the position; one call does this for
all parameters. numba compiles it, at its first use on a machine; where numba is not installed the
pages do the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from nld.monitor.inner_products import openmp
from nld.monitor.inner_products.layout import Use, squeezed
from nld.monitor.inner_products.numba_tables import Stage, Sum, Task, table
from nld.monitor.inner_products.products import GRADIENT, PAIRS, PAIRS_WITHOUT_ONES, needs_ones

LEAST = 2**20  # numbers from which on the loop is worth its compilation at once
PATIENCE = 4096  # measurements after which it is worth it for all that no deep page takes in; see torch_backend
_WHOLE = 2**16  # numbers up to which one thread takes a parameter
_ROWS = 128  # rows at least for a thread, so that its sums over columns are small beside them
_GRADIENTS = np.array([pair.count(GRADIENT) for pair in PAIRS])  # how often the gradient is a factor

_address, _contiguous = torch.Tensor.data_ptr, torch.Tensor.is_contiguous
_on_cpu = torch.Tensor.is_cpu.__get__  # pyright: ignore[reportAttributeAccessIssue]


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """A parameter as the loop sees it: its first axis times the rest, and what has one axis as a row."""
    columns = math.prod(shape[1:])
    return (1, math.prod(shape)) if columns == 1 else (shape[0], columns)


class Lines(NamedTuple):
    """A use's units as lines of the parameter's matrix: rows or columns, from which on, and how many each has."""

    by_rows: bool
    first: int
    group: int


def lines(use: Use, shape: Sequence[int], by_columns: bool = False) -> Lines | None:
    """Which lines a use's units are; None where they are none.

    Args:
        by_columns: whether a unit that is all of a parameter is its columns rather than its rows.
    """
    member, (rows, columns) = squeezed(use.member), matrix(shape)
    if rows * columns == 0 or any(axis > 0 for axis, _, _ in member.narrow):
        return None
    first, count = 0, shape[0] if shape else 1
    for _, start, length in member.narrow:
        first, count = first + start, length
    if rows == 1 and shape and shape[0] == 1:
        first, count = 0, columns
    whole = member.units == 1 and not member.narrow
    if rows == 1 or (whole and by_columns):
        along = member.units == 1 or member.unit_axes == (0,)
        return Lines(False, first, (count if rows == 1 else columns) // member.units) if along else None
    if member.units == 1 or (member.unit_axes == (0,) and count % member.units == 0):
        return Lines(True, first, count // member.units)
    if member.unit_axes == (1,) and member.shape[0] == rows:
        return Lines(False, 0, columns // member.units)
    return None


def lines_of(uses: Sequence[Use], shape: Sequence[int]) -> dict[Use, Lines]:
    """The lines of uses of one parameter. If some are columns and all can be, all are: rows need another look at it."""
    by_rows, by_columns = (
        {use: each for use in uses if (each := lines(use, shape, whole_by_columns)) is not None}
        for whole_by_columns in (False, True)
    )
    mixed = any(not each.by_rows for each in by_rows.values())
    return by_columns if mixed and not any(each.by_rows for each in by_columns.values()) else by_rows


def compilable(parameters: Sequence[torch.Tensor], uses: Sequence[Use], least: int) -> list[int]:
    """Which parameters the loop can take; none if they are fewer than ``least`` numbers, or without numba."""
    able = [
        index
        for index, parameter in enumerate(parameters)
        if parameter.device.type == "cpu"
        and parameter.dtype in (torch.float32, torch.float64)
        and parameter.is_contiguous()
        and all(lines(use, parameter.shape) for use in uses if use.parameter == index)
    ]
    enough = able and sum(parameters[i].numel() for i in able) >= least
    return able if enough and _compiled(parameters[able[0]].dtype) is not None else []


@dataclass(frozen=True)
class _Sums:
    """Where the loop leaves the products of one parameter, in double precision, before units are taken together."""

    of_rows: np.ndarray  # (rows, len(PAIRS)), or no rows if no use asks for them
    of_columns: np.ndarray  # (shares, len(PAIRS), columns), one share a task, or no columns

    @property
    def shares(self) -> int:
        return len(self.of_columns)


class NumbaBackend:
    """Parameters whose uses are rows and columns: their old positions, and where their products go.

    Args:
        parameters: all of the inner products, of one precision.
        chosen: which of them to take; see compilable.
        targets: for each use of these the part of the products that it fills, (len(PAIRS), units).
    """

    def __init__(self, parameters: Sequence[torch.Tensor], chosen: Sequence[int], targets: Mapping[Use, torch.Tensor]):
        self.chosen, self._dtype = list(chosen), parameters[chosen[0]].dtype
        self._positions = [torch.zeros(matrix(parameters[i].shape), dtype=self._dtype) for i in chosen]
        self._widths = np.array([position.shape[1] for position in self._positions])
        self._zeros = torch.zeros(int(self._widths.max()), dtype=self._dtype)
        # Addresses of gradients, momenta, parameters and old positions, and how far apart their rows are.
        self._vectors = np.array([[0] * len(chosen)] * 3 + [[p.data_ptr() for p in self._positions]], np.int64)
        self._steps = np.array([self._widths] * 4, np.int64)
        self._missing = [False] * 3 * len(chosen)
        self._factors = np.ones(len(PAIRS))
        self._many = sum(position.numel() for position in self._positions) > _WHOLE
        self._lay_out(parameters, targets)

    def _lay_out(self, parameters: Sequence[torch.Tensor], targets: Mapping[Use, torch.Tensor]) -> None:
        """The loop's tables: its tasks, and the sums that follow a task at once or all tasks of a parameter."""
        tasks: list[Task] = []
        following: list[Sum] = []
        at_the_end: list[Sum] = []
        self._sums = []  # the tables know only where these lie
        for place, index in enumerate(self.chosen):
            uses = {use: target for use, target in targets.items() if use.parameter == index}
            sums = self._room(parameters[index].shape, list(uses))
            self._sums.append(sums)
            first = len(following)
            # What one task has measured it also adds up.
            (following if sums.shares == 1 else at_the_end).extend(self._sums_of(parameters[index].shape, uses, sums))
            tasks += self._tasks(place, list(uses), sums, first, len(following))
        self._tables = table(Task, tasks), table(Sum, following), table(Sum, at_the_end)
        task_address, following_address, end_address = (each.ctypes.data for each in self._tables)
        measuring = Stage(
            next=0,
            count=len(tasks),
            adding=0,
            tasks=task_address,
            sums=following_address,
            matrices=len(self.chosen),
            vectors=self._vectors.ctypes.data,
            steps=self._steps.ctypes.data,
            remember=1,
        )
        adding = measuring._replace(count=len(at_the_end), adding=1, sums=end_address)
        self._stages = table(Stage, [measuring, adding] if at_the_end else [measuring])
        self._stage_addresses = [self._stages[i:].ctypes.data for i in range(len(self._stages))]

    def _room(self, shape: Sequence[int], uses: Sequence[Use]) -> _Sums:
        """Arrays for the sums of one parameter, as many shares as tasks divide its rows."""
        rows, columns = matrix(shape)
        sides = {by.by_rows for by in lines_of(uses, shape).values()}
        shares = max(1, min(torch.get_num_threads(), rows // _ROWS)) if rows * columns > _WHOLE else 1
        return _Sums(
            np.zeros((rows if True in sides else 0, len(PAIRS))),
            np.zeros((shares, len(PAIRS), columns if False in sides else 0)),
        )

    def _tasks(self, place: int, uses: Sequence[Use], sums: _Sums, first_sum: int, last_sum: int) -> list[Task]:
        """The tasks of the parameter at a place: a share of its rows each."""
        rows, columns = self._positions[place].shape
        return [
            Task(
                matrix=place,
                low=rows * share // sums.shares,
                high=rows * (share + 1) // sums.shares,
                width=columns,
                of_rows=int(len(sums.of_rows) > 0),
                of_columns=int(sums.of_columns.shape[2] > 0),
                of_vectors=int(any(needs_ones(use.kind) for use in uses)),
                row_sums=sums.of_rows.ctypes.data,
                column_sums=sums.of_columns[share].ctypes.data,
                first_sum=first_sum,
                last_sum=last_sum,
            )
            for share in range(sums.shares)
        ]

    def _sums_of(self, shape: Sequence[int], uses: Mapping[Use, torch.Tensor], sums: _Sums) -> list[Sum]:
        """How the sums of one parameter become the products of its units."""
        products = len(PAIRS if any(needs_ones(use.kind) for use in uses) else PAIRS_WITHOUT_ONES)
        columns = matrix(shape)[1]
        rows = []
        for use, by in lines_of(list(uses), shape).items():
            source = sums.of_rows[by.first :] if by.by_rows else sums.of_columns[:, :, by.first :]
            rows.append(
                Sum(
                    source=source.ctypes.data,
                    target=uses[use].data_ptr(),
                    factors=self._factors.ctypes.data,
                    units=use.member.units,
                    group=by.group,
                    shares=1 if by.by_rows else sums.shares,
                    products=products,
                    share_step=len(PAIRS) * columns,
                    product_step=1 if by.by_rows else columns,
                    entry_step=len(PAIRS) if by.by_rows else 1,
                )
            )
        return rows

    def positions(self) -> dict[int, torch.Tensor]:
        """The positions of each parameter, as a matrix."""
        return dict(zip(self.chosen, self._positions, strict=True))

    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything."""
        for index, position in zip(self.chosen, self._positions, strict=True):
            position.copy_(parameters[index].detach().reshape(position.shape))

    def measure(self, gradients, momenta, parameters, scale, skipped, remember: bool) -> None:
        """Fill the products; arguments as for InnerProducts.measure, of checked shapes: addresses know no end."""
        if skipped is not None and float(skipped) > 0:
            gradients = [None] * len(gradients)
        self._factors[:] = 1.0 if scale is None else (1.0 / float(scale)) ** _GRADIENTS
        given: list[Any] = [*gradients, *momenta, *parameters]
        if len(self.chosen) < len(parameters):
            given = [tensors[i] for tensors in (gradients, momenta, parameters) for i in self.chosen]
        missing = [tensor is None for tensor in given]
        if True in missing:
            given = [self._zeros if tensor is None else tensor for tensor in given]
        if missing != self._missing:
            self._steps[:3] = np.where(np.reshape(missing, (3, -1)), 0, self._widths)
            self._missing = missing
        as_stored = all(map(_contiguous, given)) and all(map(_on_cpu, given))
        if not as_stored or {tensor.dtype for tensor in given} != {self._dtype}:
            given = [tensor.to("cpu", self._dtype).contiguous() for tensor in given]
        self._vectors[:3] = np.reshape(list(map(_address, given)), (3, -1))
        self._stages["next"], self._stages["remember"] = 0, remember
        loop, threads = _compiled(self._dtype), torch.get_num_threads() if self._many else 1
        for stage in self._stage_addresses:
            openmp.run(loop, stage, threads)


@cache
def _compiled(dtype: torch.dtype) -> Any:
    """Where the loop lies in machine code, or None where numba is not installed."""
    try:
        from nld.monitor.inner_products.numba_kernel import function
    except ImportError:
        return None
    return function(dtype == torch.float32).address
