"""Does the loss really not notice? Each symmetry measured, by the gradient and by a finite transformation."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.symmetry import linear_charges


@dataclass(frozen=True)
class Violation:
    """How far a block is from a symmetry of this loss at these parameters.

    Args:
        block: what was checked.
        gradient: largest |<g, A q>| / (|g| |A q|) of any unit, g and A q restricted to the entries that move; where
            these have a gradient below (machine epsilon)^(1/4) of the whole one, that is |g|.
        loss_change: relative change of the loss when every unit is transformed by a random finite amount.
    """

    block: Block
    gradient: float
    loss_change: float

    def holds(self, tolerance: float) -> bool:
        """Whether both measures are within the tolerance."""
        return self.gradient <= tolerance and self.loss_change <= tolerance


def overlap(
    block: Block, parameters: Mapping[str, torch.Tensor], gradients: Mapping[str, torch.Tensor], floor: float = 0.0
) -> torch.Tensor:
    """|<g, A q>| / (max(|g|, floor) |A q|) of each unit; for a matrix symmetry the norm over all its generators."""
    q, g = block.point(parameters), block.point(gradients)
    if block.kind.is_matrix:
        products = [force @ part.mT for force, part in zip(g, q, strict=True)]
        charges = linear_charges(products, block.coefficients, block.kind.is_antisymmetric)
        # B_ab and B_ba of an antisymmetric B are one generator, of length sqrt(2)
        along = torch.linalg.matrix_norm(charges) * (math.sqrt(2) if block.kind.is_antisymmetric else 1)
        generator = q
    else:
        generator = block.symmetry().generator(q)
        along = _per_unit(force * a for force, a in zip(g, generator, strict=True)).abs()
    length = _per_unit(a.square() for a in generator).sqrt()
    bottom = _per_unit(force.square() for force in g).sqrt().clamp_min(floor) * length
    return torch.where(bottom > 0, along / bottom, 0.0)


def _per_unit(parts: Iterable[torch.Tensor]) -> torch.Tensor:
    """Sums over all entries of each unit."""
    return torch.as_tensor(sum(part.flatten(1).sum(1) for part in parts))


def transform(block: Block, parameters: Mapping[str, torch.Tensor], amount: float, seed: int = 0) -> None:
    """Move the parameters, in place, by the finite transformation; each unit by its own random amount."""
    example = parameters[block.members[0].parameter]
    generator = torch.Generator().manual_seed(seed)
    shape = (block.units, block.size, block.size) if block.kind.is_matrix else (block.units, 1)
    random = amount * torch.randn(shape, generator=generator, dtype=torch.float64)
    if block.kind.is_matrix:
        matrix = (random - random.mT if block.kind.is_antisymmetric else random) / math.sqrt(block.size)
        matrix, s = matrix.to(example), 1.0
    else:
        matrix, s = None, (random if block.kind.is_constant else random.expm1()).to(example)
    with torch.no_grad():
        for member in block.members:  # one after the other: two of them may move the same entries
            part = replace(block, members=(member,))
            (rows,) = part.symmetry(matrix).transform(part.point(parameters), s)
            member.write(parameters[member.parameter], rows)


def own_random_state(model: nn.Module) -> contextlib.AbstractContextManager:
    """Inside, random numbers on the model's devices may be drawn; the state outside is as if none had been."""
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    return torch.random.fork_rng(devices=devices)


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Whatever happens inside, parameters, buffers, flags and random state are as before; yields the parameters' values
    of before."""
    saved = [(t, t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    flags = [(module, module.training) for module in model.modules()]
    with own_random_state(model):
        try:
            yield {name: value for (name, _), (_, value) in zip(model.named_parameters(), saved, strict=False)}
        finally:
            with torch.no_grad():
                for tensor, value in saved:
                    tensor.copy_(value)
            for module, training in flags:
                module.training = training


def _gradients(loss: torch.Tensor, parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The gradient of each parameter, zero where there is none; ``.grad`` stays as it is."""
    free = {name: p for name, p in parameters.items() if p.requires_grad}
    if not _reentrant(loss):
        partials = torch.autograd.grad(loss, list(free.values()), allow_unused=True, retain_graph=True)
    else:
        before = [p.grad for p in free.values()]
        for p in free.values():
            p.grad = None
        loss.backward()
        partials = [p.grad for p in free.values()]
        for p, grad in zip(free.values(), before, strict=True):
            p.grad = grad
    gradients = {name: torch.zeros_like(p) for name, p in parameters.items()}
    return gradients | {name: g for name, g in zip(free, partials, strict=True) if g is not None}


def _reentrant(loss: torch.Tensor) -> bool:
    """Whether a reentrant checkpoint lies in the graph: the gradients behind it come only with backward()."""
    seen, ahead = set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if node.name().startswith("CheckpointFunction"):
            return True
        seen.add(node)
        ahead += [following for following, _ in node.next_functions]
    return False


def check_symmetries(
    model: nn.Module,
    loss_fn: Callable[[nn.Module], torch.Tensor],
    blocks: Sequence[Block],
    amount: float = 0.3,
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    tolerance: float | None = None,
) -> list[Violation]:
    """Measured violation of each symmetry: |<g, A q>| / (|g| |A q|), and the loss after a finite transformation.

    Both are zero up to rounding for a symmetry, and up to eps / variance in front of a normalization with epsilon eps.

    Args:
        model: in the mode (train or eval) it should be checked in; it comes back untouched.
        loss_fn: from the model to a scalar, for instance ``lambda model: cross_entropy(model(x), y)``.
        blocks: as found by ``find_symmetries``.
        amount: size of the finite transformation, the standard deviation of log-factors, matrices or shifts.
        context: entered around every forward and backward pass.
        tolerance: None transforms one block at a time. Otherwise all blocks whose gradient is within it are
            transformed at once, and halves of them where that changes the loss by more, down to single blocks; the
            ``loss_change`` of a block that holds is then that of its group.

    Raises:
        ValueError: the loss is not one finite number, or a block names a parameter that the model does not have.
    """
    parameters = dict(model.named_parameters())
    missing = sorted({name for block in blocks for name in block.parameters} - parameters.keys())
    if missing:
        raise InvalidInput(f"expected blocks of this model, got parameters {missing}; find its symmetries again")
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    seed = torch.random.initial_seed() % 2**31

    def loss() -> torch.Tensor:
        torch.manual_seed(seed)  # the same dropout masks every time
        with torch.no_grad():  # and the same state, where a forward pass changes it
            for buffer, value in buffers:
                buffer.copy_(value)
        with context():
            return loss_fn(model)

    with untouched(model) as before:
        with torch.enable_grad():
            value = loss()
            if value.numel() != 1 or not bool(torch.isfinite(value)):
                raise InvalidInput(f"expected loss_fn(model) to be one finite number, got {value}; check data and loss")
            with context():
                gradients = _gradients(value.sum(), parameters)
        values = {n: p.detach() for n, p in parameters.items()}
        whole = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values())) or 1.0
        along = [_largest_overlap(block, values, gradients, whole) for block in blocks]
        del gradients
        original = value.item()
        del value  # and the activations with it

        def change(numbers: Sequence[int]) -> float:
            with torch.no_grad():
                for number in numbers:
                    transform(blocks[number], values, amount, seed=number)
                moved = loss().item()
                for name in {name for number in numbers for name in blocks[number].parameters}:
                    values[name].copy_(before[name])
            return abs(moved - original) / max(abs(original), whole * 1e-3)

        changes = _changes(change, along, tolerance)
    return [Violation(block, along[number], changes[number]) for number, block in enumerate(blocks)]


def _largest_overlap(
    block: Block, values: Mapping[str, torch.Tensor], gradients: Mapping[str, torch.Tensor], whole: float
) -> float:
    """The largest overlap of any unit; a gradient that is all but none beside the whole one is measured by that."""
    precision = max(torch.finfo(values[name].dtype).eps for name in block.parameters)
    return float(overlap(block, values, gradients, precision**0.25 * whole).max())


def _changes(
    change: Callable[[Sequence[int]], float], gradients: Sequence[float], tolerance: float | None
) -> dict[int, float]:
    """The change of the loss for each block, by its number.

    A composition of symmetries is one, whatever the order: if the loss does not notice a random one, each holds (that
    two violations cancel has probability zero). Otherwise the halves are tried, so that what fails has failed alone.
    """
    numbers = range(len(gradients))
    together = [n for n in numbers if tolerance is not None and gradients[n] <= tolerance]
    groups = [[n] for n in sorted(set(numbers) - set(together))] + ([together] if together else [])
    result: dict[int, float] = {}
    while groups:
        group = groups.pop()
        size = change(group)
        if len(group) == 1 or (tolerance is not None and size <= tolerance):
            result.update(dict.fromkeys(group, size))
        else:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return result
