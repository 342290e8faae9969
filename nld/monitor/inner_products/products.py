"""The one table of inner products that the charge balance needs; both back ends take their slots from it.

A row is a pair of factors. GENERATOR stands for A(q_n) and MOVED for DA Δq: q and Δq themselves where the generator is
linear, ones and nothing where it is constant. A new product is a new row.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nld.symmetry import Kind

# The vectors that a measurement lines up; displacement is Δq of the step that ends. And what it has without: q + Δq.
VECTORS = 5
GRADIENT, MOMENTUM, POSITION, DISPLACEMENT, ONES, NOW = range(VECTORS + 1)
GENERATOR, MOVED = "generator", "moved"

Pair = tuple[int, int]
PRODUCTS: Mapping[str, tuple[int, Any]] = {
    "gradient_gradient": (GRADIENT, GRADIENT),
    "momentum_momentum": (MOMENTUM, MOMENTUM),
    "position_position": (POSITION, POSITION),
    "displacement_displacement": (DISPLACEMENT, DISPLACEMENT),
    "position_displacement": (POSITION, DISPLACEMENT),
    "gradient_generator": (GRADIENT, GENERATOR),
    "gradient_moved": (GRADIENT, MOVED),
    "momentum_generator": (MOMENTUM, GENERATOR),
    "momentum_moved": (MOMENTUM, MOVED),
    "position_generator": (POSITION, GENERATOR),
}
COLUMNS = tuple(PRODUCTS)
# Of a block with a d x d matrix of charges a unit: the plain products, and Σ left right^T over its features.
SQUARES = tuple(name for name, (_, right) in PRODUCTS.items() if right not in (GENERATOR, MOVED))
MATRICES: Mapping[str, Pair] = {
    "gradient_now": (GRADIENT, NOW),
    "momentum_generator": (MOMENTUM, POSITION),
    "momentum_moved": (MOMENTUM, DISPLACEMENT),
    "position_generator": (POSITION, POSITION),
}


def pair(name: str, constant: bool) -> Pair | None:
    """The two vectors of a product under a generator that is constant or linear; None where it vanishes."""
    left, right = PRODUCTS[name]
    if right == GENERATOR:
        return left, ONES if constant else POSITION
    if right == MOVED:
        return None if constant else (left, DISPLACEMENT)
    return left, right


def pairs(names: Iterable[str], kind: Kind) -> list[Pair]:
    """Those of the products that do not vanish for a kind."""
    return [factors for name in names if (factors := pair(name, kind.is_constant)) is not None]


_ALL = dict.fromkeys(each for constant in (False, True) for name in PRODUCTS if (each := pair(name, constant)))
# What a pass over the numbers takes down at most: each pair of vectors once. Those with ones come last.
PAIRS_WITHOUT_ONES = tuple(each for each in _ALL if ONES not in each)
PAIRS_WITH_ONES = tuple(each for each in _ALL if ONES in each)
PAIRS = PAIRS_WITHOUT_ONES + PAIRS_WITH_ONES


def needs_ones(kind: Kind) -> bool:
    """Whether a product of a member of this kind is a sum of entries."""
    return any(ONES in each for each in pairs(PRODUCTS, kind))


def vectors_of(kind: Kind) -> int:
    """How many vectors a member's Gram matrix has: the ones, which are the last, only where a product needs them."""
    return VECTORS if needs_ones(kind) else ONES
