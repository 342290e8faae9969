"""Which inner products the books need, as pairs of the vectors that a sheet lines up."""

from nld.monitor.inner_products.layout import VECTORS
from nld.symmetry import Kind

GRADIENT, MOMENTUM, POSITION, DISPLACEMENT, ONES = range(VECTORS)

# The inner products that the books need, as pairs of vectors. "generator" stands for A(q_n) and
# "moved" for DA Δq: q and Δq themselves for scale and rescale, ones and nothing for translation.
COLUMNS = (
    "gradient_gradient",
    "momentum_momentum",
    "position_position",
    "displacement_displacement",
    "position_displacement",
    "gradient_generator",
    "gradient_moved",
    "momentum_generator",
    "momentum_moved",
    "position_generator",
)
SQUARES = (
    (GRADIENT, GRADIENT),
    (MOMENTUM, MOMENTUM),
    (POSITION, POSITION),
    (DISPLACEMENT, DISPLACEMENT),
    (POSITION, DISPLACEMENT),
)
PAIRS = {
    "linear": (
        *SQUARES,
        *((GRADIENT, POSITION), (GRADIENT, DISPLACEMENT), (MOMENTUM, POSITION), (MOMENTUM, DISPLACEMENT)),
        (POSITION, POSITION),
    ),
    "constant": (*SQUARES, (GRADIENT, ONES), None, (MOMENTUM, ONES), None, (POSITION, ONES)),
}
# The matrices of a general_linear or rotation block: Σ left right^T over a head's features.
MATRICES = (
    (GRADIENT, POSITION),
    (GRADIENT, DISPLACEMENT),
    (MOMENTUM, POSITION),
    (MOMENTUM, DISPLACEMENT),
    (POSITION, POSITION),
)


def vectors_of(kind: Kind) -> int:
    """How many vectors a member's Gram matrix has: only translations need the ones."""
    return VECTORS if kind.is_constant else ONES
