"""The continuous symmetries of a model's loss in its parameters, read off its operations and then measured."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.blocks import blocks, directions, parts, sparser, translations
from nld.finder.check import check_symmetries
from nld.finder.matrix.blocks import diagonal, mixings, signature
from nld.finder.matrix.mixing import vectors
from nld.finder.scale.scale_exponents import scale_exponents
from nld.finder.tape import WithoutEpsilon, elementary, record, tensors
from nld.finder.translation.shifts import shifts
from nld.finder.wrappers import unwrap
from nld.symmetry import Kind

READABLE = {
    "_local_scalar_dense": "a number read out of a tensor",
    "overwritten": "a tensor changed in place through another view of its memory",
}
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}


class Symmetries(list[Block]):
    """The blocks found, and beside them what was not followed.

    ``not_analysed`` names operations without a rule (no symmetry passes through them) and candidates that the
    analysis proposed but the measurement refused; ``epsilons`` are the normalizations' small constants, up to which
    scale symmetries in front of them hold.
    """

    def __init__(self, found: Iterable[Block] = (), not_analysed: Iterable[str] = (), epsilons: Iterable[float] = ()):
        super().__init__(found)
        self.not_analysed = tuple(not_analysed)
        self.epsilons = tuple(sorted(epsilons))


def find_symmetries(
    model: nn.Module, example_inputs: Any, loss: Callable[..., torch.Tensor] | None = None
) -> Symmetries:
    """The continuous symmetries of a model in its parameters: list of ``Block``.

    The model is run once on a copy in float64 and every operation recorded (``nld.finder.tape``); linear equations
    between the unknown responses of its activations say which transformations nothing downstream can notice;
    each one is then measured at random parameters (normalizations' epsilon nearly zero) and dropped if it fails.
    Submodules are taken in the mode they are in: batch normalization in eval mode leaves no scale symmetry.
    Frozen parameters do not move, so a symmetry that would need them is none.

    Args:
        model: untouched afterwards: parameters, buffers, flags and random state.
        example_inputs: a tensor, a tuple of positional or a mapping of keyword arguments. Sizes should be generic:
            a batch of at least 3 and images of more than one pixel at the last normalization, so that nothing is
            constant by accident.
        loss: None asks for symmetries of every output. Otherwise a function of the output to a scalar,
            or a criterion of output and target such as ``nn.CrossEntropyLoss()``, for which a target is drawn.

    Raises:
        ValueError: the model has no trainable parameter or returns no floating-point tensor.
    """
    module, prefix = unwrap(model)
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        try:
            return _find(module, prefix, example_inputs, loss, torch.float64)
        except RuntimeError as error:  # a layer that fixes its own dtype cannot run in float64
            if "type" not in str(error):
                raise
            return _find(module, prefix, example_inputs, loss, None)


def _find(model: nn.Module, prefix: str, example_inputs: Any, loss, dtype: torch.dtype | None) -> Symmetries:
    held = [v for module in model.modules() for v in vars(module).values() if isinstance(v, torch.Tensor)]
    twin = copy.deepcopy(model, {id(v): v.detach().clone() for v in held if not v.is_leaf})
    if dtype is not None:
        twin = twin.double()
        example_inputs = tree_map_only(
            torch.Tensor,
            lambda t: t.detach().to(dtype) if t.is_floating_point() else t.detach().clone(),
            example_inputs,
        )
    parameters = dict(twin.named_parameters())
    trainable = {name for name, p in parameters.items() if p.requires_grad}
    imaginary = sorted(name for name in trainable if parameters[name].is_complex())
    standing_in = _StandIn(model, twin)
    if not trainable:
        raise InvalidInput("expected a model with trainable parameters, got none with requires_grad; unfreeze some")
    _make_generic(parameters.values())
    outcome = _outcome(example_inputs, loss)
    with elementary(), standing_in:
        scalar = _scalar(outcome(twin), loss)
    with standing_in:
        tape = record(lambda: outcome(twin), parameters)
    trainable -= set(imaginary)
    tolerance = TOLERANCE[torch.float64 if dtype is torch.float64 else torch.float32]
    notes = [f"{name}: complex parameters are not analysed" for name in imaginary]

    @contextlib.contextmanager
    def exact():
        with elementary(), standing_in, WithoutEpsilon():
            yield

    def confirmed(candidates: list[Block]) -> list[Block]:
        violations = check_symmetries(twin, lambda m: scalar(outcome(m)), candidates, context=exact)
        notes.extend(
            f"{v.block.kind} of {v.block.name}: proposed but refused by the measurement "
            f"(gradient {v.gradient:.1e}, loss {v.loss_change:.1e})"
            for v in violations
            if not v.holds(tolerance)
        )
        return [v.block for v in violations if v.holds(tolerance)]

    shapes = {name: ref.shape for name, ref in tape.parameters.items()}
    matrices, irregular = mixings(vectors(tape, trainable), shapes)
    found = confirmed([block for block, _ in matrices])
    linear = [v for block, group in matrices if block in found and block.kind is Kind.GENERAL_LINEAR for v in group]
    contained = {unit for vector in linear for unit in diagonal(vector, shapes)}

    degrees = scale_exponents(tape, trainable)
    units = [parts(direction, degrees.axes) for direction in directions(degrees.equations, degrees.axes).values()]
    units = sparser([unit for unit in units if unit and signature(unit, shapes) not in contained])
    moves = shifts(tape, trainable)
    found += confirmed(blocks(None, units, shapes) + translations(moves.equations, moves.full, moves.even, shapes))

    order = {name: number for number, name in enumerate(tape.parameters)}
    found.sort(key=lambda block: order[block.members[0].parameter])
    notes += irregular
    notes += [
        f"{READABLE.get(name, name)} ({count} calls): not followed, taken to break every symmetry that reaches it"
        for name, count in degrees.unknown.items()
    ]
    return Symmetries((_prefixed(block, prefix) for block in found), notes, tape.epsilons)


class _StandIn(TorchFunctionMode):
    """Wherever a loss or a hook reaches for a tensor of the model, it gets that of the twin that is studied.

    A penalty on ``model.parameters()`` in the loss is the common case: it breaks scale symmetry, but only the twin's
    parameters are on the tape.
    """

    def __init__(self, model: nn.Module, twin: nn.Module):
        super().__init__()
        originals, stand_ins = ([*m.parameters(), *m.buffers()] for m in (model, twin))
        pairs = zip(originals, stand_ins, strict=True)
        self.twins = {id(original): (original, stand_in) for original, stand_in in pairs}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        args, kwargs = tree_map(lambda leaf: self.twins.get(id(leaf), (leaf, leaf))[1], (args, kwargs or {}))
        return func(*args, **kwargs)


def _prefixed(block: Block, prefix: str) -> Block:
    if not prefix:
        return block
    from dataclasses import replace

    members = tuple(replace(member, parameter=prefix + member.parameter) for member in block.members)
    return replace(block, members=members)


def _make_generic(parameters: Iterable[torch.Tensor]) -> None:
    """Move parameters to a generic point: initial zeros and ones have symmetries that training destroys."""
    with torch.no_grad():
        for p in parameters:
            if p.is_floating_point():
                size = float(p.abs().mean()) or 0.1
                p.add_(0.2 * size * torch.randn_like(p))


def _outcome(example_inputs: Any, loss) -> Callable[[nn.Module], Any]:
    """Model to what must not change: its output, or the loss of it."""

    def forward(model: nn.Module):
        torch.manual_seed(1)
        if isinstance(example_inputs, Mapping):
            return model(**example_inputs)
        return model(*example_inputs) if isinstance(example_inputs, (tuple, list)) else model(example_inputs)

    if loss is None:
        return forward
    if not _wants_target(loss):
        return lambda model: loss(forward(model))
    targets: list[torch.Tensor] = []

    def with_target(model: nn.Module):
        output = forward(model)
        if not targets:
            targets.append(_target(loss, output.detach()))
        return loss(output, targets[0])

    return with_target


def _wants_target(loss) -> bool:
    function = loss.forward if isinstance(loss, nn.Module) else loss
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return len([p for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) > 1


def _target(loss, output: torch.Tensor) -> torch.Tensor:
    classes = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
    if isinstance(loss, classes) or loss in (F.cross_entropy, F.nll_loss, F.multi_margin_loss):
        axis = 1 if output.ndim > 1 else 0
        shape = [n for a, n in enumerate(output.shape) if a != axis]
        return torch.randint(output.shape[axis], shape, device=output.device)
    if isinstance(loss, (nn.BCELoss, nn.BCEWithLogitsLoss)):
        return torch.rand_like(output)
    return torch.randn_like(output)


def _scalar(example: Any, loss) -> Callable[[Any], torch.Tensor]:
    """A generic linear functional of every floating-point output."""

    def floats(output) -> list[torch.Tensor]:
        return [t for t in tensors(output) if t.is_floating_point()]

    if not floats(example):
        raise InvalidInput(
            f"expected floating-point tensors as output, got {type(example)}; return the logits or the loss"
        )
    weights = [torch.randn_like(t.detach()) if loss is None else torch.ones_like(t.detach()) for t in floats(example)]
    return lambda output: sum((w * t).sum() for w, t in zip(weights, floats(output), strict=True))  # pyright: ignore
