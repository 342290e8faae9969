"""Views of parameters on a tape: which entries an operation reads when it is given a part of a weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nld.finder.aten_families import COPIES, MOVES
from nld.finder.tape import Ref, Tape


@dataclass(frozen=True)
class Window:
    """Entries of a parameter that a view of it shows, as its size, strides and first entry."""

    parameter: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The view."""
        return tensors[self.parameter].contiguous().as_strided(self.size, self.stride, self.offset)


def windows(tape: Tape) -> dict[int, Window]:
    """Tensors that are views of parameters, or copies of such."""
    origin = {ref.index: (name, torch.empty(ref.shape, device="meta")) for name, ref in tape.parameters.items()}
    for call in tape.calls:
        source = call.inputs[0] if len(call.inputs) == 1 else None
        if source is None or source.index not in origin:
            continue
        name, stand_in = origin[source.index]
        if call.name in COPIES and call.outputs:
            origin[call.outputs[0].index] = name, stand_in
        elif call.name in MOVES:
            arguments = {k: stand_in if isinstance(v, Ref) else v for k, v in call.arguments.items()}
            try:
                views = call.function(**arguments)
            except RuntimeError:  # not a view of this memory
                continue
            for ref, view in zip(call.outputs, [views] if isinstance(views, torch.Tensor) else views, strict=True):
                if view.untyped_storage()._cdata == stand_in.untyped_storage()._cdata:
                    origin[ref.index] = name, view
    return {
        index: Window(name, tuple(view.shape), view.stride(), int(view.storage_offset()))
        for index, (name, view) in origin.items()
    }
