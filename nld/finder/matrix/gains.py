"""Gains of normalizations that only weights see: these can undo what a rotation of the activations does to them.

Behind a normalization with gains Γ (and a bias) lie weights W that read Γ x / |x|. If nothing else does, a rotation of
x is undone by W → W Γ Rᵀ Γ⁻¹. The search for rotations is then run on a tape from which such gains are gone.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import torch

from nld.finder.aten_families import COPIES, CREATIONS, KEEPS_MEAN, MOVES, ZEROS
from nld.finder.call_axes import reduced_axes
from nld.finder.index_tensors import compress, moved, varies
from nld.finder.tape import Call, Ref, Tape
from nld.finder.windows import Window, windows

Reader = tuple[str, int]  # a weight, and its axis that is summed over


@dataclass(frozen=True)
class Gained:
    """A gain that only weights read, the bias beside it, and these weights with the axis along which they read it."""

    gain: str
    bias: str | None
    axes: frozenset[Reader]
    keeps_mean: bool  # whether it belongs to a layer normalization
    offset: float = 0.0  # what the model adds to the gain

    @property
    def readers(self) -> frozenset[str]:
        """The names of the weights."""
        return frozenset(name for name, _ in self.axes)


def without_gains(tape: Tape, trainable: set[str]) -> tuple[Tape, list[Gained]]:
    """The tape without the gains that only weights read, and these gains."""
    names = {ref.index: name for name, ref in tape.parameters.items()}
    gains = _candidates(tape, names)
    seen = _readers(tape, gains)
    result = Tape(parameters=tape.parameters, results=tape.results)
    found = []
    means = _subtracted(tape)
    for number, call in enumerate(tape.calls):
        if number in means:
            if means[number] is not None:
                result.calls.append(replace(call, name=KEEPS_MEAN, arguments={"input": means[number]}))
            continue
        gain, bias = gains.get(number, (None, None))
        if call.name == "native_layer_norm" and len(call.arguments["normalized_shape"]) == 1 and gain is None:
            plain = call.arguments.get("weight") is None and call.arguments.get("bias") is None
            result.calls.append(_bare(call) if plain else call)
        elif gain is None or seen[number] is None or not (bias is None or bias in trainable):
            result.calls.append(call)
        else:
            result.calls.append(_bare(call, tape.parameters[gain]))
            found.append(Gained(gain, bias, frozenset(seen[number] or ()), call.name == "native_layer_norm"))
    return result, list(dict.fromkeys(found))  # a shared normalization is called several times


def _bare(call: Call, gain: Ref | None = None) -> Call:
    """The call without its gain."""
    if call.name == "native_layer_norm":
        return replace(call, name=KEEPS_MEAN, arguments={"input": call.arguments["input"]})
    (source,) = [ref for ref in call.inputs if ref != gain]
    return replace(call, name="alias", arguments={"self": source})


def _subtracted(tape: Tape) -> dict[int, Ref | None]:
    """Calls that subtract the mean over the last axis, as normalizations written out do: number -> of what; and the
    calls that take these means, with None."""
    uses = Counter(ref.index for call in tape.calls for ref in call.inputs)
    means: dict[int, tuple[int, Ref]] = {}
    result: dict[int, Ref | None] = {}
    for number, call in enumerate(tape.calls):
        if call.name == "mean" and call.outputs[0].shape[-1:] == (1,) and uses[call.outputs[0].index] == 1:
            source = call.arguments["self"]
            if reduced_axes(call) == [len(source.shape) - 1]:
                means[call.outputs[0].index] = number, source
        elif call.name == "sub" and isinstance(other := call.arguments["other"], Ref) and other.index in means:
            place, source = means[other.index]
            if call.arguments["self"].index == source.index and call.arguments.get("alpha", 1) == 1:
                result |= {place: None, number: source}
    return result


def _candidates(tape: Tape, names: dict[int, str]) -> dict[int, tuple[str, str | None]]:
    """Calls that multiply the last axis by a gain: their number -> the gain, and the bias that they also add."""
    result: dict[int, tuple[str, str | None]] = {}
    for number, call in enumerate(tape.calls):
        if call.name == "native_layer_norm" and len(call.arguments["normalized_shape"]) == 1:
            gain, bias = (call.arguments.get(which) for which in ("weight", "bias"))
            if isinstance(gain, Ref) and gain.index in names and (bias is None or bias.index in names):
                result[number] = names[gain.index], None if bias is None else names[bias.index]
        elif call.name == "mul" and isinstance(call.arguments["other"], Ref):
            pair = [call.arguments["self"], call.arguments["other"]]
            gain = [ref for ref in pair if ref.index in names and len(ref.shape) == 1]
            if len(gain) == 1 and call.outputs[0].shape[-1:] == gain[0].shape and gain[0].shape != (1,):
                result[number] = names[gain[0].index], None
    return result


def _readers(tape: Tape, gains: dict[int, tuple[str, str | None]]) -> dict[int, set[Reader] | None]:
    """The weights that read the output of each of these calls; None where others read it, or these read elsewhere."""
    weights, shapes = windows(tape), {name: ref.shape for name, ref in tape.parameters.items()}
    readers: dict[int, set[Reader] | None] = {number: set() for number in gains}
    behind: dict[int, tuple[int, torch.Tensor]] = {}  # tensor -> the call that it comes from, its index along the gain
    elsewhere: set[str] = set()
    for number, call in enumerate(tape.calls):
        contracted = None
        if call.name in CREATIONS | ZEROS:  # they read the shape only
            continue
        for ref in (ref for ref in call.inputs if ref.index in behind):
            origin, labels = behind[ref.index]
            seen, passed = readers[origin], _passed(call, ref, labels)
            reader = _reader(call, ref, labels, weights, shapes)
            if passed is not None:
                behind.update({out.index: (origin, one) for out, one in zip(call.outputs, passed, strict=False)})
            elif reader is None or seen is None:
                readers[origin] = None
            else:
                seen.add(reader)
                contracted = reader[0]
        if call.name not in MOVES | COPIES:
            used = {weights[ref.index].parameter for ref in call.inputs if ref.index in weights}
            elsewhere |= used - {contracted}
        if number in gains:
            output = call.outputs[0]
            behind[output.index] = number, torch.arange(1, 1 + output.shape[-1]).expand(output.shape)
    for ref in tape.results:
        if ref.index in behind:
            readers[behind[ref.index][0]] = None
    return _only(readers, {number: gain for number, (gain, _) in gains.items()}, elsewhere)


def _only(
    readers: dict[int, set[Reader] | None], gain_of: dict[int, str], elsewhere: set[str]
) -> dict[int, set[Reader] | None]:
    """The readers of gains all of whose readers read nothing else."""
    owners: dict[str, set[str]] = defaultdict(set)
    for number, seen in readers.items():
        for weight, _ in seen or ():
            owners[weight].add(gain_of[number])
    shared = {weight for weight, several in owners.items() if len(several) > 1} | elsewhere
    unfit = {gain_of[number] for number, seen in readers.items() if not seen or {weight for weight, _ in seen} & shared}
    return {number: None if gain_of[number] in unfit else seen for number, seen in readers.items()}


def _passed(call: Call, ref: Ref, labels: torch.Tensor) -> list[torch.Tensor] | None:
    """Where the index along the gain lies in the outputs of a call that only moves it; None of any other."""
    if call.name in COPIES:
        return [labels]
    if call.name in MOVES and len(call.inputs) == 1:
        return moved(call, {ref.index: labels}, 0)
    output = call.outputs[0].shape if call.outputs else ()
    if call.name in ("index", "index_select") and _along_last(labels) and output[-1:] == tuple(labels.shape[-1:]):
        return [labels.reshape(-1, labels.shape[-1])[0].expand(output)]
    return None


def _reader(
    call: Call, ref: Ref, labels: torch.Tensor, weights: dict[int, Window], shapes: dict[str, tuple[int, ...]]
) -> Reader | None:
    """The weight that a call multiplies what lies behind a gain by."""
    if call.name not in ("mm", "addmm"):
        return None
    left, right = [v for v in call.arguments.values() if isinstance(v, Ref)][-2:]
    if left.index != ref.index or right.index not in weights or not _along_last(labels):
        return None
    if labels[0].tolist() != list(range(1, 1 + labels.shape[-1])):
        return None
    window = weights[right.index]
    shape = shapes[window.parameter]
    strides = torch.empty(shape, device="meta").stride()
    axes = [a for a in range(len(shape)) if (shape[a], strides[a]) == (window.size[0], window.stride[0])]
    return (window.parameter, axes[0]) if axes else None


def _along_last(labels: torch.Tensor) -> bool:
    return not varies(compress(labels), *range(labels.ndim - 1))
