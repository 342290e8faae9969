"""The d x d matrices of heads in single precision on a CPU, by the compiled loop of numba_heads_kernel.

A library checks and packs for each product anew, which is as much as a product of a few thousand entries costs; here it
is done once for all, with the same sums to the bit.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from nld.monitor.inner_products import openmp
from nld.monitor.inner_products.layout import Use, heads_as_view
from nld.monitor.inner_products.numba_tables import Head, HeadStage, table
from nld.monitor.inner_products.products import MATRICES

LEAST = 12  # d from which on the loop's tiles are filled well enough
MOST = 192  # features up to which a library sums one after the other, as the loop does, and not part by part
_TILE = 16  # numbers that the loop rounds the size of a head up to
_NAMES = list(MATRICES)


def compilable(parameters: Sequence[torch.Tensor], uses: Sequence[Use]) -> list[Use]:
    """Which uses the loop can take; none without numba."""
    able = [
        use
        for use in uses
        if use.size >= LEAST
        and abs(use.member.coefficient) == 1
        and parameters[use.parameter].device.type == "cpu"
        and parameters[use.parameter].dtype == torch.float32
        and (lying := heads_as_view(use, parameters[use.parameter].shape)) is not None
        and lying.shape[2] <= MOST
    ]
    return able if able and _compiled() is not None else []


class NumbaHeads:
    """MATRICES of some uses.

    Args:
        parameters: all of the inner products, of one precision.
        uses: what to take; see compilable.
        positions: of their parameters, where a back end keeps the position before the last step.
        targets: for each use where its matrices go, (len(MATRICES), units, d, d).
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        uses: Sequence[Use],
        positions: Mapping[int, torch.Tensor],
        targets: Sequence[torch.Tensor],
    ):
        self._chosen = list(dict.fromkeys(use.parameter for use in uses))
        self._vectors = np.zeros((4, len(self._chosen)), np.int64)
        self._vectors[2] = [positions[index].data_ptr() for index in self._chosen]
        heads, width = [], 0
        for use, target in zip(uses, targets, strict=True):
            lying = heads_as_view(use, parameters[use.parameter].shape)
            assert lying is not None
            (units, d, features), (unit_step, size_step, feature_step) = lying.shape, lying.stride()
            width = max(width, -(-d // _TILE) * _TILE)
            heads += [
                Head(
                    parameter=self._chosen.index(use.parameter),
                    offset=int(lying.storage_offset()) + unit * unit_step,
                    size=d,
                    size_step=size_step,
                    features=features,
                    feature_step=feature_step,
                    sign=int(use.member.coefficient),
                    target=target[:, unit].data_ptr(),
                    target_step=target.stride(0) * target.element_size(),
                )
                for unit in range(units)
            ]
        self._heads = table(Head, heads)
        stage = HeadStage(
            next=0,
            count=len(heads),
            heads=self._heads.ctypes.data,
            parameters=len(self._chosen),
            vectors=self._vectors.ctypes.data,
            products=0,
            width=width,
        )
        self._stage = table(HeadStage, [stage])

    def measure(self, gradients, momenta, parameters, names: Sequence[str]) -> None:
        """Fill the named ones of MATRICES."""
        kept = []  # while the loop reads it
        for row, tensors in ((0, gradients), (1, momenta), (3, parameters)):
            for place, index in enumerate(self._chosen):
                tensor = tensors[index]
                if tensor is not None and (
                    tensor.dtype != torch.float32 or not tensor.is_contiguous() or tensor.device.type != "cpu"
                ):
                    tensor = tensor.detach().to("cpu", torch.float32).contiguous()
                    kept.append(tensor)
                self._vectors[row, place] = 0 if tensor is None else tensor.data_ptr()
        self._stage["next"], self._stage["products"] = 0, sum(1 << _NAMES.index(name) for name in names)
        openmp.run(_compiled(), self._stage.ctypes.data, torch.get_num_threads())


@cache
def _compiled() -> Any:
    """Where the loop lies in machine code, or None where numba is not installed."""
    try:
        from nld.monitor.inner_products.numba_heads_kernel import function
    except ImportError:
        return None
    return function().address
