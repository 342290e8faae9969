"""One-parameter symmetries Q(q, s) and their generators A(q) = dQ/ds at s = 0.

A point q is a sequence of *parts*; a part is anything that adds and multiplies: a sympy
expression, a number, a numpy array, a torch tensor (a filter, a row of a matrix). Only
plain arithmetic is used, so one value serves derivations, simulations and networks.
Every family is exact at finite s. Rotations and elementary matrices use rational parametrizations,
which have the same generator as the exponential and need no exp, cos or inverse; ``linear`` is given an exponential.

Paper: Section 2; Noether's theorem needs Q(q, 0) = q and dQ/ds at s = 0 only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from nld.errors import InvalidInput

Parts = Sequence[Any]


class Kind(StrEnum):
    """The kinds of symmetry that a model is searched for; each says how its generator acts, and is its own name."""

    TRANSLATION = "translation"
    SCALE = "scale"
    RESCALE = "rescale"
    GENERAL_LINEAR = "general_linear"
    ROTATION = "rotation"

    @property
    def is_constant(self) -> bool:
        """Whether A(q) is the same everywhere; otherwise it is linear in q."""
        return self is Kind.TRANSLATION

    @property
    def is_matrix(self) -> bool:
        """Whether a unit has a d x d matrix of charges, one for each generator B, instead of one."""
        return self in (Kind.GENERAL_LINEAR, Kind.ROTATION)

    @property
    def is_antisymmetric(self) -> bool:
        """Whether only antisymmetric B generate it."""
        return self is Kind.ROTATION

    @property
    def words(self) -> str:
        """The kind as it stands in a sentence."""
        return self.value.replace("_", " ")


@dataclass(frozen=True)
class Symmetry:
    """A one-parameter family of transformations of the parameters.

    Args:
        name: what the field calls it ("scale").
        transform: Q(q, s), a tuple of parts; Q(q, 0) = q.
        generator: A(q) = dQ/ds at s = 0, a tuple of parts, any smooth function of q.
    """

    name: str
    transform: Callable[[Parts, Any], tuple]
    generator: Callable[[Parts], tuple]

    def linear_part(self, v: Parts) -> tuple:
        """DA v = A(v) - A(0): how the generator carries a displacement or velocity v along. Holds if A is affine."""
        zero = [0 * part for part in v]
        return tuple(a - b for a, b in zip(self.generator(v), self.generator(zero), strict=True))


def translation(direction: Parts) -> Symmetry:
    """Q = q + s n: shift every part along a constant direction n, one number a part.

    A(q) = n. Softmax logits and parameters before a mean subtraction have it.
    """

    transform, generator = _part_by_part(
        "translation", direction, lambda part, n, s: part + s * (n + 0 * part), lambda part, n: n + 0 * part
    )
    return Symmetry("translation", transform, generator)


def scale() -> Symmetry:
    """Q = (1 + s) q: multiply every part; A(q) = q. Weights before a normalization layer have it."""
    return Symmetry(
        "scale",
        lambda q, s: tuple((1 + s) * part for part in q),
        lambda q: tuple(1 * part for part in q),
    )


def rescale(exponents: Sequence[float] = (1, -1), offsets: Sequence[float] = ()) -> Symmetry:
    """Q_i = (1 + s)^{c_i} q_i with any real c_i: +1 incoming, -1 outgoing weights; A_i(q) = c_i q_i.

    Units with a homogeneous activation (linear, ReLU, leaky ReLU) have it. 1 + s must be positive unless all c_i are
    integers.

    Args:
        exponents: c_i.
        offsets: a_i, where the loss sees q_i + a_i (a gain written 1 + w): it is this sum that scales,
            Q_i = (1 + s)^{c_i} (q_i + a_i) - a_i and A_i(q) = c_i (q_i + a_i).
    """
    if any(offsets):
        pairs = tuple(zip(exponents, offsets, strict=True))
        transform, generator = _part_by_part(
            "rescale",
            pairs,
            lambda part, ca, s: (1 + s) ** ca[0] * (part + ca[1]) - ca[1],
            lambda part, ca: ca[0] * (part + ca[1]),
        )
        return Symmetry("rescale", transform, generator)
    transform, generator = _part_by_part(
        "rescale", tuple(exponents), lambda part, c, s: (1 + s) ** c * part, lambda part, c: c * part
    )
    return Symmetry("rescale", transform, generator)


def rotation(first: int = 0, second: int = 1) -> Symmetry:
    """Rotate the parts ``first`` and ``second`` into each other; A(q) = (-q_second, q_first) there.

    Cayley's form: cos = (1 - u^2)/(1 + u^2), sin = 2u/(1 + u^2) with u = s/2.
    """

    def transform(q: Parts, s) -> tuple:
        u = s / 2
        cos, sin = (1 - u**2) / (1 + u**2), 2 * u / (1 + u**2)
        parts = list(q)
        parts[first] = cos * q[first] - sin * q[second]
        parts[second] = sin * q[first] + cos * q[second]
        return tuple(parts)

    def generator(q: Parts) -> tuple:
        parts = [0 * part for part in q]
        parts[first], parts[second] = -1 * q[second], 1 * q[first]
        return tuple(parts)

    return Symmetry("rotation", transform, generator)


def general_linear(size: int, row: int, column: int) -> Symmetry:
    """W -> (1 + s E) W, U -> U (1 + s E)^{-1} with E the elementary matrix E[row, column].

    The parts are the ``size`` rows of W followed by the ``size`` columns of U, so that U W is
    invariant. The elementary matrices span gl(size); as E E = delta E the inverse is
    1 - s/(1 + delta s) E. Linear pairs, queries and keys, values and outputs have it.

    A(q): row ``row`` of W receives row ``column``; column ``column`` of U loses column ``row``.

    Raises:
        ValueError: the row or the column is not below the size.
    """
    if not (0 <= row < size and 0 <= column < size):
        raise InvalidInput(f"expected row and column below size {size}, got ({row}, {column}); count from 0")
    delta = int(row == column)

    def transform(q: Parts, s) -> tuple:
        _check_parts(q, 2 * size, "general_linear")
        parts = list(q)
        parts[row] = q[row] + s * q[column]
        parts[size + column] = q[size + column] - s / (1 + delta * s) * q[size + row]
        return tuple(parts)

    def generator(q: Parts) -> tuple:
        _check_parts(q, 2 * size, "general_linear")
        parts = [0 * part for part in q]
        parts[row] = 1 * q[column]
        parts[size + column] = -1 * q[size + row]
        return tuple(parts)

    return Symmetry("general_linear", transform, generator)


def linear(matrix, sides: Sequence[float], exponential: Callable[[Any], Any]) -> Symmetry:
    """Q_i = exp(s B) q_i on one side and exp(-s B^T) q_i on the other, so that products q_i^T q_j of the two stay.

    A_i(q) = B q_i and -B^T q_i. For an antisymmetric B both sides turn alike. Pairs of layers have it (and
    ``general_linear`` is its case of an elementary B, row by row), layers that only norms follow have the rotations.

    Args:
        matrix: B, shape (d, d), or one for each matrix of a stack.
        sides: for each part, a positive number for the one side and a negative number for the other.
        exponential: of a matrix, in the arithmetic of the parts (``torch.linalg.matrix_exp``, ``scipy.linalg.expm``);
            parts have shape (d, features) or are stacks of such.
    """
    matrices = [matrix if side > 0 else -_transpose(matrix) for side in sides]
    transform, generator = _part_by_part(
        "linear symmetry", matrices, lambda part, b, s: exponential(s * b) @ part, lambda part, b: b @ part
    )
    return Symmetry("linear", transform, generator)


def linear_charges(products: Sequence, sides: Sequence[float], antisymmetric: bool = False):
    """The charges of ``linear`` for all B at once: the matrix M with sum_i <p_i, A_i(q)> = sum_ab M_ab B_ab.

    M = p q^T on one side, -(p q^T)^T on the other. If only antisymmetric B count, (M - M^T)/2, which has the same sums.

    Args:
        products: p_i q_i^T of each part, shape (d, d) or a stack of such.
        sides: as in ``linear``.
    """
    total = sum(product if side > 0 else -_transpose(product) for product, side in zip(products, sides, strict=True))
    return (total - _transpose(total)) / 2 if antisymmetric else total


def _transpose(matrix):
    return matrix.mT if hasattr(matrix, "mT") else matrix.T  # sympy has no stacks of matrices


def _part_by_part(name: str, coefficients: Sequence, transform: Callable, generator: Callable) -> tuple:
    """Q(q, s) and A(q) of all parts from those of one part and its coefficient."""

    def of_all(of_one: Callable, q: Parts, *s) -> tuple:
        _check_parts(q, len(coefficients), name)
        return tuple(of_one(part, c, *s) for part, c in zip(q, coefficients, strict=True))

    return partial(of_all, transform), partial(of_all, generator)


def _check_parts(q: Parts, expected: int, name: str) -> None:
    if len(q) != expected:
        raise InvalidInput(
            f"expected a point of {expected} parts for this {name}, got {len(q)}; "
            "pass one part for each coefficient the symmetry was made with"
        )
