"""Does the loss really not notice? Each symmetry measured, by the gradient and by a finite transformation."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.overlaps import Overlaps, pieces

FEW = 4_000_000  # so many entries of parameters may be copied at once,
PORTIONS = 4  # or this part of all of them


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


def transform(block: Block, parameters: Mapping[str, torch.Tensor], amount: float, seed: int = 0) -> None:
    """Move the parameters, in place, by the finite transformation; each unit by its own random amount."""
    example = parameters[block.members[0].parameter]
    generator = torch.Generator().manual_seed(seed)
    shape = (block.units, block.size, block.size) if block.kind.is_matrix else (block.units, 1)
    random = amount * torch.randn(shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        if not block.kind.is_matrix:
            _move_rows(block, parameters, (random if block.kind.is_constant else random.expm1()).to(example))
            return
        matrix = (random - random.mT if block.kind.is_antisymmetric else random) / math.sqrt(block.size)
        for member in block.members:  # one after the other: two of them may move the same entries
            part = replace(block, members=(member,))
            moved = part.symmetry(matrix.to(example)).transform(part.point(parameters), 1.0)
            member.write(parameters[member.parameter], *moved)


def _move_rows(block: Block, parameters: Mapping[str, torch.Tensor], amounts: torch.Tensor) -> None:
    """Move the rows of each member by one amount a unit, shape (units, 1), a piece of a large tensor at a time."""
    for member in block.members:
        place, units = member.arranged(parameters[member.parameter], writable=True), len(member.unit_axes)
        everywhere = amounts.view(*place.shape[:units], *[1] * (place.ndim - units)).expand(place.shape)
        act = replace(block, members=(member,)).symmetry().transform
        for _, _, (piece, amount) in pieces(place, everywhere):
            piece.copy_(*act((piece,), amount))


def own_random_state(model: nn.Module) -> contextlib.AbstractContextManager:
    """Inside, random numbers on the model's devices may be drawn; the state outside is as if none had been."""
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    return torch.random.fork_rng(devices=devices)


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Whatever happens inside, parameters, buffers, flags and random state are as before."""
    saved = [(t, t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    flags = [(module, module.training) for module in model.modules()]
    with own_random_state(model):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in saved:
                    tensor.copy_(value)
            for module, training in flags:
                module.training = training


def each_gradient(
    loss: torch.Tensor, parameters: Mapping[str, torch.Tensor], take: Callable[[str, torch.Tensor], None]
) -> None:
    """Hand over the gradient of each parameter that has one, as soon as it is known; ``.grad`` stays as it is."""
    free = {name: p for name, p in parameters.items() if p.requires_grad}
    if _reentrant(loss):
        before = [p.grad for p in free.values()]
        for p in free.values():
            p.grad = None
        loss.backward()
        for (name, p), grad in zip(free.items(), before, strict=True):
            if p.grad is not None:
                take(name, p.grad)
            p.grad = grad
        return

    def taking(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        def hook(gradient: torch.Tensor) -> torch.Tensor:
            take(name, gradient)
            return gradient.new_zeros(()).expand_as(gradient)  # in its place, so that nothing keeps it

        return hook

    hooks = [p.register_hook(taking(name)) for name, p in free.items()]
    try:
        torch.autograd.grad(loss, list(free.values()), allow_unused=True, retain_graph=True)
    finally:
        for hook in hooks:
            hook.remove()


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
    with untouched(model):
        return violations(model, loss_fn, blocks, amount, context, tolerance)


def violations(
    model: nn.Module,
    loss_fn: Callable[[nn.Module], torch.Tensor],
    blocks: Sequence[Block],
    amount: float = 0.3,
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    tolerance: float | None = None,
) -> list[Violation]:
    """What ``check_symmetries`` returns, of a model that is nobody's: its buffers and the random state may change."""
    parameters = dict(model.named_parameters())
    values = {name: p.detach() for name, p in parameters.items()}
    loss = _repeatable(model, loss_fn, context)
    along, whole, original = _overlaps(loss, blocks, parameters, context)

    def change(numbers: Sequence[int]) -> float:
        with torch.no_grad():
            before = {name: values[name].clone() for number in numbers for name in blocks[number].parameters}
            for number in numbers:
                transform(blocks[number], values, amount, seed=number)
            moved = loss().item()
            for name, start in before.items():
                values[name].copy_(start)
        return abs(moved - original) / max(abs(original), whole * 1e-3)

    sizes = {name: p.numel() for name, p in parameters.items()}
    together = [n for n in range(len(blocks)) if tolerance is not None and along[n] <= tolerance]
    apart = [[n] for n in range(len(blocks)) if n not in together]
    changes = bisected(change, apart + _portions(together, blocks, sizes), tolerance)
    return [Violation(block, along[number], changes[number]) for number, block in enumerate(blocks)]


def overlaps(
    model: nn.Module,
    loss_fn: Callable[[nn.Module], torch.Tensor],
    blocks: Sequence[Block],
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> list[float]:
    """Largest |<g, A q>| / (|g| |A q|) of any unit of each block, as in ``Violation.gradient``; of a model like that of
    ``violations``."""
    return _overlaps(_repeatable(model, loss_fn, context), blocks, dict(model.named_parameters()), context)[0]


def _repeatable(model: nn.Module, loss_fn: Callable[[nn.Module], torch.Tensor], context) -> Callable[[], torch.Tensor]:
    """The loss with the same dropout masks every time, and the same state, where a forward pass changes it."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    seed = torch.random.initial_seed() % 2**31

    def loss() -> torch.Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        with context():
            return loss_fn(model)

    return loss


def _overlaps(
    loss: Callable[[], torch.Tensor], blocks: Sequence[Block], parameters: Mapping[str, nn.Parameter], context
) -> tuple[list[float], float, float]:
    """The largest overlap of any unit of each block, the length of the whole gradient, and the loss."""
    missing = sorted({name for block in blocks for name in block.parameters} - parameters.keys())
    if missing:
        raise InvalidInput(f"expected blocks of this model, got parameters {missing}; find its symmetries again")
    gathered = Overlaps(blocks, {name: p.detach() for name, p in parameters.items()})
    with torch.enable_grad():
        value = loss()
        if value.numel() != 1 or not bool(torch.isfinite(value)):
            raise InvalidInput(f"expected loss_fn(model) to be one finite number, got {value}; check data and loss")
        with context():
            each_gradient(value.sum(), parameters, gathered.add)
    return gathered.largest(), gathered.whole, value.item()


def _portions(numbers: Sequence[int], blocks: Sequence[Block], sizes: Mapping[str, int]) -> list[list[int]]:
    """Blocks in groups that move few enough parameters to keep a copy of these."""
    most = max(FEW, sum(sizes.values()) // PORTIONS)
    groups: list[list[int]] = []
    moved: set[str] = set()
    for number in numbers:
        moved |= set(blocks[number].parameters)
        if not groups or sum(sizes[name] for name in moved) > most:
            groups.append([])
            moved = set(blocks[number].parameters)
        groups[-1].append(number)
    return groups


def bisected(
    change: Callable[[Sequence[int]], float], groups: list[list[int]], tolerance: float | None
) -> dict[int, float]:
    """The change of the loss for each block, by its number; blocks of a group are transformed at once.

    A composition of symmetries is one, whatever the order: if the loss does not notice a random one, each holds (that
    two violations cancel has probability zero). Otherwise the halves are tried, so that what fails has failed alone.
    """
    result: dict[int, float] = {}
    groups = list(groups)
    while groups:
        group = groups.pop()
        size = change(group)
        if len(group) == 1 or (tolerance is not None and size <= tolerance):
            result.update(dict.fromkeys(group, size))
        else:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return result
