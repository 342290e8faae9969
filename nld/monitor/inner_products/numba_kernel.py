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
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

from nld.monitor.inner_products.numba_tables import Stage, Sum, Task, dtype
from nld.monitor.inner_products.products import ONES, PAIRS, PAIRS_WITH_ONES, PAIRS_WITHOUT_ONES

_LONGEST = 512  # columns of four rows that stay in the fastest cache
_STRIP = 256  # rows that are summed in the parameters' precision before they are added up in double
_COUNT = len(PAIRS)
# Sums may be reordered, so that they run side by side; what is infinite or not a number stays so.
_FAST: Any = {"fastmath": {"reassoc", "contract", "nsz"}}
_machine_code: Any = njit(**_FAST)
_pasted: Any = njit(inline="always")  # into its caller: a call would hand over sixteen arrays
_spliced: Any = intrinsic
# What an address in the table points to.
_STAGE, _TASK, _SUM = (np.zeros(1, dtype(row)) for row in (Stage, Task, Sum))
_NUMBER = np.zeros(1)
_WORD = np.zeros(1, np.int64)


@_spliced
def _pointer(_, address, like):
    """An address as a pointer to numbers like those of an array."""
    kind = types.CPointer(like.dtype)

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, like), code


@_spliced
def _ticket(_, address):
    """The whole number at an address, which is one more for whoever asks next."""

    def code(context, builder, signature, arguments):
        word = ir.IntType(64)
        place = builder.inttoptr(arguments[0], word.as_pointer())
        return builder.atomic_rmw("add", place, ir.Constant(word, 1), "seq_cst")

    return types.int64(types.int64), code


@cache
def function(single: bool) -> Any:
    """The loop for parameters in single or double precision, as numba's cfunc; its argument is a Stage's address."""
    pairs = PAIRS  # numba keeps machine code by this file and by what the loop encloses: so also by the pairs

    def with_single(stage):
        _work(stage, np.zeros(len(pairs), np.float32))

    def with_double(stage):
        _work(stage, np.zeros(len(pairs), np.float64))

    loop = with_single if single else with_double
    return cfunc("void(int64)", cache=_can_be_kept(loop), **_FAST)(loop)


def _can_be_kept(loop: Any) -> bool:
    """Whether there is a folder that machine code may be written to; if not, every process compiles anew."""
    try:
        FunctionCache(loop)
    except RuntimeError:  # how numba says that it found none
        return False
    return True


@_machine_code
def _work(address, like):
    stage = carray(_pointer(address, _STAGE), 1)[0]
    number = _ticket(address)
    while number < stage.count:
        if stage.adding:
            _add_up(stage, number, number + 1, like)
        else:
            task: Any = carray(_pointer(stage.tasks, _TASK), stage.count)[number]
            _measure(stage, task, like)
            _add_up(stage, task.first_sum, task.last_sum, like)
        number = _ticket(address)


@_machine_code
def _vector(stage, which, task):
    """Address of a task's gradient, momentum, parameter or position, and the step from row to row."""
    addresses = carray(_pointer(stage.vectors, _WORD), (4, stage.matrices))
    steps = carray(_pointer(stage.steps, _WORD), (4, stage.matrices))
    return addresses[which, task.matrix], steps[which, task.matrix]


@_machine_code
def _row(vector, row, start, stop, like):
    """Part of a row."""
    address, step = vector
    return carray(_pointer(address + (row * step + start) * like.itemsize, like), stop - start)


@_machine_code
def _rows(vector, row, high, start, stop, zero):
    """Part of four rows, with zeros beyond the last row."""
    return (
        _row(vector, row, start, stop, zero),
        _row(vector, row + 1, start, stop, zero) if row + 1 < high else zero[: stop - start],
        _row(vector, row + 2, start, stop, zero) if row + 2 < high else zero[: stop - start],
        _row(vector, row + 3, start, stop, zero) if row + 3 < high else zero[: stop - start],
    )


@_machine_code
def _squares(rows, out):
    """Squares of four rows, added to ``out`` entry by entry."""
    a, b, c, d = rows
    for i in range(out.size):
        out[i] += a[i] * a[i] + b[i] * b[i] + c[i] * c[i] + d[i] * d[i]


@_machine_code
def _crossed(left, right, out):
    """Products of four rows with four others, added to ``out`` entry by entry."""
    a, b, c, d = left
    e, f, g, h = right
    for i in range(out.size):  # two loops: more arrays in one, and the compiler gives up on telling them apart
        out[i] += a[i] * e[i] + b[i] * f[i]
    for i in range(out.size):
        out[i] += c[i] * g[i] + d[i] * h[i]


@_machine_code
def _added(rows, out):
    """Four rows, added to ``out`` entry by entry."""
    a, b, c, d = rows
    for i in range(out.size):
        out[i] += a[i] + b[i] + c[i] + d[i]


def _in_one_pass(pairs, first: int) -> Any:
    """A loop over five vectors, the last of ones, that adds products of theirs to ``out`` from place ``first`` on."""

    @_spliced
    def nothing(_, like):
        """Sums of no products, in the precision of an array."""
        kind = types.UniTuple(like.dtype, len(pairs))

        def code(context, builder, signature, arguments):
            return context.get_constant_null(kind)

        return kind(like), code

    @_spliced
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


def _one_by_one(pairs, first: int) -> Any:
    """Products of four rows with four others, entry by entry, added to the strips from place ``first`` on.

    It is written out, a line a product, and pasted: each call of a function of the table would move sixteen arrays.
    """
    lines = []
    for place, (left, right) in enumerate(map(sorted, pairs), first):
        loop = "_added" if right == ONES else "_squares" if left == right else "_crossed"
        rows = ", ".join("gmqd"[vector] for vector in dict.fromkeys((left, right)) if vector != ONES)
        lines.append(f"    {loop}({rows}, strip[{place}, start:stop])")
    names: dict[str, Any] = {}
    exec("\n".join(["def add(g, m, q, d, strip, start, stop):", *lines, "    return"]), globals(), names)
    return _pasted(names["add"])


_row_products = _in_one_pass(PAIRS_WITHOUT_ONES, 0)
_row_products_with_ones = _in_one_pass(PAIRS_WITH_ONES, len(PAIRS_WITHOUT_ONES))
_column_products = _one_by_one(PAIRS_WITHOUT_ONES, 0)
_column_products_with_ones = _one_by_one(PAIRS_WITH_ONES, len(PAIRS_WITHOUT_ONES))


@_machine_code
def _measure(stage, task, like):
    # Four rows at a time: each sum over rows is then fetched and put back a fourth as often.
    low, high, width = task.low, task.high, task.width
    of_rows, of_columns, of_vectors, remember = task.of_rows, task.of_columns, task.of_vectors, stage.remember
    gradients, momenta = _vector(stage, 0, task), _vector(stage, 1, task)
    parameters, positions = _vector(stage, 2, task), _vector(stage, 3, task)
    rows = carray(_pointer(task.row_sums, _NUMBER), (high, _COUNT))
    columns = carray(_pointer(task.column_sums, _NUMBER), (_COUNT, width))
    strip = np.zeros((_COUNT, width if of_columns else 0), like.dtype)
    longest = min(width, _LONGEST)
    moved = np.empty((4, longest), like.dtype)
    zero = np.zeros(longest, like.dtype)
    if of_rows:
        rows[low:high] = 0
    if of_columns:
        columns[:] = 0
    for first in range(low, high, 4):
        here = min(4, high - first)
        for start in range(0, width, _LONGEST):
            stop = min(start + _LONGEST, width)
            at = (start, stop, zero)
            for j in range(here):
                position, parameter = _row(positions, first + j, *at), _row(parameters, first + j, *at)
                d = moved[j, : stop - start]
                for i in range(stop - start):
                    d[i] = parameter[i] - position[i]
                if of_rows:
                    gradient, momentum = _row(gradients, first + j, *at), _row(momenta, first + j, *at)
                    _row_products(gradient, momentum, position, d, rows[first + j])
                    if of_vectors:
                        _row_products_with_ones(gradient, momentum, position, d, rows[first + j])
            if of_columns:
                g, m = _rows(gradients, first, high, *at), _rows(momenta, first, high, *at)
                q = _rows(positions, first, high, *at)
                stored = (moved.ctypes.data, longest)
                d = _rows(stored, 0, here, 0, stop - start, zero)
                _column_products(g, m, q, d, strip, start, stop)
                if of_vectors:
                    _column_products_with_ones(g, m, q, d, strip, start, stop)
            if remember:
                for j in range(here):
                    position, parameter = _row(positions, first + j, *at), _row(parameters, first + j, *at)
                    for i in range(stop - start):
                        position[i] = parameter[i]
        if of_columns and ((first - low) % _STRIP == 0 or first + 4 >= high):
            columns += strip
            strip[:] = 0


@_machine_code
def _add_up(stage, first, last, like):
    """Take the entries of each unit together, over all shares, into the products of each."""
    for number in range(first, last):
        task = carray(_pointer(stage.sums, _SUM), last)[number]
        units, group, shares, products = task.units, task.group, task.shares, task.products
        size, product_step, entry_step = units * group, task.product_step, task.entry_step
        target = carray(_pointer(task.target, like), (_COUNT, units))
        factors = carray(_pointer(task.factors, _NUMBER), _COUNT)
        source = carray(_pointer(task.source, _NUMBER), shares * _COUNT * size)
        for product in range(products):
            factor = factors[product]
            for unit in range(units):
                total = 0.0
                for share in range(shares):
                    begin = share * _COUNT * size + product * product_step + unit * group * entry_step
                    for entry in range(group):
                        total += source[begin + entry * entry_step]
                target[product, unit] = total * factor
