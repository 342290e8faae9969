"""A block: the parameters that one symmetry of the loss moves, one row per unit."""

import math
from dataclasses import dataclass

import torch

KINDS = ("translation", "scale", "rescale", "general_linear", "rotation")


@dataclass(frozen=True)
class Member:
    """One parameter's part in a block: which entries take part and how units lie in them.

    ``rows`` arranges a tensor as (units, features): first every ``(axis, start, length)``
    of ``narrow`` is applied, then the result is viewed as ``shape``, then ``unit_axes``
    are moved to the front and everything behind them is flattened.

    Args:
        parameter: name in ``model.named_parameters()``.
        coefficient: weight of this member in the generator (+1 incoming, -1 outgoing
            for a rescale symmetry).
        narrow: parts of a fused tensor, such as the query rows of an attention input.
        shape: view of the narrowed tensor; its sizes multiply to the narrowed size.
        unit_axes: axes of ``shape`` that enumerate the units, in the block's order.
        matrix_axis: for general_linear and rotation, the axis of ``shape`` on which the
            d x d matrix acts.
    """

    parameter: str
    shape: tuple[int, ...]
    unit_axes: tuple[int, ...] = (0,)
    coefficient: float = 1.0
    narrow: tuple[tuple[int, int, int], ...] = ()
    matrix_axis: int | None = None

    @property
    def units(self) -> int:
        """Number of units."""
        return math.prod(self.shape[axis] for axis in self.unit_axes)

    def rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """The part of ``tensor`` that takes part, shape (units, features) or (units, d, features)."""
        for axis, start, length in self.narrow:
            tensor = tensor.narrow(axis, start, length)
        tensor = tensor.reshape(self.shape)
        front = self.unit_axes if self.matrix_axis is None else (*self.unit_axes, self.matrix_axis)
        tensor = tensor.movedim(front, tuple(range(len(front))))
        if self.matrix_axis is None:
            return tensor.reshape(self.units, -1)
        return tensor.reshape(self.units, self.shape[self.matrix_axis], -1)


@dataclass(frozen=True)
class Block:
    """A symmetry of the loss and the parameters it moves.

    The generator A(q) of unit u is, on member i with coefficient c_i:

    - translation: c_i on every feature of the unit's row (a constant direction);
    - scale, rescale: c_i q_i on the unit's row;
    - general_linear: for each d x d matrix B, c_i = +1 gives B q_i and c_i = -1 gives -B^T q_i
      on the rows (d, features) of the unit;
    - rotation: the same with B antisymmetric, for which both signs act alike.

    Args:
        kind: one of ``KINDS``.
        name: where in the model, for people ("layer1.conv -> layer1.bn").
        members: the parameters that take part; all have the same number of units.
        reason: one sentence on why the loss cannot notice the transformation.
    """

    kind: str
    name: str
    members: tuple[Member, ...]
    reason: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that take part, each once, in order."""
        return tuple(dict.fromkeys(member.parameter for member in self.members))

    @property
    def units(self) -> int:
        """Number of units (filters, neurons, heads) that each carry their own copy of the symmetry."""
        return self.members[0].units

    @property
    def size(self) -> int:
        """Dimension d of the matrix of a general_linear or rotation block, 1 otherwise."""
        axis = self.members[0].matrix_axis
        return 1 if axis is None else self.members[0].shape[axis]

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"expected a kind in {KINDS}, got {self.kind!r}; use one of these")
        if not self.members:
            raise ValueError(f"block {self.name!r} has no members; give at least one Member")
        units = {member.parameter: member.units for member in self.members}
        if len(set(units.values())) != 1:
            raise ValueError(f"expected every member of {self.name!r} to have the same number of units, got {units}")
