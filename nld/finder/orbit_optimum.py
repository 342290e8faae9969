"""The point of a symmetry orbit that mini-batch noise and weight decay drive a network to.

With the step q -> q - eta (g + k q) on mini-batches that all have the symmetry exp(s A), A symmetric, the charge
C = <q, A q> changes, exactly, by

    C_{n+1} - C_n = eta^2 <g, A g> - (2 eta k - eta^2 k^2) C_n .

Along the orbit q_s = exp(s A) q the gradients are g_s = exp(-s A) g, so that the mean of this is -eta F'(s), the slope
of a convex function

    F(s) = k (1 - eta k/2) |q_s|^2 + (eta/2) E|g_s|^2 ,

whose minimum is where noise and decay balance. Without noise it is where the norm is least: balanced weights.
For an invertible matrix T acting on a pair of layers, F is tr(S up) + tr(S^{-1} down) with S = T^T T, convex in S, and
S up S = down at its minimum: the geometric mean of up^{-1} and down. Reference: Ziyin, Wang, Li and Wu 2024.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import vmap

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.symmetry import Kind

Tensors = Mapping[str, Tensor]
KINDS = (Kind.SCALE, Kind.RESCALE, Kind.GENERAL_LINEAR)
HALVINGS = 60  # of an interval that a double divides into 2^53 at best


@dataclass(frozen=True, eq=False)
class OrbitOptimum:
    """Where on its orbit each unit of a block would be at rest, and what lies between.

    Args:
        block: the symmetry.
        log_factor: s of each unit, shape (units,), by which its weights go with exp(c s); for a general_linear block
            the symmetric matrix B of exp(B), shape (units, d, d).
        objective: F of each unit where it is, in ℓ, shape (units,).
        least: F of each unit at its optimum.
    """

    block: Block
    log_factor: Tensor
    objective: Tensor
    least: Tensor

    @property
    def distance(self) -> Tensor:
        """|s|, or the Frobenius norm of B: how far each unit is from its optimum, shape (units,)."""
        return self.log_factor.flatten(1).norm(dim=1) if self.block.kind.is_matrix else self.log_factor.abs()

    def moved(self, parameters: Tensors) -> dict[str, Tensor]:
        """The parameters with the block's at the optimum: another point, the same function ("teleportation")."""
        moved = {name: p.detach() for name, p in parameters.items()}
        moved |= {name: moved[name].clone() for name in self.block.parameters}
        matrix = self.log_factor if self.block.kind.is_matrix else None
        for member in self.block.members:
            part, tensor = replace(self.block, members=(member,)), moved[member.parameter]
            if matrix is not None:
                rows = part.symmetry(matrix.to(tensor)).transform(part.point(moved), 1.0)
            else:
                rows = part.symmetry().transform(part.point(moved), self.log_factor.expm1()[:, None].to(tensor))
            member.write(tensor, *rows)
        return moved


def orbit_optimum(
    block: Block,
    gradients: Tensors,
    parameters: Tensors | None = None,
    *,
    learning_rate: float = 1.0,
    weight_decay: float = 0.0,
) -> OrbitOptimum:
    """Where on the orbit of a symmetry the gradient noise of SGD, with or without weight decay, is in balance.

    The minimum along the orbit of F = k (1 - eta k/2) |q|^2 + (eta/2) E|g|^2, a convex problem, for all units at once:
    in closed form where all exponents are ±1, and the geometric mean of two matrices for general_linear.
    Two more uses of the same call: ``.moved(parameters)`` goes there without changing the function, and
    ``gradients={}`` with a weight decay balances the weights (least norm along the orbit).

    Holds if every mini-batch's loss has the symmetry, for gradient descent without momentum, other blocks at rest.

    Args:
        block: a scale, rescale or general_linear symmetry, as found by ``find_symmetries``.
        gradients: by parameter name, stacked along a first axis, one for each mini-batch (of the size that is trained
            with), not centred, without weight decay. ``torch.func.vmap(torch.func.grad(loss), (None, 0))`` gives them
            in this form. {} if there is no noise.
        parameters: by name, where the gradients were taken; needed with weight decay.
        learning_rate: eta, in w²/ℓ. Without weight decay it does not move the optimum.
        weight_decay: k, in ℓ/w², as added to the gradient: twice the gamma of a penalty gamma |q|².

    Raises:
        ValueError: the kind of symmetry is an isometry, on which noise has no effect; two members share entries; a
            tensor is missing; or some unit has no optimum at a finite distance, such as all units of a scale symmetry
            without weight decay.

    References:
        Ziyin, Wang, Li, Wu (2024).
    """
    decay = _checked(block, gradients, parameters, learning_rate, weight_decay)
    exponents: list[float] = []
    weights: list[Tensor] = []
    for member, tensors in zip(block.members, _rows(block, gradients), strict=True):
        if tensors is not None:
            exponents.append(-2 * member.coefficient)
            weights.append(learning_rate / 2 * _square(tensors, block.kind.is_matrix).mean(0))
    if decay and parameters is not None:
        for member, rows in zip(block.members, block.point(parameters), strict=True):
            exponents.append(2 * member.coefficient)
            weights.append(decay * _square(rows.detach().double(), block.kind.is_matrix))
    if block.kind.is_matrix:
        up, down = (
            sum((w for e, w in zip(exponents, weights, strict=True) if e * sign > 0), torch.zeros_like(weights[0]))
            for sign in (1, -1)
        )
        return _matrix_optimum(block, up, down)
    return _scalar_optimum(block, torch.tensor(exponents, dtype=torch.float64), torch.stack(weights, 1))


def _checked(block: Block, gradients: Tensors, parameters: Tensors | None, rate: float, weight_decay: float) -> float:
    """k (1 - eta k/2), once everything that is needed is there."""
    if block.kind not in KINDS:
        raise InvalidInput(
            f"expected a block among {', '.join(kind.words for kind in KINDS)}, got {block.kind.words}: it moves "
            "points without changing lengths of gradients, so that noise does not choose between them"
        )
    if not (rate > 0 and 0 <= weight_decay * rate < 2):
        raise InvalidInput(
            f"expected learning_rate > 0 and weight_decay in [0, 2/learning_rate), got {rate} and {weight_decay}"
        )
    if not gradients and not weight_decay:
        raise InvalidInput("expected gradients or a weight_decay, got neither; without both no point is preferred")
    if weight_decay and parameters is None:
        raise InvalidInput("expected parameters with a weight_decay; pass dict(model.named_parameters())")
    for what, tensors in (("gradients", gradients), ("parameters", parameters)):
        if tensors and (missing := sorted(set(block.parameters) - set(tensors))):
            raise InvalidInput(f"expected {what} of all parameters of block {block.name!r}, got none of {missing}")
    shapes = {name: p.shape for name, p in (parameters or {n: g[0] for n, g in gradients.items()}).items()}
    _refuse_shared(block, shapes)
    return weight_decay * (1 - rate * weight_decay / 2)


def _refuse_shared(block: Block, shapes: Mapping[str, torch.Size]) -> None:
    for name in block.parameters:
        entries = torch.arange(shapes[name].numel()).reshape(shapes[name])
        members = [member for member in block.members if member.parameter == name]
        taken = torch.cat([member.rows(entries).reshape(-1) for member in members])
        if len(taken.unique()) < len(taken):
            raise InvalidInput(
                f"expected members of block {block.name!r} with entries of their own, got several that move the same "
                f"ones of {name!r}; split the block, or balance its units one by one"
            )


def _rows(block: Block, gradients: Tensors) -> list[Tensor | None]:
    """Rows of each member for all mini-batches at once, in double precision; None where there are no gradients."""
    return [
        vmap(member.rows)(gradients[member.parameter].detach()).double() if gradients else None
        for member in block.members
    ]


def _square(rows: Tensor, is_matrix: bool) -> Tensor:
    """|q|^2 of each unit, shape (..., units), or q q^T, shape (..., units, d, d)."""
    return rows @ rows.mT if is_matrix else rows.square().sum(-1)


def _scalar_optimum(block: Block, exponents: Tensor, weights: Tensor) -> OrbitOptimum:
    """The minimum of sum_i w_i exp(e_i s) for each unit; weights have shape (units, terms)."""
    slopes = weights * exponents
    up, down = slopes.clamp(min=0).sum(1), (-slopes).clamp(min=0).sum(1)
    empty = (up == 0) & (down == 0)  # such as a dead unit: nothing pulls it anywhere
    _refuse_infinite(block, ((up == 0) | (down == 0)) & ~empty)
    # Each term changes at least as fast as with the smallest exponent, hence the minimum lies between 0 and this.
    end = torch.where(empty, 0.0, (down / up).log()) / (2 * exponents.abs().min())
    inner, outer = torch.zeros_like(end), end
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        beyond = (slopes * (exponents * middle[:, None]).exp()).sum(1) * end > 0
        inner, outer = torch.where(beyond, inner, middle), torch.where(beyond, middle, outer)
    least = (weights * (exponents * outer[:, None]).exp()).sum(1)
    return OrbitOptimum(block, outer, weights.sum(1), least)


def _matrix_optimum(block: Block, up: Tensor, down: Tensor) -> OrbitOptimum:
    """The minimum of tr(S up) + tr(S^{-1} down) over positive definite S = exp(2 B), for each unit."""
    flat = torch.zeros(block.units, dtype=torch.bool)
    for matrix in (up, down):
        values = torch.linalg.eigvalsh(matrix)
        flat |= values[:, 0] <= values[:, -1] * block.size * torch.finfo(matrix.dtype).eps
    _refuse_infinite(block, flat)
    root, inverse = _power(up, 0.5), _power(up, -0.5)
    mean = inverse @ _power(root @ down @ root, 0.5) @ inverse
    values, vectors = torch.linalg.eigh((mean + mean.mT) / 2)
    half_log = (vectors * (values.log() / 2)[:, None, :]) @ vectors.mT
    trace = torch.vmap(torch.trace)
    return OrbitOptimum(block, half_log, trace(up) + trace(down), 2 * trace(mean @ up))


def _power(matrix: Tensor, power: float) -> Tensor:
    """Of positive definite symmetric matrices."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).pow(power)[:, None, :]) @ vectors.mT


def _refuse_infinite(block: Block, units: Tensor) -> None:
    if bool(units.any()):
        raise InvalidInput(
            f"expected an optimum at a finite distance, got none for units {units.nonzero().flatten().tolist()} of "
            f"block {block.name!r}: noise and decay push them one way only; pass a weight_decay > 0 (a scale symmetry "
            "has no optimum without), more gradients than there are units, or leave out units without use"
        )
