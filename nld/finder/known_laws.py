"""The conservation laws that known symmetries explain, in each flow.

A generator A gives a law of gradient flow, grad h = A, if it is the gradient of a function, so that DA is symmetric;
of a mirror flow, grad h = F A, if F A is; and of momentum, h = exp(∫tau) <v, A>, if it is that of an isometry, so that
DA is antisymmetric (no kinetic symmetry breaking). A constant A gives a second law of momentum.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torch.func import jacfwd, vjp

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.flat_parameters import FlatParameters, flat
from nld.symmetry import Symmetry

Generators = Callable[[Tensor], Tensor]  # from a point, shape (D,), to what all generators do there, shape (number, D)
ZERO = 1e-9  # relative to the largest: coefficients of the linear conditions that are rounding


def generators_of(symmetries: Sequence[Block | Symmetry], parameters: FlatParameters) -> Generators:
    """All generators of the symmetries as functions of the coordinates, one for each unit and matrix.

    Raises:
        ValueError: a block names a parameter that theta does not have.
    """
    theta = parameters.theta(parameters.point)
    fields: list[Callable[[Tensor], Tensor]] = []
    for symmetry in symmetries:
        if isinstance(symmetry, Symmetry):
            fields.append(partial(_by_parts, symmetry, parameters))
            continue
        missing = sorted(set(symmetry.parameters) - set(theta if isinstance(theta, dict) else ()))
        if missing:
            raise InvalidInput(
                f"expected theta to be a dict with the parameters of block {symmetry.name!r}, got none named "
                f"{missing}; pass dict(model.named_parameters())"
            )
        units = product(range(symmetry.units), _matrices(symmetry))
        fields += [partial(_of_unit, symmetry, parameters, unit, matrix) for unit, matrix in units]
    return lambda point: torch.stack([field(point) for field in fields]) if fields else point.new_zeros(0, len(point))


def position_laws(
    generators: Generators, lower: Callable[[Tensor, Tensor], Tensor], points: Sequence[Tensor]
) -> Tensor:
    """Gradients grad h at the first point of the laws h(q) of a gradient or mirror flow, shape (number, D).

    Args:
        generators: of symmetries of phi.
        lower: (q, A) -> F(q) A; for gradient flow A itself.
        points: where DA is to be symmetric, more than one, so that nothing is by accident.
    """

    def covectors(point: Tensor) -> Tensor:
        return lower(point, generators(point))

    jacobians = [jacfwd(covectors)(point) for point in points]
    return _combinations([j - j.mT for j in jacobians]) @ covectors(points[0])


def momentum_laws(generators: Generators, state: Tensor, friction: Callable, points: Sequence[Tensor]) -> Tensor:
    """Gradients in (t, q, v) at a state of the laws of momentum, up to a factor each, shape (number, 2 D + 1)."""
    t, q, v = state[0], *state[1:].chunk(2)
    jacobians = [jacfwd(generators)(point) for point in points]
    isometries = _combinations([j + j.mT for j in jacobians])
    linear, at = torch.einsum("cn,nij->cij", isometries, jacobians[0]), isometries @ generators(q)
    charge = torch.cat([friction(t) * (at @ v)[:, None], linear.mT @ v, at], 1)
    constant = _combinations(jacobians) @ generators(q)
    # <q, n> + g(t) <v, n> with g' = tau g - 1, at a time when g = 0
    position = torch.cat([-(constant @ v)[:, None], constant, torch.zeros_like(constant)], 1)
    return torch.cat([charge, position])


def momentum_mirror_laws(
    generators: Generators,
    lower: Callable[[Tensor, Tensor], Tensor],
    state: Tensor,
    ahead: float,
    points: Sequence[Tensor],
) -> Tensor:
    """Gradients in (t, q, v) of <∇h(y), A> for constant A, with y = q + ``ahead`` v, shape (number, 2 D + 1)."""
    q, v = state[1:].chunk(2)
    constant = _combinations([jacfwd(generators)(point) for point in points]) @ generators(q)
    covectors = lower(q + ahead * v, constant)
    return torch.cat([covectors.new_zeros(len(covectors), 1), covectors, ahead * covectors], 1)


def _combinations(conditions: Sequence[Tensor]) -> Tensor:
    """All c with sum_n c_n condition_n = 0 for every condition, shape (number, n); conditions have shape (n, D, D)."""
    system = torch.cat([condition.flatten(1) for condition in conditions], 1)
    squares, basis = torch.linalg.eigh(system @ system.mT)
    return basis[:, squares.abs() <= ZERO * max(float(system.square().sum()), 1e-300)].mT


def _matrices(block: Block) -> list[Tensor | None]:
    """A basis of the matrices B that generate a block: all, or the antisymmetric ones; [None] if it has no matrix."""
    if not block.kind.is_matrix:
        return [None]
    basis = torch.eye(block.size**2, dtype=torch.float64).reshape(-1, block.size, block.size)
    if block.kind.is_antisymmetric:
        basis = [b - b.mT for b in basis if int(b.argmax()) % block.size > int(b.argmax()) // block.size]
    return list(basis)


def _by_parts(symmetry: Symmetry, parameters: FlatParameters, point: Tensor) -> Tensor:
    return flat(symmetry.generator(parameters.leaves(point)))


def _of_unit(block: Block, parameters: FlatParameters, unit: int, matrix: Tensor | None, point: Tensor) -> Tensor:
    """The generator of one unit of a block, with one matrix B where it has any, on all coordinates."""
    theta = parameters.theta(point)
    moved = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    chosen = torch.nn.functional.one_hot(torch.tensor(unit), block.units).to(point)
    for member, rows in zip(block.members, block.symmetry(matrix).generator(block.point(theta)), strict=True):
        of_unit = chosen.reshape(-1, *[1] * (rows.ndim - 1)) * rows
        (placed,) = vjp(member.rows, theta[member.parameter])[1](of_unit)  # the transpose of rows puts them back
        moved[member.parameter] = moved[member.parameter] + placed
    return flat([moved[name] for name in theta])
