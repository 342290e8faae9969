"""The compiled loop behind nld.monitor.inner_products.numba_backend; importing this module needs numba.

A function of C's calling convention takes tasks from a table until none is left, on as many threads
as call it at once. The table holds addresses, so that one call measures a whole model. Which products it takes
down says nld.monitor.inner_products.products; the loops are made so that a compiler sees independent sums over
arrays that do not overlap.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache

from nld.monitor.inner_products.numba_intrinsics import FUSED, REGISTER, pointer, spliced, ticket
from nld.monitor.inner_products.numba_tables import Stage, Sum, Task, dtype
from nld.monitor.inner_products.products import ONES, PAIRS, PAIRS_WITH_ONES, PAIRS_WITHOUT_ONES

_TOGETHER, _LONGEST = 16, 512  # rows and columns that stay in a fast cache while they are read twice
_STRIP = 256  # rows that are summed in the parameters' precision before they are added up in double
_COUNT = len(PAIRS)
# Sums may be reordered, so that they run side by side; what is infinite or not a number stays so.
_FAST: Any = {"fastmath": {"reassoc", "contract", "nsz"}}
_machine_code: Any = njit(**_FAST)
# What an address in the table points to.
_STAGE, _TASK, _SUM = (np.zeros(1, dtype(row)) for row in (Stage, Task, Sum))
_NUMBER = np.zeros(1)
_WORD = np.zeros(1, np.int64)


@cache
def function(single: bool) -> Any:
    """The loop for parameters in single or double precision, as numba's cfunc; its argument is a Stage's address."""
    pairs = PAIRS  # numba keeps machine code by this file and by what the loop encloses: so also by the pairs

    def with_single(stage):
        _work(stage, np.zeros(len(pairs), np.float32))

    def with_double(stage):
        _work(stage, np.zeros(len(pairs), np.float64))

    loop = with_single if single else with_double
    return cfunc("void(int64)", cache=can_be_kept(loop), **_FAST)(loop)


def can_be_kept(loop: Any) -> bool:
    """Whether there is a folder that machine code may be written to; if not, every process compiles anew."""
    try:
        FunctionCache(loop)
    except RuntimeError:  # how numba says that it found none
        return False
    return True


@_machine_code
def _work(address, like):
    stage = carray(pointer(address, _STAGE), 1)[0]
    number = ticket(address)
    while number < stage.count:
        if stage.adding:
            _add_up(stage, number, number + 1, like)
        else:
            task: Any = carray(pointer(stage.tasks, _TASK), stage.count)[number]
            _measure(stage, task, like)
            _add_up(stage, task.first_sum, task.last_sum, like)
        number = ticket(address)


@_machine_code
def _vector(stage, which, task):
    """Address of a task's gradient, momentum, parameter or position, and the step from row to row."""
    addresses = carray(pointer(stage.vectors, _WORD), (4, stage.matrices))
    steps = carray(pointer(stage.steps, _WORD), (4, stage.matrices))
    return addresses[which, task.matrix], steps[which, task.matrix]


@_machine_code
def _row(vector, row, start, stop, like):
    """Part of a row."""
    address, step = vector
    return carray(pointer(address + (row * step + start) * like.itemsize, like), stop - start)


def _in_one_pass(pairs, first: int) -> Any:
    """A loop over five vectors, the last of ones, that adds products of theirs to ``out`` from place ``first`` on."""

    @spliced
    def nothing(_, like):
        """Sums of no products, in the precision of an array."""
        kind = types.UniTuple(like.dtype, len(pairs))

        def code(context, builder, signature, arguments):
            return context.get_constant_null(kind)

        return kind(like), code

    @spliced
    def with_products(_, sums, entries):
        """The sums, and to each the product of its pair of entries."""

        def code(context, builder, signature, arguments):
            sums, entries = arguments
            for place, pair in enumerate(pairs):
                left, right = (builder.extract_value(entries, vector) for vector in pair)
                total = builder.fadd(builder.extract_value(sums, place), builder.fmul(left, right))
                sums = builder.insert_value(sums, total, place)
            return sums

        return sums(sums, entries), code

    @_machine_code
    def add(g, m, q, d, out):
        sums, one = nothing(g), g.dtype.type(1)
        for i in range(g.size):
            sums = with_products(sums, (g[i], m[i], q[i], d[i], one))
        for place in range(len(pairs)):
            out[first + place] += sums[place]

    return add


def _down_columns(pairs, first: int, bits: int) -> Any:
    """Products of columns that lie side by side, as many as have ``bits``, row by row in the processor's registers.

    It takes the addresses of gradient, momentum, position and parameter, how far apart their rows are, how many rows
    there are, and the address and the step of the sums, which it adds to from place ``first`` on.
    """

    @spliced
    def add(_, like, g, m, q, p, g_step, m_step, q_step, p_step, rows, out, out_step):
        size = like.dtype.bitwidth // 8

        def code(context, builder, signature, arguments):
            number = context.get_value_type(like.dtype)
            lanes = max(1, bits // like.dtype.bitwidth)
            vector = ir.VectorType(number, lanes) if lanes > 1 else number
            starts, steps, (rows, out, out_step) = arguments[1:5], arguments[5:9], arguments[9:]

            def at(address):
                return builder.inttoptr(address, vector.as_pointer())

            sums = [cgutils.alloca_once(builder, vector) for _ in pairs]
            for total in sums:
                builder.store(ir.Constant(vector, None if lanes > 1 else 0.0), total)
            with cgutils.for_range(builder, rows) as loop:
                places = [
                    at(builder.add(start, builder.mul(loop.index, step)))
                    for start, step in zip(starts, steps, strict=True)
                ]
                gradient, momentum, position, parameter = (builder.load(place, align=size) for place in places)
                entries = gradient, momentum, position, builder.fsub(parameter, position)
                for (left, right), total in zip(map(sorted, pairs), sums, strict=True):
                    product = entries[left]
                    if right != ONES:
                        product = builder.fmul(product, entries[right], flags=FUSED)
                    builder.store(builder.fadd(builder.load(total), product, flags=FUSED), total)
            for place, total in enumerate(sums, first):
                target = at(builder.add(out, builder.mul(out_step, ir.Constant(out.type, place))))
                builder.store(builder.fadd(builder.load(target, align=size), builder.load(total)), target, align=size)
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 11), code

    return add


_row_products = _in_one_pass(PAIRS_WITHOUT_ONES, 0)
_row_products_with_ones = _in_one_pass(PAIRS_WITH_ONES, len(PAIRS_WITHOUT_ONES))
_side_by_side = _down_columns(PAIRS_WITHOUT_ONES, 0, REGISTER)
_side_by_side_with_ones = _down_columns(PAIRS_WITH_ONES, len(PAIRS_WITHOUT_ONES), REGISTER)
_one_column = _down_columns(PAIRS_WITHOUT_ONES, 0, 0)
_one_column_with_ones = _down_columns(PAIRS_WITH_ONES, len(PAIRS_WITHOUT_ONES), 0)


@_machine_code
def _column_products(vectors, row, high, start, stop, of_vectors, strip, like):
    """Products of columns start to stop, summed over rows from ``row`` on and added to the strip."""
    (g, g_step), (m, m_step), (p, p_step), (q, q_step) = vectors
    size, lanes = like.itemsize, REGISTER // 8 // like.itemsize
    steps = g_step * size, m_step * size, q_step * size, p_step * size
    g, m, q, p = g + row * steps[0], m + row * steps[1], q + row * steps[2], p + row * steps[3]
    out, out_step = strip.ctypes.data, strip.shape[1] * size
    column = start
    while column + lanes <= stop:
        at = column * size
        _side_by_side(like, g + at, m + at, q + at, p + at, *steps, high - row, out + at, out_step)
        if of_vectors:
            _side_by_side_with_ones(like, g + at, m + at, q + at, p + at, *steps, high - row, out + at, out_step)
        column += lanes
    while column < stop:
        at = column * size
        _one_column(like, g + at, m + at, q + at, p + at, *steps, high - row, out + at, out_step)
        if of_vectors:
            _one_column_with_ones(like, g + at, m + at, q + at, p + at, *steps, high - row, out + at, out_step)
        column += 1


@_machine_code
def _measure(stage, task, like):
    low, high, width = task.low, task.high, task.width
    of_rows, of_columns, of_vectors, remember = task.of_rows, task.of_columns, task.of_vectors, stage.remember
    gradients, momenta = _vector(stage, 0, task), _vector(stage, 1, task)
    parameters, positions = _vector(stage, 2, task), _vector(stage, 3, task)
    rows = carray(pointer(task.row_sums, _NUMBER), (high, _COUNT))
    columns = carray(pointer(task.column_sums, _NUMBER), (_COUNT, width))
    strip = np.zeros((_COUNT, width if of_columns else 0), like.dtype)
    moved = np.empty(min(width, _LONGEST), like.dtype)
    if of_rows:
        rows[low:high] = 0
    if of_columns:
        columns[:] = 0
    for first in range(low, high, _TOGETHER):
        end = min(first + _TOGETHER, high)
        for start in range(0, width, _LONGEST):
            stop = min(start + _LONGEST, width)
            for row in range(first, end if of_rows else first):
                gradient, momentum = _row(gradients, row, start, stop, like), _row(momenta, row, start, stop, like)
                position, parameter = _row(positions, row, start, stop, like), _row(parameters, row, start, stop, like)
                d = moved[: stop - start]
                for i in range(stop - start):
                    d[i] = parameter[i] - position[i]
                _row_products(gradient, momentum, position, d, rows[row])
                if of_vectors:
                    _row_products_with_ones(gradient, momentum, position, d, rows[row])
            if of_columns:
                vectors = gradients, momenta, parameters, positions
                _column_products(vectors, first, end, start, stop, of_vectors, strip, like)
            for row in range(first, end if remember else first):
                position, parameter = _row(positions, row, start, stop, like), _row(parameters, row, start, stop, like)
                for i in range(stop - start):
                    position[i] = parameter[i]
        if of_columns and ((end - low) % _STRIP == 0 or end == high):
            columns += strip
            strip[:] = 0


@_machine_code
def _add_up(stage, first, last, like):
    """Take the entries of each unit together, over all shares, into the products of each."""
    for number in range(first, last):
        task = carray(pointer(stage.sums, _SUM), last)[number]
        units, group, shares, products = task.units, task.group, task.shares, task.products
        share_step, product_step, entry_step = task.share_step, task.product_step, task.entry_step
        extent = 1 + (shares - 1) * share_step + (products - 1) * product_step + (units * group - 1) * entry_step
        target = carray(pointer(task.target, like), (_COUNT, units))
        factors = carray(pointer(task.factors, _NUMBER), _COUNT)
        source = carray(pointer(task.source, _NUMBER), extent)
        for product in range(products):
            factor = factors[product]
            if group == 1 and shares == 1:  # nothing to take together: each line is a unit
                for unit in range(units):
                    target[product, unit] = source[product * product_step + unit * entry_step] * factor
                continue
            for unit in range(units):
                total = 0.0
                for share in range(shares):
                    begin = share * share_step + product * product_step + unit * group * entry_step
                    for entry in range(group):
                        total += source[begin + entry * entry_step]
                target[product, unit] = total * factor
