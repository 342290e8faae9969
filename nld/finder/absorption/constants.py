"""How constants that are added to activations travel on, and what operations demand of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nld.finder.absorption.steps import Dense, Diagonal, MeanOffset
from nld.finder.aten_families import COPIES, MOVES
from nld.finder.index_tensors import core, moved
from nld.finder.linear_system import ZERO, Equations, Form, combination
from nld.finder.tape import Ref, Tape
from nld.finder.windows import Window, windows

Gained = tuple[str, str]  # gain and bias of a layer normalization


@dataclass(frozen=True)
class Passage:
    """A layer between unknown constants; those that come out are generic sums of those that enter."""

    layer: Dense | Diagonal | MeanOffset
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def demands(self, vanishing: set[int]) -> set[int]:
        """The inputs that must vanish where these outputs do."""
        if isinstance(self.layer, Dense):
            return set(self.inputs) if vanishing & set(self.outputs) else set()
        return {i for i, o in zip(self.inputs, self.outputs, strict=True) if o in vanishing}


class Constants:
    """What is known so far: the labels of the constant in each activation, and the equations between them."""

    def __init__(self, tape: Tape, trainable: set[str]):
        self.equations = Equations()
        self.passages: list[Passage] = []
        self.rows: dict[tuple[Window, str], list[int]] = {}  # weight behind a gain -> unknown shifts of its rows
        self.windows = windows(tape)
        self.normalized = _normalized(tape)
        self.gained = _gained(tape)
        self.trainable = trainable
        self.uses = Counter(
            self.windows[ref.index].parameter
            for call in tape.calls
            if call.name not in MOVES | COPIES
            for ref in call.inputs
            if ref.index in self.windows
        )
        self._reads: Counter[str] = Counter()  # weight -> how often it reads behind a gain
        self._known: dict[tuple, list[int]] = {}

    def vanish(self, labels: torch.Tensor) -> None:
        """Demand that a constant is zero."""
        self.equations.vanish_all(core(labels).unique().tolist())

    def passed(self, layer: Dense | Diagonal | MeanOffset, inputs: Sequence[int], count: int) -> list[int]:
        """The unknowns that come out of a layer; the same where the same enters it twice."""
        if not any(inputs):
            return [ZERO] * count
        if isinstance(layer, Diagonal):
            key = ("diagonal", layer.gain, tuple(layer.entries.tolist()), tuple(inputs))
        else:
            key = (layer, tuple(inputs))
        if key not in self._known:
            outputs = self.equations.new((count,)).tolist()
            if not isinstance(layer, Dense):
                outputs = [o if i else ZERO for i, o in zip(inputs, outputs, strict=True)]
            self._known[key] = outputs
            self.passages.append(Passage(layer, tuple(inputs), tuple(outputs)))
        return self._known[key]

    def row_shifts(self, weight: Window, source: Ref) -> list[int]:
        """What shifts of the rows of a weight behind a layer normalization add to its outputs; nothing elsewhere."""
        gained = self.gained.get(source.index)
        if gained is None or weight.parameter not in self.trainable:
            return [ZERO] * weight.size[0]
        if (weight, gained[0]) not in self.rows:
            self.rows[weight, gained[0]] = self.equations.new((weight.size[0],)).tolist()
        self._reads[weight.parameter] += 1
        shifts = self.rows[weight, gained[0]]
        return self.passed(MeanOffset(*gained), shifts, len(shifts))

    def close(self) -> None:
        """Only a bias can take a constant away: where what comes out of layers must vanish, so must what enters.

        Where two outputs of one weight must be equal, as of a layer that is used twice, so must what enters it.
        """
        for weight, gain in self.rows:
            gains = {other for each, other in self.rows if each.parameter == weight.parameter}
            if self._reads[weight.parameter] != self.uses[weight.parameter] or len(gains) > 1:
                self.equations.vanish_all(self.rows[weight, gain])
        owner = {o: (p, row) for p in self.passages for row, o in enumerate(p.outputs) if o}
        while self._close_once(owner):
            pass

    def _close_once(self, owner: dict[int, tuple[Passage, int]]) -> bool:
        """Whether something was demanded that was not known."""
        demands: list[Form] = []
        vanishing: set[int] = set()
        for output in owner:
            form = self.equations.reduce({output: 1})
            if form == {output: 1}:
                continue
            twin = owner.get(next(iter(form), ZERO))
            passage, row = owner[output]
            if list(form.values()) == [1] and twin is not None and (twin[0].layer, twin[1]) == (passage.layer, row):
                pairs = list(zip(passage.inputs, twin[0].inputs, strict=True))
                pairs = pairs if isinstance(passage.layer, Dense) else [pairs[row]]
                demands += [combination(pair, (1, -1)) for pair in pairs]
            elif unknowns := {output, *form} & owner.keys():
                vanishing |= unknowns
        demands += [combination((unknown,), (1,)) for unknown in vanishing]
        for passage in reversed(self.passages):
            demands += [combination((unknown,), (1,)) for unknown in passage.demands(vanishing) if unknown]
        news = [form for form in demands if self.equations.reduce(form)]
        for form in news:
            self.equations.vanish(form)
        return bool(news)


def _normalized(tape: Tape) -> dict[int, torch.Tensor]:
    """Activations that sum to one along an axis (behind a softmax): their index along this axis, at every entry."""
    known: dict[int, torch.Tensor] = {}
    for call in tape.calls:
        if call.name in ("_softmax", "_safe_softmax"):
            shape = call.outputs[0].shape
            axis = call.arguments["dim"] % max(len(shape), 1)
            place = [shape[a] if a == axis else 1 for a in range(len(shape))]
            known[call.outputs[0].index] = torch.arange(1, 1 + shape[axis]).reshape(place).expand(shape)
        elif len(call.inputs) == 1 and call.inputs[0].index in known:
            labels = known[call.inputs[0].index]
            if call.name in COPIES:
                known[call.outputs[0].index] = labels
            elif call.name in MOVES:
                for ref, result in zip(call.outputs, moved(call, {call.inputs[0].index: labels}, 0), strict=True):
                    known[ref.index] = result
    return known


def _gained(tape: Tape) -> dict[int, Gained]:
    """Outputs of layer normalizations over the last axis with gain and bias, and views with the same last axis."""
    names = {ref.index: name for name, ref in tape.parameters.items()}
    known: dict[int, Gained] = {}
    for call in tape.calls:
        if call.name == "native_layer_norm" and len(call.arguments["normalized_shape"]) == 1:
            gain, bias = call.arguments.get("weight"), call.arguments.get("bias")
            if isinstance(gain, Ref) and isinstance(bias, Ref) and {gain.index, bias.index} <= names.keys():
                known[call.outputs[0].index] = (names[gain.index], names[bias.index])
        elif call.name in MOVES | COPIES and len(call.inputs) == 1 and call.inputs[0].index in known:
            source = call.inputs[0]
            same = call.name in COPIES or "view" in call.name
            for ref in call.outputs:
                if same and ref.shape[-1:] == source.shape[-1:]:
                    known[ref.index] = known[source.index]
    return known
