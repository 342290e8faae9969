"""The continuous symmetries of a model's loss in its parameters, read off its operations and then measured."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.blocks import Shapes, blocks
from nld.finder.check import Violation, own_random_state
from nld.finder.coupled import Coupled
from nld.finder.coupled_search import candidates
from nld.finder.directions import Part, directions, numbers_by_parameter, parts, sparser
from nld.finder.matrix.blocks import diagonal, mixings, signature
from nld.finder.matrix.mixing import vectors
from nld.finder.picked_stacks import meeting
from nld.finder.preconditions import modes, require_searchable
from nld.finder.rewritten import with_sums, with_views
from nld.finder.scale.scale_exponents import ScaleExponents, scale_exponents
from nld.finder.tape import Tape
from nld.finder.translation.blocks import translations
from nld.finder.translation.shifts import shifts
from nld.finder.twin import Twin
from nld.finder.wrappers import unwrap
from nld.symmetry import Kind

READABLE = {
    "_local_scalar_dense": "a number read out of a tensor",
    "overwritten": "a tensor changed in place through another view of its memory",
}
LARGE = 20_000_000  # models of more parameters than this are studied in single precision, as far as that decides


class Symmetries(list[Block]):
    """The blocks found, and beside them what was not followed.

    ``not_analysed`` names operations without a rule (no symmetry passes through them) and candidates that the
    analysis proposed but the measurement refused; ``epsilons`` are the normalizations' small constants, up to which
    scale symmetries in front of them hold, and ``broken_by_epsilon`` has the part of the gradient along those that this
    concerns, at a random point near the model's; ``output`` says what was taken as the output, where a model returns
    more than a tensor; ``modes`` has the mode that each submodule was in which computes otherwise in training.
    ``coupled`` holds the symmetries whose generators depend on other weights than they move, a list of ``Coupled``
    (``nld.finder.coupled``): what one bias adds and the next absorbs, and rotations of the residual stream that gains
    conjugate. With the blocks they span the null space of the loss of most architectures. They stand apart since the
    monitor follows blocks only.
    """

    def __init__(
        self,
        found: Iterable[Block] = (),
        not_analysed: Iterable[str] = (),
        epsilons: Iterable[float] = (),
        output: str = "",
        modes: Mapping[str, bool] | None = None,
        coupled: Iterable[Coupled] = (),
        broken_by_epsilon: Mapping[Block, float] | None = None,
    ):
        super().__init__(found)
        self.broken_by_epsilon = dict(broken_by_epsilon or {})
        self.coupled = list(coupled)
        self.output, self.modes = output, dict(modes or {})
        self.not_analysed = tuple(not_analysed)
        self.epsilons = tuple(sorted(epsilons))


def find_symmetries(
    model: nn.Module, example_inputs: Any, loss: Callable[..., torch.Tensor] | None = None
) -> Symmetries:
    """The continuous symmetries of a model in its parameters: list of ``Block``.

    The model is run once on a copy, in float64 where it can (a large one in float32, and in float64 only where that
    cannot decide), and every operation recorded (``nld.finder.tape``); linear equations between the unknown responses
    of its activations say which transformations nothing downstream can notice; each one is then measured at random
    parameters (normalizations' epsilon nearly zero) and dropped if it fails.
    Submodules are taken in the mode they are in: batch normalization in eval mode leaves no scale symmetry.
    Frozen parameters do not move, so a symmetry that would need them is none.

    Args:
        model: untouched afterwards: parameters, buffers, flags and random state.
        example_inputs: a tensor, a tuple of positional or a mapping of keyword arguments. Sizes should be generic:
            a batch of at least 3 and images of more than one pixel at the last normalization, so that nothing is
            constant by accident.
        loss: None asks for symmetries of the output: of its field ``loss`` if there is one, else of all that a model
            returns but caches, hidden states and attentions; ``output`` of the result says what was taken. Otherwise
            a function of all that the model returns to a scalar, or a criterion of output and target such as
            ``nn.CrossEntropyLoss()``, for which a target is drawn; it is applied to the logits.

    Raises:
        ValueError: the model has no trainable parameter, lies on the meta device, or its output is no floating-point
            tensor that depends on them; or the loss is no function.
    """
    module, prefix = unwrap(model)
    require_searchable(module, loss)
    size = sum(parameter.numel() for parameter in module.parameters())
    with own_random_state(module):
        torch.manual_seed(0)
        try:
            return _find(module, prefix, example_inputs, loss, torch.float64 if size <= LARGE else torch.float32)
        except InvalidInput:
            raise
        except Exception:  # a layer may refuse a precision with any error; what has another cause comes back
            return _find(module, prefix, example_inputs, loss, None)


def _find(model: nn.Module, prefix: str, example_inputs: Any, loss, precision: torch.dtype | None) -> Symmetries:
    free = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not free:
        raise InvalidInput("expected a model with trainable parameters, got none with requires_grad; unfreeze some")
    real = {name for name, p in free.items() if not p.is_complex()}
    twin = Twin(model, example_inputs, loss, precision)
    recorded = with_views(twin.record())
    tape, offsets = with_sums(recorded, real)
    found, notes = _search(tape, real, offsets, twin.measure)
    complex_ones = [f"{name}: complex parameters are not analysed" for name in sorted(free.keys() - real)]
    prefixed = {block: _prefixed(block, prefix) for block in found}
    broken = {prefixed[block]: part for block, part in twin.broken_by_epsilon(found).items()}
    coupled, refused = _coupled(candidates(recorded, tape, real, offsets), twin)
    coupled = [replace(one, prefix=prefix) for one in coupled]
    notes = complex_ones + notes + refused
    known = recorded.epsilons, twin.outcome.words, modes(model), coupled, broken
    return Symmetries(prefixed.values(), notes, *known)


def _coupled(proposed: list[Coupled], twin: Twin) -> tuple[list[Coupled], list[str]]:
    """The symmetries whose generators depend on other weights, as far as the measurement confirms them, and notes."""
    measured = twin.measure_coupled(proposed)
    refused = [
        f"{one.coupled.kind} in {one.coupled.name}: proposed but refused by the measurement "
        f"(gradient {one.gradient:.1e}, loss {one.loss_change:.1e})"
        for one, holds in measured
        if not holds
    ]
    return [one.coupled for one, holds in measured if holds], refused


def _search(
    tape: Tape,
    trainable: set[str],
    offsets: Mapping[str, float],
    measure: Callable[[list[Block]], list[tuple[Violation, bool]]],
) -> tuple[list[Block], list[str]]:
    """Blocks that the analysis of a tape proposes and the measurement confirms, and notes on what was not followed."""
    shapes = {name: ref.shape for name, ref in tape.parameters.items()}
    matrices, irregular = mixings(vectors(tape, trainable), shapes)
    measured = measure([block for block, _ in matrices])
    linear = [
        vector
        for (block, alike), (_, holds) in zip(matrices, measured, strict=True)
        if holds and block.kind is Kind.GENERAL_LINEAR
        for vector in alike
    ]
    contained = {unit for vector in linear for unit in diagonal(vector, shapes)}

    scalings, exponents = _scalings(tape, trainable, contained, shapes)
    scalings = [_about(block, offsets) for block in scalings]
    measured += measure(scalings + translations(shifts(tape, trainable), shapes))

    order = {name: number for number, name in enumerate(tape.parameters)}
    found = [violation.block for violation, holds in measured if holds]
    found.sort(key=lambda block: order[block.members[0].parameter])
    refused = [
        f"{violation.block.kind} of {violation.block.name}: proposed but refused by the measurement "
        f"(gradient {violation.gradient:.1e}, loss {violation.loss_change:.1e})"
        for violation, holds in measured
        if not holds
    ]
    unfollowed = [
        f"{READABLE.get(name, name)} ({count} calls): not followed, taken to break every symmetry that reaches it"
        for name, count in exponents.unknown.items()
    ]
    names = {name for violation, holds in measured if not holds for name in violation.block.parameters}
    unfollowed += _of_stacks(exponents)
    return found, refused + _held_back(tape, names) + irregular + unfollowed


def _of_stacks(exponents: ScaleExponents) -> list[str]:
    """Stacks of matrices, such as those of experts, of which symmetries of single matrices may be missing."""
    notes = {
        "matrices of it are picked by an index, and not all stacks by the same one, so they count as one: symmetries "
        "of single ones may be missing": exponents.tied,
        "the example inputs use some of its matrices only, and each of the others counts as one with another: "
        "symmetries of its own may be missing; give inputs that reach all": exponents.unreached,
    }
    return [f"{name}: {note}" for note, names in notes.items() for name in names]


def _held_back(tape: Tape, names: set[str]) -> list[str]:
    """Which of some embeddings look up their padding row, whose gradient PyTorch holds back: no symmetry moves it."""
    named = {ref.index: name for name, ref in tape.parameters.items() if name in names}
    rows = {
        (named[call.arguments["weight"].index], padding)
        for call in tape.calls
        if call.name == "embedding" and call.arguments["weight"].index in named
        if (padding := call.arguments["padding_idx"]) >= 0 and bool((call.arguments["indices"].value == padding).any())
    }
    return [
        f"{name}: the example inputs hold token {padding}, its padding_idx, whose row gets no gradient; "
        "mask that token, or give inputs without it"
        for name, padding in sorted(rows)
    ]


def _scalings(
    tape: Tape, trainable: set[str], contained: set[frozenset[tuple]], shapes: Shapes
) -> tuple[list[Block], ScaleExponents]:
    """Blocks of scale and rescale units that no matrix contains, and what they were found in."""
    exponents = scale_exponents(tape, trainable)
    units = _units(exponents)
    if as_one := meeting(units, exponents.picked):
        exponents = scale_exponents(tape, trainable, as_one)
        units = _units(exponents)
    units = sparser([unit for unit in units if unit and signature(unit, shapes) not in contained])
    return blocks(None, units, shapes), exponents


def _units(exponents: ScaleExponents) -> list[list[Part]]:
    """What each direction moves that solves the equations."""
    axes, numbers_of = exponents.axes, numbers_by_parameter(exponents.axes)
    return [parts(direction, axes, numbers_of) for direction in directions(exponents.equations, axes)]


def _about(block: Block, offsets: Mapping[str, float]) -> Block:
    """The block with the numbers that the model adds to its parameters before they scale."""
    if offsets.keys().isdisjoint(block.parameters):
        return block
    members = (replace(member, offset=offsets.get(member.parameter, 0.0)) for member in block.members)
    return replace(block, kind=Kind.RESCALE, members=tuple(members))


def _prefixed(block: Block, prefix: str) -> Block:
    members = tuple(replace(member, parameter=prefix + member.parameter) for member in block.members)
    return replace(block, members=members)


def table(symmetries: Symmetries, width: int = 100) -> str:
    """One line for each block (kind, units, matrix size, parameters), then what was not followed and why.

    Args:
        symmetries: what ``find_symmetries`` returned.
        width: columns at which the list of parameters is cut.
    """
    rows = [("kind", "units", "size", "parameters")]
    rows += [(b.kind.words, str(b.units), str(b.size), b.name) for b in symmetries]
    columns = [max(len(row[i]) for row in rows) for i in range(3)]
    room = max(20, width - sum(columns) - 6)
    lines = [
        f"{kind:<{columns[0]}}  {units:>{columns[1]}}  {size:>{columns[2]}}  "
        f"{where if len(where) <= room else where[: room - 1] + '…'}"
        for kind, units, size, where in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    if not symmetries:
        lines.append("none found")
    if symmetries.coupled:
        lines += ["", "With generators that depend on other weights, which the monitor does not follow:"]
        lines += [f"  {one.kind} in {_counted(one.dimension)}: {one.name}" for one in symmetries.coupled]
    if symmetries.output:
        lines += ["", f"Taken as the output: {symmetries.output}."]
    if symmetries.epsilons:
        values = ", ".join(f"{value:g}" for value in symmetries.epsilons)
        lines += ["", f"Scale symmetries hold up to eps / variance of the normalization behind them (eps: {values})."]
    if symmetries.not_analysed:
        lines += ["", "Not analysed:", *(f"  {note}" for note in symmetries.not_analysed)]
    return "\n".join(lines)


def _counted(directions: int) -> str:
    return "one direction" if directions == 1 else f"{directions} directions"
