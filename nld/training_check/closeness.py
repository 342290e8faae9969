"""When two computations of the same tensors count as equal."""

import math
from collections.abc import Collection, Mapping

import torch

from nld.monitor.precision import fits, sample

# Relative difference of two gradients that are the same but for the order of sums, by what computed them.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
FLOOR = 1e-2  # a tensor much smaller than the largest one is rounded at this share of the latter's tolerance

Tensors = Mapping[str, torch.Tensor]


def precision(tensors: Tensors) -> torch.dtype:
    """The coarsest precision that computed any of some gradients: of float32 weights under autocast bfloat16."""
    of_each = [fits(sample(tensor)) or tensor.dtype for tensor in tensors.values()]
    return max(of_each, key=lambda dtype: TOLERANCE.get(dtype, 0.0), default=torch.float32)


def norm(tensors: Tensors) -> float:
    """The Euclidean norm of all of them together."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors.values()))


class Closeness:
    """Compares tensors by name with those of a reference, whose precision and sizes say what counts as equal."""

    def __init__(self, reference: Tensors):
        self.tolerance = TOLERANCE.get(precision(reference), 1e-4)
        self._floor = FLOOR * max((norm({n: t}) for n, t in reference.items()), default=0.0)

    def difference(self, a: torch.Tensor, b: torch.Tensor, size: float = 1.0) -> float:
        """|a − b| over |b|, or over a share of ``size`` times the reference's largest norm where b is small."""
        a, b = a.double(), b.double()
        bottom = max(float(b.norm()), self._floor * size)
        return float((a - b).norm()) / bottom if bottom else float((a - b).norm() > 0)

    def near(self, a: Tensors, b: Tensors, names: Collection[str], factor: float = 1.0) -> bool:
        """Whether a is ``factor`` times b."""
        size = min(abs(factor), 1.0)
        return all(self.difference(a[name], factor * b[name].double(), size) <= self.tolerance for name in names)

    def factor(self, a: Tensors, b: Tensors, names: Collection[str]) -> float | None:
        """The number that makes a of b, one for all names; None if there is none."""
        bottom = sum(float(b[name].double().square().sum()) for name in names)
        if not bottom:
            return None
        factor = sum(float((a[name].double() * b[name].double()).sum()) for name in names) / bottom
        return factor if factor and self.near(a, b, names, factor) else None


def exponent(number: float | None) -> int | None:
    """n of a number 2ⁿ; None of any other."""
    if number is None or number <= 0:
        return None
    power = math.log2(number)
    return round(power) if abs(power - round(power)) < 1e-6 else None
