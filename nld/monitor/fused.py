"""Inner products of a matrix, for its rows and for its columns, in one pass over its numbers.

The pages of nld.monitor.layout move every number several times, once more where the units of a
block are columns, and take a tensor operation for every member. On a CPU that is most of what the
monitor costs. The loop of nld.monitor.kernel reads gradient, momentum, position and parameter once,
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

from . import workers
from .layout import Use

# What the loop takes down, as pairs of the sheet's vectors: gradient 0, momentum 1, position 2, displacement 3, ones 4.
# The pairs with ones, which only translations need, come last.
PRODUCTS = ((0, 0), (1, 1), (2, 2), (3, 3), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3), (0, 4), (1, 4), (2, 4))
_OF_GRADIENT = np.array([(pair[0] == 0) + (pair[1] == 0) for pair in PRODUCTS])  # how often it is a factor

# The tables that the loop reads. Whatever is not a number or a flag is an address.
_WORD = np.int64
STAGE = np.dtype([(name, _WORD) for name in ("next", "tasks", "table", "sums")])
TASK = np.dtype(  # some rows of a matrix; vectors: gradient, momentum, parameter, position
    [("vectors", _WORD, 4), ("steps", _WORD, 4)]  # steps from row to row, in numbers
    + [(name, _WORD) for name in ("low", "high", "width", "of_rows", "of_columns", "of_vectors", "remember")]
    + [(name, _WORD) for name in ("row_sums", "column_sums")]
)
SUM = np.dtype(  # entries, which are rows or columns, to units
    [(name, _WORD) for name in ("source", "target", "factors", "units", "group", "shares")]
    + [(name, _WORD) for name in ("product_step", "entry_step")]
)

LEAST = 2**20  # numbers from which on the loop is worth its compilation at once
PATIENCE = 4096  # measurements after which it is worth it for any number of numbers
_WHOLE = 2**16  # numbers up to which one thread takes a parameter
_ROWS = 128  # rows at least for a thread, so that its sums over columns are small beside them


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """A parameter as the loop sees it: its first axis times the rest, and what has one axis as a row."""
    columns = math.prod(shape[1:])
    return (1, math.prod(shape)) if columns == 1 else (shape[0], columns)


def orientation(use: Use, shape: Sequence[int]) -> tuple[str, int] | None:
    """Whether a use's units are groups of "rows" or of "columns" of the parameter as a matrix, and how many each has."""
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
        self._factors = np.ones(len(PRODUCTS))
        self._zeros = torch.zeros(max(p.shape[1] for p in self.positions), dtype=self._dtype)
        self._held: list[np.ndarray] = []  # the tables know only where these lie
        tasks, sums = [], []
        for place, index in enumerate(chosen):
            mine = {use: target for use, target in targets.items() if use.parameter == index}
            self._lay_out(place, parameters[index].shape, mine, tasks, sums)
        self._owners = np.array([place for place, _ in tasks])
        self._tasks = np.array([task for _, task in tasks], TASK)
        self._sums = np.array(sums, SUM)
        self._stages = np.zeros(2, STAGE)
        for stage, table in zip(self._stages, (self._tasks, self._sums), strict=True):
            stage["tasks"], stage["table"], stage["sums"] = len(table), table.ctypes.data, table is self._sums
        self._many = sum(p.numel() for p in self.positions) > _WHOLE

    def _lay_out(self, place: int, shape, uses: dict[Use, torch.Tensor], tasks: list, sums: list) -> None:
        """Append one parameter's rows of the two tables."""
        rows, columns = matrix(shape)
        shares = min(torch.get_num_threads(), rows // _ROWS) if rows * columns > _WHOLE else 1
        edges = [rows * share // max(shares, 1) for share in range(max(shares, 1) + 1)]
        sides = {use: side for use in uses if (side := orientation(use, shape)) is not None}
        of_rows, of_columns = (any(side == name for side, _ in sides.values()) for name in ("rows", "columns"))
        row_sums = np.zeros((rows if of_rows else 0, len(PRODUCTS)))
        column_sums = np.zeros((len(edges) - 1, len(PRODUCTS), columns if of_columns else 0))
        self._held += [row_sums, column_sums]
        for low, high, its_sums in zip(edges, edges[1:], column_sums, strict=False):
            flags = of_rows, of_columns, any(use.kind == "translation" for use in uses), True
            vectors = (0, 0, 0, self.positions[place].data_ptr())
            task = (vectors, (columns,) * 4, low, high, columns, *flags, row_sums.ctypes.data, its_sums.ctypes.data)
            tasks.append((place, task))
        for use, (side, group) in sides.items():
            source, count, steps = (
                (row_sums, 1, (1, len(PRODUCTS))) if side == "rows" else (column_sums, len(column_sums), (columns, 1))
            )
            sums.append(
                (
                    source.ctypes.data,
                    uses[use].data_ptr(),
                    self._factors.ctypes.data,
                    use.member.units,
                    group,
                    count,
                    *steps,
                )
            )

    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything."""
        for index, position in zip(self.chosen, self.positions, strict=True):
            position.copy_(parameters[index].reshape(position.shape))

    def measure(self, gradients, momenta, parameters, scale, skipped, remember: bool) -> None:
        """Fill the products; arguments as for Sheet.measure."""
        still = skipped is not None and float(skipped) > 0
        self._factors[:] = 1.0 if scale is None else (1.0 / float(scale)) ** _OF_GRADIENT
        held, addresses, steps = [], [], []
        for index, position in zip(self.chosen, self.positions, strict=True):
            width = position.shape[1]
            for tensor in (None if still else gradients[index], momenta[index], parameters[index]):
                if tensor is None:
                    tensor = self._zeros
                elif tensor.dtype != self._dtype or not tensor.is_contiguous():
                    tensor = tensor.to(self._dtype).contiguous()
                    held.append(tensor)
                addresses.append(tensor.data_ptr())
                steps.append(0 if tensor is self._zeros else width)
        tasks = self._tasks
        tasks["vectors"][:, :3] = np.array(addresses).reshape(-1, 3)[self._owners]
        tasks["steps"][:, :3] = np.array(steps).reshape(-1, 3)[self._owners]
        tasks["remember"] = remember
        self._stages["next"] = 0
        loop, threads = _compiled(self._dtype), torch.get_num_threads() if self._many else 1
        for place in range(2):
            workers.run(loop.address, self._stages[place:].ctypes.data, threads)


@cache
def _compiled(dtype: torch.dtype) -> Any:
    """The loop in machine code, or None where numba is not installed."""
    try:
        from .kernel import function
    except ImportError:
        return None
    return function(dtype == torch.float32)
