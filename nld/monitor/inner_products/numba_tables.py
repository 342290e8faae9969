"""The tables that the compiled loop reads: what is to be done, as rows of whole numbers.

Whatever is not a number or a flag is an address. numba keeps machine code as long as numba_kernel.py and
numba_heads_kernel.py stay as they are, so a change of a field here needs one there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Stage(NamedTuple):
    """What a call works on: tasks, or sums over what several tasks have found."""

    next: int  # the row that the next thread takes
    count: int
    adding: int  # whether the rows are sums
    tasks: int
    sums: int
    matrices: int
    vectors: int  # addresses of gradients, momenta, parameters and old positions, (4, matrices)
    steps: int  # how far apart their rows are, (4, matrices)
    remember: int


class Task(NamedTuple):
    """Rows low to high of a matrix, which products are asked for, and which sums may follow at once."""

    matrix: int
    low: int
    high: int
    width: int
    of_rows: int
    of_columns: int
    of_vectors: int  # whether products with ones are asked for
    row_sums: int
    column_sums: int
    first_sum: int
    last_sum: int


class Sum(NamedTuple):
    """The entries of units, which are rows or columns, taken together."""

    source: int
    target: int
    factors: int
    units: int
    group: int  # rows or columns of a unit
    shares: int
    products: int
    share_step: int
    product_step: int
    entry_step: int


class HeadStage(NamedTuple):
    """What a call for the matrices of heads works on."""

    next: int  # the head that the next thread takes
    count: int
    heads: int
    parameters: int
    vectors: int  # addresses of gradients, momenta, old positions and parameters, (4, parameters); 0 of what vanishes
    products: int  # which of MATRICES are asked for, a bit each
    width: int  # of the largest head, rounded up to registers


class Head(NamedTuple):
    """A head of a parameter, how its entries lie, and where its matrices go."""

    parameter: int
    offset: int  # numbers before its first
    size: int
    size_step: int
    features: int
    feature_step: int
    sign: int
    target: int
    target_step: int  # bytes from one of MATRICES to the next


def dtype(row: type[NamedTuple]) -> np.dtype:
    """A row as it lies in memory."""
    return np.dtype([(name, np.int64) for name in row._fields])


def table(row: type[NamedTuple], rows: Sequence[NamedTuple]) -> np.ndarray:
    """Rows one after the other, where an address can point to them."""
    return np.array(rows, dtype(row))
