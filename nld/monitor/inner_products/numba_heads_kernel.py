"""The compiled loop that multiplies the matrices of heads; importing this module needs numba.

The vectors of a head are laid feature by feature once for all its products, and each product is summed in the
processor's registers, tile by tile, feature after feature.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils

from nld.monitor.inner_products.numba_intrinsics import FUSED, REGISTER, pointer, spliced, ticket
from nld.monitor.inner_products.numba_kernel import can_be_kept
from nld.monitor.inner_products.numba_tables import Head, HeadStage, dtype
from nld.monitor.inner_products.products import DISPLACEMENT, GRADIENT, MATRICES, MOMENTUM, NOW, POSITION

_ROWS, _VECTORS = 4, 2  # of a tile: its sums, as many registers as hide a sum's latency, stay in registers
_FEATURES = 64  # that are laid together, and stay in a fast cache while they are multiplied
_PANELS = (GRADIENT, MOMENTUM, POSITION, NOW, DISPLACEMENT)  # first those that lie in memory
# Of each of MATRICES, the panels on the left and on the right.
_SIDES = tuple((_PANELS.index(left), _PANELS.index(right)) for left, right in MATRICES.values())
_GIVEN, _OLD, _NEW, _MOVED = 4, _PANELS.index(POSITION), _PANELS.index(NOW), _PANELS.index(DISPLACEMENT)
_machine_code: Any = njit
# What an address in the table points to.
_STAGE, _HEAD, _WORD = np.zeros(1, dtype(HeadStage)), np.zeros(1, dtype(Head)), np.zeros(1, np.int64)


@cache
def function() -> Any:
    """The loop for single precision, as numba's cfunc; its argument is a HeadStage's address."""
    sides = _SIDES  # numba keeps machine code by this file and by what the loop encloses

    def loop(stage):
        _work(stage, np.zeros(len(sides), np.float32))

    return cfunc("void(int64)", cache=can_be_kept(loop))(loop)


@spliced
def _tile(_, like, left, right, step, features, out, out_step):
    """Products of some entries on the left with registers full on the right, summed over features, added to ``out``."""
    size = like.dtype.bitwidth // 8
    lanes = REGISTER // like.dtype.bitwidth

    def code(context, builder, signature, arguments):
        number, whole = context.get_value_type(like.dtype), ir.IntType(32)
        vector = ir.VectorType(number, lanes)
        _, left, right, step, features, out, out_step = arguments
        everywhere = ir.Constant(ir.VectorType(whole, lanes), [0] * lanes)

        def at(address, of, entries):
            return builder.inttoptr(builder.add(address, ir.Constant(address.type, entries * size)), of.as_pointer())

        sums = [[cgutils.alloca_once(builder, vector) for _ in range(_VECTORS)] for _ in range(_ROWS)]
        for row, totals in enumerate(sums):
            place = builder.add(out, builder.mul(out_step, ir.Constant(out.type, row)))
            for i, total in enumerate(totals):
                builder.store(builder.load(at(place, vector, lanes * i), align=size), total)
        with cgutils.for_range(builder, features) as loop:
            along = builder.mul(loop.index, step)
            a, b = builder.add(left, along), builder.add(right, along)
            entries = [builder.load(at(b, vector, lanes * i), align=size) for i in range(_VECTORS)]
            for row, totals in enumerate(sums):
                one = builder.load(at(a, number, row), align=size)
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), one, ir.Constant(whole, 0))
                same = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)
                for entry, total in zip(entries, totals, strict=True):
                    product = builder.fmul(same, entry, flags=FUSED)
                    builder.store(builder.fadd(builder.load(total), product, flags=FUSED), total)
        for row, totals in enumerate(sums):
            place = builder.add(out, builder.mul(out_step, ir.Constant(out.type, row)))
            for i, total in enumerate(totals):
                builder.store(builder.load(total), at(place, vector, lanes * i), align=size)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 6), code


@spliced
def _turned(_, like, source, source_step, target, target_step):
    """The transpose of as many rows and columns as a register has numbers, from one address to another."""
    size = like.dtype.bitwidth // 8
    lanes = REGISTER // like.dtype.bitwidth

    def code(context, builder, signature, arguments):
        number, whole = context.get_value_type(like.dtype), ir.IntType(32)
        vector = ir.VectorType(number, lanes)
        _, source, source_step, target, target_step = arguments

        def row(address, step, i):
            place = builder.add(address, builder.mul(step, ir.Constant(step.type, i)))
            return builder.inttoptr(place, vector.as_pointer())

        def chosen(one, other, mask):
            return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(whole, lanes), mask))

        rows = [builder.load(row(source, source_step, i), align=size) for i in range(lanes)]
        half = 1
        while half < lanes:  # swap the off-diagonal quarters of ever larger blocks
            for i in range(lanes):
                if not i & half:
                    one, other = rows[i], rows[i | half]
                    rows[i] = chosen(one, other, [j + lanes - half if j & half else j for j in range(lanes)])
                    rows[i | half] = chosen(one, other, [j + lanes if j & half else j + half for j in range(lanes)])
            half *= 2
        for i, values in enumerate(rows):
            builder.store(values, row(target, target_step, i), align=size)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), code


@_machine_code
def _work(address, like):
    stage = carray(pointer(address, _STAGE), 1)[0]
    panels = np.zeros(len(_PANELS) * _FEATURES * stage.width, like.dtype)
    sums = np.empty(len(_SIDES) * stage.width**2, like.dtype)
    number = ticket(address)
    while number < stage.count:
        head: Any = carray(pointer(stage.heads, _HEAD), stage.count)[number]
        _measure(stage, head, panels, sums, like)
        number = ticket(address)


@_machine_code
def _lay(source, head, first, last, panel, like):
    """Lay features first to last of a head, side by side the entries of each feature."""
    size, lanes = like.itemsize, REGISTER // 8 // like.itemsize
    if head.size_step == 1:
        for k in range(first, last):
            entries = carray(pointer(source + k * head.feature_step * size, like), head.size)
            into = panel[k - first]
            for i in range(head.size):
                into[i] = entries[i]
        return
    rows = cols = 0
    if head.feature_step == 1:
        rows, cols = head.size // lanes * lanes, (last - first) // lanes * lanes
        for i in range(0, rows, lanes):
            start = source + (i * head.size_step + first) * size
            for k in range(0, cols, lanes):
                target = panel.ctypes.data + (k * panel.shape[1] + i) * size
                _turned(like, start + k * size, head.size_step * size, target, panel.shape[1] * size)
    values = carray(pointer(source, like), 1 + (head.size - 1) * head.size_step + (last - 1) * head.feature_step)
    for k in range(last - first):
        for i in range(rows if k < cols else 0, head.size):
            panel[k, i] = values[i * head.size_step + (first + k) * head.feature_step]


@_machine_code
def _multiply(left, right, features, sums, size, like):
    """Add left right^T, of which a symmetric one needs only what is not below its diagonal."""
    width, number = sums.shape[0], like.itemsize
    together, step = _VECTORS * REGISTER // 8 // number, width * number
    symmetric = left.ctypes.data == right.ctypes.data
    for column in range(0, size, together):
        for row in range(0, min(size, column + together) if symmetric else size, _ROWS):
            a, b = left.ctypes.data + row * number, right.ctypes.data + column * number
            _tile(like, a, b, step, features, sums.ctypes.data + row * step + column * number, step)


@_machine_code
def _measure(stage, head, panels, sums, like):
    addresses = carray(pointer(stage.vectors, _WORD), (_GIVEN, stage.parameters))
    size, together = head.size, _VECTORS * REGISTER // 8 // like.itemsize
    width = (size + together - 1) // together * together
    laid = panels[: len(_PANELS) * _FEATURES * width].reshape((len(_PANELS), _FEATURES, width))
    totals = sums[: len(_SIDES) * width * width].reshape((len(_SIDES), width, width))
    totals[:] = 0
    for first in range(0, head.features, _FEATURES):
        last = min(first + _FEATURES, head.features)
        for vector in range(_GIVEN):
            address = addresses[vector, head.parameter]
            if address:
                _lay(address + head.offset * like.itemsize, head, first, last, laid[vector], like)
        new, old, moved = laid[_NEW].reshape(-1), laid[_OLD].reshape(-1), laid[_MOVED].reshape(-1)
        for i in range((last - first) * width):
            moved[i] = new[i] - old[i]
        for product in range(len(_SIDES)):
            left, right = _SIDES[product]
            if stage.products >> product & 1 and (left >= _GIVEN or addresses[left, head.parameter]):
                # B q has the charge pi q^T; -B^T q has -(pi q^T)^T = -q pi^T.
                a, b = (left, right) if head.sign > 0 else (right, left)
                _multiply(laid[a], laid[b], last - first, totals[product], size, like)
    for product in range(len(_SIDES)):
        if not stage.products >> product & 1:
            continue
        left, right = _SIDES[product]
        if left == right:
            for i in range(size):
                for j in range(i):
                    totals[product, i, j] = totals[product, j, i]
        out = carray(pointer(head.target + product * head.target_step, like), (size, size))
        sign = like.dtype.type(head.sign)
        for i in range(size):
            into, total = out[i], totals[product, i]
            for j in range(size):
                into[j] = sign * total[j]
