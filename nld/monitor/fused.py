"""Inner products of a large matrix, for its rows and for its columns, in one pass over its numbers.

The pages of nld.monitor.layout move every number several times, and once more where the units of a
block are columns. For a network of millions of parameters on a CPU that is most of what the monitor
costs. The loop below reads gradient, momentum, position and parameter once, takes down all products
of rows and of columns, and remembers the position. numba compiles it, at its first use on a
machine; where numba is not installed the pages do the same.
"""

import math
import threading
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from .layout import Use

# What the loop takes down, as pairs of the sheet's vectors: gradient 0, momentum 1, position 2, displacement 3.
PRODUCTS = ((0, 0), (1, 1), (2, 2), (3, 3), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3))
_OF_GRADIENT = np.array([(pair[0] == 0) + (pair[1] == 0) for pair in PRODUCTS])  # how often it is a factor
_LEAST = 2**20  # elements: below it, the pages are as fast and need no compiler
_WIDTH = 512  # columns of four rows that stay in the fastest cache
_STRIP = 256  # rows that are summed in the parameters' precision before they are added up in double


def orientation(use: Use, shape: tuple[int, ...]) -> str | None:
    """Whether a use's units are the "rows" or the "columns" of the parameter as a matrix (first axis × rest)."""
    member = use.member
    if use.size > 1 or use.kind == "translation" or member.narrow or len(shape) < 2:
        return None
    if member.unit_axes == (0,) and member.shape[0] == shape[0]:
        return "rows"
    if member.unit_axes == (1,) and member.shape[0] == shape[0]:
        return "columns"
    return None


def fusable(shapes: Sequence[tuple[int, ...]], uses: Sequence[Use], device: torch.device) -> list[int]:
    """Which parameters the compiled loop can take; none where they are few, on a GPU, or without numba."""
    if device.type != "cpu":
        return []
    able = [
        index
        for index, shape in enumerate(shapes)
        if all(orientation(use, shape) for use in uses if use.parameter == index)
    ]
    return able if sum(math.prod(shapes[i]) for i in able) >= _LEAST and _compiled() is not None else []


class Fused:
    """One parameter whose uses are rows and columns: its old position, and where its products go.

    Args:
        index: of the parameter in the sheet.
        shape: of the parameter.
        uses: all of its uses.
        targets: for each use the part of the sheet's products that it fills, (len(PRODUCTS), units).
        dtype: of the sheet.
    """

    def __init__(self, index: int, shape, uses: Sequence[Use], targets: Sequence[torch.Tensor], dtype: torch.dtype):
        rows, columns = shape[0], math.prod(shape[1:])
        self.index = index
        self._sides = [(orientation(use, shape), target.numpy()) for use, target in zip(uses, targets, strict=True)]
        self._position = torch.zeros(rows, columns, dtype=dtype)
        self._zeros = torch.zeros(1, dtype=dtype).expand(rows, columns)
        self._row_sums = np.zeros((rows, len(PRODUCTS)))
        self._column_sums = np.zeros((1, len(PRODUCTS), columns))

    def remember(self, parameter: torch.Tensor) -> None:
        """Copy the position, without measuring anything."""
        self._position.copy_(parameter.view_as(self._position))

    def tasks(self, gradient, momentum, parameter, remember: bool, shares: int) -> list:
        """Arguments of the compiled loop for each share of the rows; a tensor that is None is taken as zero."""
        vectors = [self._matrix(tensor) for tensor in (gradient, momentum, parameter)]
        wanted = [any(side == each for side, _ in self._sides) for each in ("rows", "columns")]
        rows, columns = self._position.shape
        edges = [rows * share // shares for share in range(shares + 1)]
        self._column_sums = np.zeros((shares, len(PRODUCTS), columns))
        return [
            (*vectors, self._position.numpy(), low, high, remember, *wanted, self._row_sums, sums)
            for low, high, sums in zip(edges, edges[1:], self._column_sums, strict=False)
        ]

    def _matrix(self, tensor: torch.Tensor | None) -> np.ndarray:
        if tensor is None:
            return self._zeros.contiguous().numpy()
        return tensor.detach().to(self._position.dtype).reshape(self._position.shape).contiguous().numpy()

    def finish(self, scale: float) -> None:
        """Add up what the stretches found, for a gradient that carries the factor 1/scale."""
        factor = (scale**_OF_GRADIENT)[:, None]
        for side, target in self._sides:
            if side == "rows":
                sums = self._row_sums.T
            else:
                sums = self._column_sums.sum(0).reshape(len(PRODUCTS), target.shape[1], -1).sum(2)
            np.multiply(sums, factor, out=target, casting="same_kind")


def measure(parts: Sequence[Fused], gradients, momenta, parameters, scale, skipped, remember: bool) -> None:
    """Measure all parts, on as many threads as torch would use; arguments as for Sheet.measure."""
    still, shares = skipped is not None and float(skipped) > 0, torch.get_num_threads()
    gradients = [None] * len(gradients) if still else gradients
    tasks = deque()
    for part in parts:
        i = part.index
        tasks += part.tasks(gradients[i], momenta[i], parameters[i], remember, shares)
    threads = [threading.Thread(target=_run, args=(tasks,)) for _ in range(shares - 1)]
    for thread in threads:
        thread.start()
    _run(tasks)
    for thread in threads:
        thread.join()
    for part in parts:
        part.finish(1.0 if scale is None else 1.0 / float(scale))


def _run(tasks: deque) -> None:
    """Take one task after the other: torch's own threads may still hold a core for a moment."""
    loop = _compiled()
    while True:
        try:
            task = tasks.popleft()
        except IndexError:
            return
        loop(*task)


@cache
def _compiled() -> Any:
    """The loop in machine code, or None where numba is not installed."""
    try:
        from numba import njit
    except ImportError:
        return None
    # Sums may be reordered, so that they run side by side; what is infinite or not a number stays so.
    machine_code: Any = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
    inner, add_squares, add_products, row = (machine_code(each) for each in (_inner, _squares, _crossed, _row))

    def stretch(gradients, momenta, parameters, positions, low, high, remember, of_rows, of_columns, rows, columns):
        # Four rows at a time: each sum over rows is then fetched and put back a fourth as often.
        width = gradients.shape[1]
        strip = np.zeros((9, width), gradients.dtype)
        moved = np.zeros((4, _WIDTH), gradients.dtype)
        zero = np.zeros(_WIDTH, gradients.dtype)
        rows[low:high] = 0
        for first in range(low, high, 4):
            here = min(4, high - first)
            for start in range(0, width, _WIDTH):
                stop = min(start + _WIDTH, width)
                for j in range(here):
                    position, parameter = positions[first + j, start:stop], parameters[first + j, start:stop]
                    for i in range(stop - start):
                        moved[j, i] = parameter[i] - position[i]
                    if of_rows:
                        gradient, momentum = gradients[first + j, start:stop], momenta[first + j, start:stop]
                        inner(gradient, momentum, position, moved[j, : stop - start], rows[first + j])
                if of_columns:
                    at = (first, high, start, stop, zero)
                    g = row(gradients, 0, *at), row(gradients, 1, *at), row(gradients, 2, *at), row(gradients, 3, *at)
                    m = row(momenta, 0, *at), row(momenta, 1, *at), row(momenta, 2, *at), row(momenta, 3, *at)
                    q = row(positions, 0, *at), row(positions, 1, *at), row(positions, 2, *at), row(positions, 3, *at)
                    at = (0, here, 0, stop - start, zero)
                    d = row(moved, 0, *at), row(moved, 1, *at), row(moved, 2, *at), row(moved, 3, *at)
                    add_squares(g, strip[0, start:stop])
                    add_squares(m, strip[1, start:stop])
                    add_squares(q, strip[2, start:stop])
                    add_squares(d, strip[3, start:stop])
                    add_products(q, d, strip[4, start:stop])
                    add_products(g, q, strip[5, start:stop])
                    add_products(g, d, strip[6, start:stop])
                    add_products(m, q, strip[7, start:stop])
                    add_products(m, d, strip[8, start:stop])
                if remember:
                    for j in range(here):
                        positions[first + j, start:stop] = parameters[first + j, start:stop]
            if of_columns and ((first - low) % _STRIP == 0 or first + 4 >= high):
                columns += strip
                strip[:] = 0

    return machine_code(stretch)


# The compiled loops. They are spelled out so that a compiler sees independent sums over arrays that do not overlap.


def _row(matrix, j, first, high, start, stop, zero):
    """Stretch of row first + j, or zeros beyond the last row."""
    return matrix[first + j, start:stop] if first + j < high else zero[: stop - start]


def _inner(g, m, q, d, out):
    """PRODUCTS of four vectors, added to ``out``."""
    gg = mm = qq = dd = qd = gq = gd = mq = md = g.dtype.type(0)
    for i in range(g.size):
        gg += g[i] * g[i]
        mm += m[i] * m[i]
        qq += q[i] * q[i]
        dd += d[i] * d[i]
        qd += q[i] * d[i]
        gq += g[i] * q[i]
        gd += g[i] * d[i]
        mq += m[i] * q[i]
        md += m[i] * d[i]
    out += np.array((gg, mm, qq, dd, qd, gq, gd, mq, md))


def _squares(rows, out):
    """Squares of four rows, added to ``out`` entry by entry."""
    a, b, c, d = rows
    for i in range(out.size):
        out[i] += a[i] * a[i] + b[i] * b[i] + c[i] * c[i] + d[i] * d[i]


def _crossed(left, right, out):
    """Products of four rows with four others, added to ``out`` entry by entry."""
    a, b, c, d = left
    e, f, g, h = right
    for i in range(out.size):  # two loops: more arrays in one, and the compiler gives up on telling them apart
        out[i] += a[i] * e[i] + b[i] * f[i]
    for i in range(out.size):
        out[i] += c[i] * g[i] + d[i] * h[i]
