"""The Lie algebra that vector fields generate, at one point: its dimension by repeated brackets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import jacfwd, jvp, vmap

Field = Callable[[Tensor], Tensor]
Family = Callable[[Tensor, Tensor], Tensor]
CHUNK = 64  # brackets computed at once; bounds the memory
SPARE = 2  # more random brackets than there are directions left, so that a stalled rank is no accident


@dataclass(frozen=True)
class LieSpan:
    """The span of all fields and their brackets at a point.

    Args:
        ranks: its dimension with brackets of 1, 2, 3, … fields.
        settled: whether the last brackets added nothing. At a generic point, where ranks are locally constant, the
            span is then closed under brackets (Frobenius), and further ones add nothing either.
        vectors: random elements of the algebra at the point, each of length one, shape (number, dimension).
        smallest_kept, largest_dropped: singular values of ``vectors`` on either side of the rank, over the largest.
    """

    ranks: tuple[int, ...]
    settled: bool
    vectors: Tensor
    smallest_kept: float
    largest_dropped: float


def bracket(first: Field, second: Field) -> Field:
    """[X, Y] = DY X - DX Y, again a field."""

    def field(point: Tensor) -> Tensor:
        along_first = jvp(second, (point,), (first(point),))[1]
        return along_first - jvp(first, (point,), (second(point),))[1]

    return field


def lie_span(family: Family, size: int, point: Tensor, rounds: int, tolerance: float, seed: int = 0) -> LieSpan:
    """The span at ``point`` of the Lie algebra of the fields X_w = sum_i w_i X_i.

    Brackets [X_w1, [X_w2, … X_wk]] span the algebra (Jacobi). They are linear in each w, so that as many random ones
    as there are directions left span, with probability one, what all of a depth span.

    Args:
        family: (w, point) -> X_w(point), linear in w of shape (size,).
        size: number of fields.
        point: shape (dimension,), where ranks are locally constant.
        rounds: the deepest brackets nest so many fields; those of affine fields are matrix commutators, which cost
            little and end when they add nothing.
        tolerance: singular values below it, over the largest, count as zero.
    """
    random = torch.Generator().manual_seed(seed)
    matrices = _affine(family, size, point)
    nested = (
        partial(_nested, family, point, tolerance)
        if matrices is None
        else partial(_commutators, matrices, point, tolerance)
    )
    vectors = point.new_zeros(0, len(point))
    ranks: list[int] = []
    kept = dropped = 0.0
    for depth in range(1, 1 + (rounds if matrices is None else len(point) + 1)):
        number = len(point) - (ranks[-1] if ranks else 0) + SPARE
        weights = torch.randn(number, depth, size, generator=random, dtype=point.dtype)
        at_point = vmap(nested, chunk_size=CHUNK)(weights)
        lengths = at_point.norm(dim=1, keepdim=True)
        vectors = torch.cat([vectors, torch.where(lengths > 0, at_point / lengths, 0.0)])
        rank, kept, dropped = numerical_rank(vectors, tolerance)
        ranks.append(rank)
        if rank == len(point) or (depth > 1 and rank == ranks[-2]):
            return LieSpan(tuple(ranks), True, vectors, kept, dropped)
    return LieSpan(tuple(ranks), False, vectors, kept, dropped)


def numerical_rank(rows: Tensor, tolerance: float) -> tuple[int, float, float]:
    """Rank, the smallest singular value that counts and the largest that does not, both over the largest of all."""
    values = torch.linalg.svdvals(rows) if rows.numel() else rows.new_zeros(0)
    if not len(values) or float(values[0]) == 0:
        return 0, 0.0, 0.0
    values = values / values[0]
    rank = int((values > tolerance).sum())
    return rank, float(values[rank - 1]), float(values[rank]) if rank < len(values) else 0.0


def _nested(family: Family, point: Tensor, tolerance: float, weights: Tensor) -> Tensor:
    """[X_w1, [X_w2, … X_wk]] at the point, for weights of shape (k, size); zero where it is the rounding of zero."""
    *outer, field = [partial(family, w) for w in weights]
    for generator in reversed(outer[1:]):
        field = bracket(generator, field)
    if not outer:
        return field(point)
    along_first = jvp(field, (point,), (outer[0](point),))[1]
    along_second = jvp(outer[0], (point,), (field(point),))[1]
    return _difference(along_first, along_second, tolerance)


def _difference(one: Tensor, other: Tensor, tolerance: float) -> Tensor:
    """one - other, exactly zero if they cancel: fields that commute must not leave a direction of rounding errors."""
    found = one - other
    return torch.where(found.norm() > tolerance * (one.norm() + other.norm()), found, 0.0)


def _affine(family: Family, size: int, point: Tensor) -> Tensor | None:
    """The fields as matrices on (point, 1), shape (size, dimension + 1, dimension + 1); None if one is not affine."""
    one_hot = torch.eye(size, dtype=point.dtype)

    def jacobians(at: Tensor) -> Tensor:
        return vmap(lambda w: jacfwd(partial(family, w))(at), chunk_size=CHUNK)(one_hot)

    linear = jacobians(point)
    if not torch.allclose(linear, jacobians(1.1 * point + 0.1), rtol=1e-12, atol=1e-12 * float(linear.abs().max())):
        return None
    matrices = point.new_zeros(size, len(point) + 1, len(point) + 1)
    matrices[:, :-1, :-1] = linear
    matrices[:, :-1, -1] = vmap(lambda w: family(w, point))(one_hot) - linear @ point
    return matrices


def _commutators(matrices: Tensor, point: Tensor, tolerance: float, weights: Tensor) -> Tensor:
    """The same brackets of affine fields: [X, Y] has the matrix Y X - X Y."""
    *outer, field = torch.einsum("ks,sij->kij", weights, matrices)
    for generator in reversed(outer):
        field = _difference(field @ generator, generator @ field, tolerance)
        field = field / field.norm().clamp_min(1e-300)
    return (field @ torch.cat([point, point.new_ones(1)]))[:-1]
