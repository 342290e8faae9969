"""Inner products of a matrix, for its rows and for its columns, in one pass over its numbers.

The pages of nld.monitor.inner_products.layout move every number several times, once more where the units of a
block are columns, and take a tensor operation for every member. On a CPU that is most of what the
monitor costs. The loop of numba_kernel reads gradient, momentum, position and parameter once,
takes down all products of rows and of columns, and remembers the position; one call does this for
all parameters. numba compiles it, at its first use on a machine; where numba is not installed the
pages do the same.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from nld.monitor.inner_products import openmp
from nld.monitor.inner_products.layout import Use

# What the loop takes down, as pairs of the sheet's vectors: gradient 0, momentum 1, position 2, displacement 3, ones 4.
# The pairs with ones, which only translations need, come last.
PRODUCTS = ((0, 0), (1, 1), (2, 2), (3, 3), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3), (0, 4), (1, 4), (2, 4))
_OF_GRADIENT = np.array([(pair[0] == 0) + (pair[1] == 0) for pair in PRODUCTS])  # how often it is a factor

# The tables that the loop reads. Whatever is not a number or a flag is an address.
_WORD = np.int64
STAGE = np.dtype(  # what a call works on: tasks, or sums over what several tasks have found
    [(name, _WORD) for name in ("next", "count", "adding", "tasks", "sums")]
    + [(name, _WORD) for name in ("matrices", "vectors", "steps", "remember")]
)
TASK = np.dtype(  # rows low to high of a matrix, and which sums may follow at once
    [(name, _WORD) for name in ("matrix", "low", "high", "width", "of_rows", "of_columns", "of_vectors")]
    + [(name, _WORD) for name in ("row_sums", "column_sums", "first_sum", "last_sum")]
)
SUM = np.dtype(  # the entries of units, which are rows or columns, taken together
    [(name, _WORD) for name in ("source", "target", "factors", "units", "group", "shares", "products")]
    + [(name, _WORD) for name in ("product_step", "entry_step")]
)

PAIRS = 9  # products without ones
LEAST = 2**20  # numbers from which on the loop is worth its compilation at once
PATIENCE = 4096  # measurements after which it is worth it for all that no deep page takes in; see torch_backend
_WHOLE = 2**16  # numbers up to which one thread takes a parameter
_ROWS = 128  # rows at least for a thread, so that its sums over columns are small beside them


_address, _contiguous = torch.Tensor.data_ptr, torch.Tensor.is_contiguous
_on_cpu = torch.Tensor.is_cpu.__get__  # pyright: ignore[reportAttributeAccessIssue]


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """A parameter as the loop sees it: its first axis times the rest, and what has one axis as a row."""
    columns = math.prod(shape[1:])
    return (1, math.prod(shape)) if columns == 1 else (shape[0], columns)


def orientation(use: Use, shape: Sequence[int]) -> tuple[str, int] | None:
    """Whether a use's units are "rows" or "columns" of the parameter as a matrix, and how many each has."""
    member, (rows, columns) = use.member, matrix(shape)
    if use.size > 1 or member.narrow or rows * columns == 0:
        return None
    if member.units == 1 or (member.unit_axes == (0,) and rows % member.units == 0):
        return "rows", rows // member.units
    if (member.unit_axes == (0,) and rows == 1) or (member.unit_axes == (1,) and member.shape[0] == rows):
        return "columns", columns // member.units
    return None


def fusable(parameters: Sequence[torch.Tensor], uses: Sequence[Use], least: int) -> list[int]:
    """Which parameters the loop can take; none if they are fewer than ``least`` numbers, or without numba."""
    able = [
        index
        for index, parameter in enumerate(parameters)
        if parameter.device.type == "cpu"
        and parameter.dtype in (torch.float32, torch.float64)
        and parameter.is_contiguous()
        and all(orientation(use, parameter.shape) for use in uses if use.parameter == index)
    ]
    enough = able and sum(parameters[i].numel() for i in able) >= least
    return able if enough and _compiled(parameters[able[0]].dtype) is not None else []


class Fused:
    """Parameters whose uses are rows and columns: their old positions, and where their products go.

    Args:
        parameters: all of the sheet, of one precision.
        chosen: which of them to take; see fusable.
        targets: for each use of these the part of the sheet's products that it fills, (len(PRODUCTS), units).
    """

    def __init__(self, parameters: Sequence[torch.Tensor], chosen: Sequence[int], targets: dict[Use, torch.Tensor]):
        self.chosen, self._dtype = list(chosen), parameters[chosen[0]].dtype
        self.positions = [torch.zeros(matrix(parameters[i].shape), dtype=self._dtype) for i in chosen]
        self._widths = np.array([position.shape[1] for position in self.positions])
        self._zeros = torch.zeros(int(self._widths.max()), dtype=self._dtype)
        # Addresses of gradients, momenta, parameters and old positions, and how far apart their rows are.
        self._vectors = np.array([[0] * len(chosen)] * 3 + [[p.data_ptr() for p in self.positions]], _WORD)
        self._steps = np.array([self._widths] * 4, _WORD)
        self._missing = [False] * 3 * len(chosen)
        self._factors = np.ones(len(PRODUCTS))
        self._held: list[np.ndarray] = []  # the tables know only where these lie
        tasks, own, shared = [], [], []
        for place, index in enumerate(chosen):
            uses = {use: target for use, target in targets.items() if use.parameter == index}
            mine, sums = self._plan(place, parameters[index].shape, uses)
            first = len(own)
            (own if len(mine) == 1 else shared).extend(sums)  # what one task has measured it also adds up
            tasks += [(*task, first, len(own)) for task in mine]
        self._tables = np.array(tasks, TASK), np.array(own, SUM), np.array(shared, SUM)
        at, its_own, theirs = (table.ctypes.data for table in self._tables)
        rest = len(chosen), self._vectors.ctypes.data, self._steps.ctypes.data, 1
        stages = [(0, len(tasks), 0, at, its_own, *rest), (0, len(shared), 1, at, theirs, *rest)]
        self._stages = np.array(stages[: 2 if shared else 1], STAGE)
        self._addresses = [self._stages[i:].ctypes.data for i in range(len(self._stages))]
        self._many = sum(position.numel() for position in self.positions) > _WHOLE

    def _plan(self, place: int, shape: Sequence[int], uses: dict[Use, torch.Tensor]) -> tuple[list[tuple], list[tuple]]:
        """Rows of the two tables for one parameter: its tasks, without their sums, and its sums."""
        rows, columns = matrix(shape)
        shares = max(1, min(torch.get_num_threads(), rows // _ROWS)) if rows * columns > _WHOLE else 1
        sides = {use: side for use in uses if (side := orientation(use, shape)) is not None}
        of_rows, of_columns = (any(side == name for side, _ in sides.values()) for name in ("rows", "columns"))
        of_vectors = any(use.kind.is_constant for use in uses)
        row_sums = np.zeros((rows if of_rows else 0, len(PRODUCTS)))
        column_sums = np.zeros((shares, len(PRODUCTS), columns if of_columns else 0))
        self._held += [row_sums, column_sums]
        tasks, sums = [], []
        for share, its_sums in enumerate(column_sums):
            low, high = rows * share // shares, rows * (share + 1) // shares
            flags, places = (of_rows, of_columns, of_vectors), (row_sums.ctypes.data, its_sums.ctypes.data)
            tasks.append((place, low, high, columns, *flags, *places))
        for use, (side, group) in sides.items():
            source, parts, steps = row_sums, 1, (1, len(PRODUCTS))
            if side == "columns":
                source, parts, steps = column_sums, shares, (columns, 1)
            places = source.ctypes.data, uses[use].data_ptr(), self._factors.ctypes.data
            sums.append((*places, use.member.units, group, parts, len(PRODUCTS) if of_vectors else PAIRS, *steps))
        return tasks, sums

    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything."""
        for index, position in zip(self.chosen, self.positions, strict=True):
            position.copy_(parameters[index].detach().reshape(position.shape))

    def measure(self, gradients, momenta, parameters, scale, skipped, remember: bool) -> None:
        """Fill the products; arguments as for Sheet.measure, of checked shapes: addresses know no end."""
        if skipped is not None and float(skipped) > 0:
            gradients = [None] * len(gradients)
        self._factors[:] = 1.0 if scale is None else (1.0 / float(scale)) ** _OF_GRADIENT
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
        for stage in self._addresses:
            openmp.run(loop, stage, threads)


@cache
def _compiled(dtype: torch.dtype) -> Any:
    """Where the loop lies in machine code, or None where numba is not installed."""
    try:
        from nld.monitor.inner_products.numba_kernel import function
    except ImportError:
        return None
    return function(dtype == torch.float32).address
