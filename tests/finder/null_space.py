"""Naive second implementations, slow and obvious, that the package's answers are compared with."""

import torch
from torch import nn

from nld.finder.block import Block
from nld.finder.coupled import Coupled


def generic_point(model: nn.Module) -> nn.Module:
    """The model in float64 at random parameters, with every epsilon negligible."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for module in model.modules():
        if isinstance(getattr(module, "eps", None), float):
            module.eps = 1e-16
    return model


def null_directions(model: nn.Module, inputs, loss=None, most: int = 60) -> torch.Tensor:
    """Orthonormal basis (columns) of {v : the derivative along v of every loss of every mini-batch is zero}.

    Every entry of the output is a loss of its own if ``loss`` is None, else every entry of ``loss(output)``. Batches
    are added until the rank has stayed the same three times.
    """
    free = [p for p in model.parameters() if p.requires_grad]
    stacked: list[torch.Tensor] = []
    ranks: list[int] = []
    for _ in range(most):
        x = inputs()
        output = model(x.double() if x.is_floating_point() else x)
        output = (output if loss is None else loss(output)).reshape(-1)
        basis = torch.eye(output.numel(), dtype=output.dtype)
        rows = torch.autograd.grad(output, free, basis, is_grads_batched=True, allow_unused=True)
        rows = [
            torch.zeros(len(basis), p.numel()) if r is None else r.reshape(len(basis), -1)
            for r, p in zip(rows, free, strict=True)
        ]
        stacked.append(torch.cat(rows, 1).double())
        _, values, directions = torch.linalg.svd(torch.cat(stacked), full_matrices=True)
        stacked = [values[:, None] * directions[: len(values)]]  # the same row space in few rows
        ranks.append(int((values > values[0] * 1e-10).sum()))
        if len(ranks) > 3 and len(set(ranks[-4:])) == 1:
            break
    return directions[ranks[-1] :].T


def generators(model: nn.Module, blocks: list[Block]) -> torch.Tensor:
    """A(q) of every unit of every block as dense columns over the trainable parameters."""
    free = {name: p.detach().double() for name, p in model.named_parameters() if p.requires_grad}
    starts, total = {}, 0
    for name, p in free.items():
        starts[name], total = total, total + p.numel()
    flat = torch.cat([p.reshape(-1) for p in free.values()])
    columns = []
    for block in blocks:
        for unit in range(block.units):
            for a in range(block.size):
                for b in range(block.size):
                    if block.kind == "rotation" and b <= a:
                        continue
                    column = torch.zeros(total, dtype=torch.float64)
                    matrix = torch.zeros(block.size, block.size, dtype=torch.float64)
                    matrix[a, b] = 1.0
                    if block.kind == "rotation":
                        matrix[b, a] = -1.0
                    for member in block.members:
                        numbers = torch.arange(free[member.parameter].numel()).reshape(free[member.parameter].shape)
                        index = member.rows(numbers)[unit] + starts[member.parameter]
                        c = member.coefficient
                        if block.kind == "translation":
                            move = torch.full(index.shape, c, dtype=torch.float64)
                        elif block.kind in ("scale", "rescale"):
                            move = c * (flat[index] + member.offset)
                        else:
                            move = (matrix if c > 0 else -matrix.T) @ flat[index]
                        column.index_add_(0, index.reshape(-1), move.reshape(-1))
                    columns.append(column)
    return torch.stack(columns, 1) if columns else torch.zeros(total, 0, dtype=torch.float64)


def coupled_generators(model: nn.Module, coupled: list[Coupled], amount: float = 1e-3) -> torch.Tensor:
    """dQ/ds at s = 0 of every direction of every coupled symmetry as dense columns, by differences of transforms.

    The symmetric difference has an error of order amount squared, Richardson's extrapolation one of its fourth power.
    """
    free = {name: p.detach().double() for name, p in model.named_parameters() if p.requires_grad}
    values = {name: p.detach().double() for name, p in model.named_parameters()}
    columns = []
    for each in coupled:
        point = each.point(values)
        for direction in each.directions():
            transform = each.symmetry(direction).transform
            half, whole = (
                [
                    (after - before) / (2 * h)
                    for after, before in zip(transform(point, h), transform(point, -h), strict=True)
                ]
                for h in (amount / 2, amount)
            )
            moves = [(4 * a - b) / 3 for a, b in zip(half, whole, strict=True)]
            named = dict(zip((*each.flow.moved, *each.flow.read), moves, strict=True))
            columns.append(torch.cat([named.get(n, torch.zeros_like(p)).reshape(-1) for n, p in free.items()]))
    total = sum(p.numel() for p in free.values())
    return torch.stack(columns, 1) if columns else torch.zeros(total, 0, dtype=torch.float64)


def rank(columns: torch.Tensor) -> int:
    """Number of independent columns, each first normalized."""
    if columns.shape[1] == 0:
        return 0
    values = torch.linalg.svdvals(columns / columns.norm(dim=0).clamp_min(1e-300))
    return int((values > 1e-9 * values[0]).sum())
