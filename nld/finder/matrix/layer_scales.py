"""Gains that stand behind the weights which write to a stream, as LayerScale does: these can undo what a change of the
stream does to the gains' output.

With the gains Λ, weights and bias write Λ (W y + b). If nothing else reads what W y + b is, a rotation R of the stream
is W → Λ⁻¹ R Λ W, and a constant t that the stream does not notice is W → W + Λ⁻¹ t. The searches are then run on a tape
from which such gains are gone.
"""

from collections import Counter
from dataclasses import replace

import torch

from nld.finder.aten_families import COPIES, MOVES
from nld.finder.matrix.gains import Gained, Reader
from nld.finder.tape import Ref, Tape
from nld.finder.windows import Window, windows


def without_layer_scales(tape: Tape) -> tuple[Tape, list[Gained]]:
    """The tape without the gains that only multiply what weights write, and these gains, the weights and biases as
    what they are beside."""
    names = {ref.index: name for name, ref in tape.parameters.items()}
    traced = _Traced(tape)
    calls, scales = [], []
    for call in tape.calls:
        if call.name == "mul" and isinstance(call.arguments["other"], Ref):
            pair = [call.arguments["self"], call.arguments["other"]]
            gain = [ref for ref in pair if ref.index in names and len(ref.shape) == 1]
            source = [ref for ref in pair if ref not in gain]
            if len(gain) == len(source) == 1 and source[0].shape[-1:] == gain[0].shape == call.outputs[0].shape[-1:]:
                written = traced.written(source[0])
                if written and traced.uses[gain[0].index] == 1:
                    scales.append(Gained(names[gain[0].index], None, written, False))
                    call = replace(call, name="alias", arguments={"self": source[0]})
        calls.append(call)
    return Tape(calls, tape.parameters, tape.results, tape.epsilons), scales


class _Traced:
    """Where activations come from."""

    def __init__(self, tape: Tape):
        self._made = {ref.index: call for call in tape.calls for ref in call.outputs}
        self._windows = windows(tape)
        self._shapes = {name: ref.shape for name, ref in tape.parameters.items()}
        self.uses = Counter(ref.index for call in tape.calls for ref in call.inputs)
        self.uses.update(ref.index for ref in tape.results)
        self._reads = Counter(
            self._windows[ref.index].parameter
            for call in tape.calls
            if call.name not in MOVES | COPIES
            for ref in call.inputs
            if ref.index in self._windows
        )

    def written(self, ref: Ref) -> frozenset[Reader]:
        """The weight that writes a tensor, which nothing else reads, and its bias, each with the axis of the tensor's
        last one; nothing if it is no product of a weight that is used once."""
        while self.uses[ref.index] == 1 and ref.index in self._made:
            call = self._made[ref.index]
            if call.name in ("mm", "addmm"):
                operands = [v for v in call.arguments.values() if isinstance(v, Ref)]
                parts = [self._part(operands[-1], 1)]
                parts += [self._part(operands[0], 0)] if call.name == "addmm" else []
                return frozenset(part for part in parts if part is not None) if None not in parts else frozenset()
            same = call.name in COPIES or (call.name in MOVES and "view" in call.name)
            if not same or call.inputs[0].shape[-1:] != ref.shape[-1:]:
                break
            (ref,) = call.inputs
        return frozenset()

    def _part(self, ref: Ref, position: int) -> Reader | None:
        """The parameter that is seen here whole, and its axis that is this one of the view."""
        window = self._windows.get(ref.index)
        if window is None or self._reads[window.parameter] != 1:
            return None
        axis = _axis(window, position, self._shapes[window.parameter])
        return None if axis is None else (window.parameter, axis)


def _axis(window: Window, position: int, shape: tuple[int, ...]) -> int | None:
    strides = torch.empty(shape, device="meta").stride()
    if sorted(zip(window.size, window.stride, strict=True)) != sorted(zip(shape, strides, strict=True)):
        return None
    return list(zip(shape, strides, strict=True)).index((window.size[position], window.stride[position]))
