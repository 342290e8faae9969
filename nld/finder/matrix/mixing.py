"""Which coordinates of activations may be mixed by a matrix: the search for general linear and rotation symmetries.

An index of a parameter's axis is a coordinate. Multiplying by a weight gives an activation the coordinates of the
weight's output axis and pairs its own with those of the input axis: if one side turns by a matrix B, the other must
turn by its inverse transpose. A product of two activations over a coordinate axis (queries and keys) pairs them
alike, a sum makes coordinates equal. Coordinates that every operation treats alike form a vector, on which any
invertible B may act; where a vector is paired with itself (a norm, or shared queries and keys) B must be orthogonal.
An operation that treats two coordinates differently (a head, a channelwise gain, a rotary embedding) separates them,
and one that is not linear in a coordinate breaks it, as do inputs and outputs.
"""

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, CREATIONS, MOVES, POOLS, ZEROS
from nld.finder.index_tensors import compress, moved, varies
from nld.finder.matrix.coordinate_classes import NONE, Coordinates
from nld.finder.tape import Call, Ref, Tape


class Mixing:
    """Interprets a tape; afterwards ``vectors`` lists what may be mixed."""

    def __init__(self, tape: Tape, trainable: set[str]):
        self.coordinates = Coordinates()
        self.slots: dict[int, list[torch.Tensor]] = {}
        # Activation that is an entrywise product -> what is paired if it is summed.
        self.products: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        for name, ref in tape.parameters.items():
            self.slots[ref.index] = [
                self.coordinates.declare(name, axis, ref.shape, name in trainable)
                for axis in range(min(2, len(ref.shape)) if len(ref.shape) != 3 else 3)
                if ref.shape[axis] > 1
            ]
        for number, call in enumerate(tape.calls):
            self._interpret(number, call)
        for ref in tape.results:
            self.coordinates.break_(self.slots.get(ref.index, []))
        self.vectors = self.coordinates.vectors()

    def _interpret(self, number: int, call: Call) -> None:
        slots = {ref.index: self.slots[ref.index] for ref in call.inputs if self.slots.get(ref.index)}
        if not slots or call.name in CREATIONS | ZEROS:
            return
        outputs = [ref.index for ref in call.outputs]
        shape = call.outputs[0].shape if call.outputs else ()
        if call.name in COPIES:
            self.slots[outputs[0]] = next(iter(slots.values()))
        elif call.name in MOVES and len(call.inputs) == 1:
            parts = [moved(call, {call.inputs[0].index: s}, NONE) for s in slots[call.inputs[0].index]]
            self.slots.update(
                {index: list(found) for index, found in zip(outputs, zip(*parts, strict=True), strict=True)}
            )
        elif call.name in MOVES and all(len(slots.get(ref.index, [])) < 2 for ref in call.inputs):
            self.slots[outputs[0]] = moved(call, {index: s[0] for index, s in slots.items()}, NONE)
        elif call.name == "neg" or (call.name in ("mul", "div") and not isinstance(call.arguments["other"], Ref)):
            self.slots[outputs[0]] = next(iter(slots.values()))
        elif call.name in ("add", "sub") and isinstance(call.arguments["other"], Ref):
            self._op_sum([call.arguments["self"], call.arguments["other"]], outputs[0], shape)
        elif call.name in ("mul", "div") and len(slots) == 1 and call.arguments["self"].index != _index(call, "other"):
            self._op_product(number, call, slots, shape)
        elif call.name == "view_as_complex":
            (labels,) = slots.values()
            for s in labels:
                self.coordinates.join(s[..., 0], s[..., 1], 1)
                self.coordinates.turn(s[..., 0], s[..., 1])
            self.slots[outputs[0]] = [s[..., 0] for s in labels]
        elif call.name == "view_as_real":
            (labels,) = slots.values()
            self.slots[outputs[0]] = [s.unsqueeze(-1).expand(shape) for s in labels]
        elif call.name == "embedding":
            weight = call.arguments["weight"]
            self.coordinates.break_(s for s in slots.get(weight.index, []) if varies(s, 0))
            self.slots[outputs[0]] = [s[0].expand(shape) for s in slots.get(weight.index, []) if not varies(s, 0)]
        elif call.name in CONTRACTIONS:
            self._op_matrix(number, call, shape)
        elif call.name == "convolution" and call.arguments["groups"] == 1:
            self._op_convolution(call, shape)
        elif call.name in ("mean", "sum", "linalg_vector_norm"):
            self._op_reduce(number, call, shape)
        elif (call.name == "pow" and call.arguments["exponent"] == 2) or call.name == "square":
            self.slots[outputs[0]] = slots[call.arguments["self"].index]
            self.products[outputs[0]] = [(labels, labels) for labels in self.slots[outputs[0]]]
        elif call.name == "mul" and all(len(found) == 1 for found in slots.values()):
            left, right = (slots[call.arguments[name].index][0].expand(shape) for name in ("self", "other"))
            self.slots[outputs[0]] = [left, right]
            self.products[outputs[0]] = [(left, right)]
        elif call.name in POOLS and _linear(call):
            (source,) = slots.values()
            axes = range(len(shape) - (POOLS[call.name] or len(call.arguments["pad"]) // 2), len(shape))
            if any(varies(s, axis) for s in source for axis in axes):
                self.coordinates.break_(source)
            else:
                inner = (..., *[slice(0, 1)] * len(axes))
                self.slots[outputs[0]] = [s[inner].expand(shape) for s in source]
        else:
            for found in slots.values():
                self.coordinates.break_(found)
            return
        for ref in call.inputs:  # a product may only be summed
            if ref.index in self.products and call.name not in ("mean", "sum"):
                self.coordinates.break_(labels for pair in self.products[ref.index] for labels in pair)

    def _op_sum(self, refs: list[Ref], output: int, shape: tuple[int, ...]) -> None:
        slots = [[labels.expand(shape) for labels in self.slots.get(ref.index, [])] for ref in refs]
        pairs = [(a, b) for a in slots[0] for b in slots[1] if _axes(a) == _axes(b)]
        if len(pairs) == 1:
            left, right = pairs[0]
            for found in slots:
                self.coordinates.break_(labels for labels in found if labels is not left and labels is not right)
            self.coordinates.join(left, right, 1)
            self.coordinates.turn(left, right)
            self.slots[output] = [left]
            return
        for found in slots:
            self.coordinates.break_(found)

    def _op_product(
        self, number: int, call: Call, slots: dict[int, list[torch.Tensor]], shape: tuple[int, ...]
    ) -> None:
        left, right = call.arguments["self"], call.arguments["other"]
        source, other = (left, right) if left.index in slots else (right, left)
        if source is right and call.name == "div":
            return self.coordinates.break_(slots[source.index])
        offset = len(shape) - len(other.shape)
        result = [s.expand(shape) for s in slots[source.index]]
        for labels in result:
            self.coordinates.separate(
                number, labels, [axis + offset for axis, varying in enumerate(other.varies) if varying]
            )
        self.slots[call.outputs[0].index] = [compress(labels) for labels in result]

    def _op_matrix(self, number: int, call: Call, shape: tuple[int, ...]) -> None:
        refs = [v for v in call.arguments.values() if isinstance(v, Ref)]
        left, right = refs[-2:]
        batch = len(shape) - 2
        inner, outer = [], []
        for ref, k in ((left, batch + 1), (right, batch)):
            found = self.slots.get(ref.index, [])
            inside = [s for s in found if varies(s, k)]
            passing = [s for s in found if not varies(s, k)]
            inner.append(inside)
            for labels in passing:
                self.coordinates.separate((number, k), labels, range(batch))
                outer.append(labels.select(k, 0).unsqueeze(k).expand(shape))
        if all(len(inside) == 1 for inside in inner):
            lefts, rights = inner[0][0], inner[1][0].transpose(-1, -2)
            if varies(lefts, batch) or varies(rights, batch):
                self.coordinates.break_([lefts, rights])
            else:
                lefts, rights = lefts[..., 0, :], rights[..., 0, :]
                self.coordinates.join(lefts, rights, -1)
                for labels in (lefts, rights):
                    self.coordinates.separate(number, labels, range(batch))
        else:
            for inside in inner:
                self.coordinates.break_(inside)
        self.slots[call.outputs[0].index] = outer
        if call.name in ("addmm", "baddbmm"):
            self._op_sum([call.outputs[0], refs[0]], call.outputs[0].index, shape)

    def _op_convolution(self, call: Call, shape: tuple[int, ...]) -> None:
        source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
        kernel = [0] * (len(shape) - 2)
        found = self.slots.get(weight.index, [])
        first, second = (1, 0) if call.arguments["transposed"] else (0, 1)
        rows = [s for s in found if varies(s, first)]
        columns = [s for s in found if varies(s, second)]
        inner = self.slots.get(source.index, [])
        if len(inner) == 1 and len(columns) == 1 and not any(varies(inner[0], a) for a in range(2, len(shape))):
            self.coordinates.join(
                inner[0][(slice(None), slice(None), *kernel)], columns[0].select(first, 0)[(..., *kernel)], -1
            )
        else:
            self.coordinates.break_([*inner, *columns])
        output = call.outputs[0]
        place = (1, -1, *[1] * len(kernel))
        self.slots[output.index] = [s.select(second, 0)[(..., *kernel)].reshape(place).expand(shape) for s in rows]
        if isinstance(bias, Ref):
            offset = self.slots.get(bias.index, [])
            if len(offset) == 1 and rows:
                self.coordinates.join(self.slots[output.index][0], offset[0].reshape(place).expand(shape), 1)
            else:
                self.coordinates.break_([*offset, *self.slots[output.index]])

    def _op_reduce(self, number: int, call: Call, shape: tuple[int, ...]) -> None:
        source = call.arguments["self"]
        slots = self.slots[source.index]
        axes = call.arguments.get("dim") or list(range(len(source.shape)))
        axes = [axis % len(source.shape) for axis in ([axes] if isinstance(axes, int) else axes)]
        pairs = self.products.get(source.index)
        if call.name == "linalg_vector_norm" and call.arguments.get("ord", 2) == 2:
            pairs = [(labels, labels) for labels in slots]
        if pairs is not None:
            summed = [pair for pair in pairs if all(any(varies(labels, axis) for axis in axes) for labels in pair)]
            kept = [axis for axis in range(len(source.shape)) if axis not in axes]
            for left, right in pairs:
                if len(summed) > 1 or all(left is not pair[0] for pair in summed) or _axes(left) != _axes(right):
                    self.coordinates.break_([left, right])
                    continue
                self.coordinates.join(left, right, -1)
                for labels in (left, right):
                    self.coordinates.separate(number, labels, kept)
            return
        if call.name == "linalg_vector_norm" or any(varies(s, axis) for s in slots for axis in axes):
            return self.coordinates.break_(slots)
        keep = len(shape) == len(source.shape)
        result = []
        for labels in slots:
            for axis in sorted(axes, reverse=True):
                labels = labels.narrow(axis, 0, 1) if keep else labels.select(axis, 0)
            result.append(labels)
        self.slots[call.outputs[0].index] = result


def _linear(call: Call) -> bool:
    """Whether a pooling averages, interpolates or pads with zeros."""
    padded = call.name == "constant_pad_nd" and call.arguments.get("value", 0) == 0
    return padded or "avg" in call.name or "upsample" in call.name


def _axes(labels: torch.Tensor) -> list[int]:
    return [axis for axis in range(labels.ndim) if varies(labels, axis)]


def _index(call: Call, name: str) -> int | None:
    value = call.arguments.get(name)
    return value.index if isinstance(value, Ref) else None
