"""Symmetries that gains conjugate: rotations of the residual stream, shears behind one layer normalization, and shifts
in front of gains."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nld.finder.block import Block, Member
from nld.finder.blocks import Shapes
from nld.finder.coupled import Coupled, Coupling
from nld.finder.matrix.blocks import mixings
from nld.finder.matrix.coordinate_classes import Vector
from nld.finder.matrix.gains import Gained, without_gains
from nld.finder.matrix.layer_scales import without_layer_scales
from nld.finder.matrix.mixing import vectors
from nld.finder.matrix.turned import Sheared, Shifted, Turn, Turned
from nld.finder.tape import Tape
from nld.finder.translation.blocks import translations
from nld.finder.translation.shifts import shifts
from nld.symmetry import Kind

REASON = "normalizations keep the length of the stream only, and what reads it behind their gains turns back"
SHEAR_REASON = "the normalized activations sum to zero, so that only the bias notices, and is moved against it"


def conjugated(
    tape: Tape, trainable: set[str], offsets: Mapping[str, float], shapes: Shapes, absorbed: set[str]
) -> list[Coupled]:
    """Rotations of streams between what writes them and what reads them behind gains, shears behind these, and shifts
    in front of gains.

    Args:
        offsets: what the model adds to gains.
        absorbed: weights whose rows may each be shifted on their own, as an absorption does: a shear is then none.
    """
    unscaled, scales = without_layer_scales(tape)
    bare, gains = without_gains(unscaled, trainable)
    gains, scales = ([replace(g, offset=offsets.get(g.gain, 0.0)) for g in each] for each in (gains, scales))
    centred: set[tuple[str, int]] = set()
    blocks, _ = mixings(vectors(bare, trainable, centred), shapes)
    result = [
        _rotation(block, alike[0], gains + scales, centred, shapes)
        for block, alike in blocks
        if block.kind is Kind.ROTATION
    ]
    if scales:
        result += [_shift(block, scales) for block in translations(shifts(unscaled, trainable), shapes)]
    result += [_shear(gained, shapes) for gained in gains if _shears(gained, trainable, absorbed)]
    return [coupled for coupled in result if coupled is not None]


def _rotation(
    block: Block, vector: Vector, gains: list[Gained], centred: set[tuple[str, int]], shapes: Shapes
) -> Coupled | None:
    """The rotation of a block; None if nothing conjugates it, or it has several units."""
    gain_of = {reader: gained for gained in gains for reader in gained.axes}
    places = [(parameter, axis) for parameter, axis, _ in vector.places]
    behind = [gain_of.get(place) for place in places]
    keeps_mean = any(place in centred for place in places)
    if block.units != 1 or not (any(behind) or keeps_mean):
        return None
    turns = [
        Turn(member) if gained is None else Turn(member, gained.gain, gained.offset)
        for member, gained in zip(block.members, behind, strict=True)
    ]
    turns += _biases((gained for gained in behind if gained is not None), shapes)
    flow = Turned(block.size, tuple(turns), keeps_mean)
    if not flow.dimension or set(flow.moved) & set(flow.read):
        return None
    return Coupled(Coupling.ROTATION, block.name, flow, REASON)


def _biases(gains: Iterable[Gained], shapes: Shapes) -> list[Turn]:
    """The biases beside some gains."""
    distinct = {gained.bias: gained for gained in gains if gained.bias is not None}
    return [
        Turn(_whole(bias, shapes[bias], 0), gained.gain, gained.offset, reads=False)
        for bias, gained in distinct.items()
    ]


def _shears(gained: Gained, trainable: set[str], absorbed: set[str]) -> bool:
    return (
        gained.keeps_mean
        and gained.bias is not None
        and not gained.readers <= absorbed
        and gained.readers | {gained.bias} <= trainable
    )


def _shear(gained: Gained, shapes: Shapes) -> Coupled:
    """The shear behind one layer normalization."""
    names = sorted(gained.readers)
    turns = [Turn(_whole(name, shapes[name], axis), gained.gain, gained.offset) for name, axis in sorted(gained.axes)]
    turns += _biases([gained], shapes)
    flow = Sheared(shapes[gained.gain][0], tuple(turns))
    return Coupled(Coupling.ABSORPTION, f"{', '.join(names)} → {gained.bias}", flow, SHEAR_REASON)


def _shift(block: Block, scales: list[Gained]) -> Coupled | None:
    """A translation of the tape without gains, with them; None if no gain stands behind what it moves."""
    places = [
        (name, axis, g.gain, g.offset) for g in scales for name, axis in sorted(g.axes) if name in block.parameters
    ]
    flow = Shifted(block, tuple(places))
    if not places or set(flow.moved) & set(flow.read):
        return None
    return Coupled(Coupling.ABSORPTION, f"{block.name}, over {', '.join(flow.read)}", flow, block.reason)


def _whole(parameter: str, shape: tuple[int, ...], axis: int) -> Member:
    """All of a parameter, as rows along one of its axes."""
    return Member(parameter, (1, *shape), (0,), matrix_axis=axis + 1)
