"""A block: the parameters that one symmetry of the loss moves, one row per unit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nld.errors import InvalidInput
from nld.symmetry import Kind, Symmetry, linear, rescale, translation


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
        offset: what the model adds to the parameter before it uses it (1 for a gain written
            1 + w); in a rescale block it is this sum that is multiplied.
    """

    parameter: str
    shape: tuple[int, ...]
    unit_axes: tuple[int, ...] = (0,)
    coefficient: float = 1.0
    narrow: tuple[tuple[int, int, int], ...] = ()
    matrix_axis: int | None = None
    offset: float = 0.0

    @property
    def units(self) -> int:
        """Number of units."""
        return math.prod(self.shape[axis] for axis in self.unit_axes)

    @property
    def entries(self) -> str:
        """The part of the parameter that takes part, as one would index it: ``qkv.weight[8:16]``."""
        if not self.narrow:
            return self.parameter
        ranges = {axis: f"{start}:{start + length}" for axis, start, length in self.narrow}
        return f"{self.parameter}[{', '.join(ranges.get(axis, ':') for axis in range(max(ranges) + 1))}]"

    def rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """The part of ``tensor`` that takes part, shape (units, features) or (units, d, features)."""
        matrix = () if self.matrix_axis is None else (self.shape[self.matrix_axis],)
        return self.arranged(tensor).reshape(self.units, *matrix, -1)

    def write(self, tensor: torch.Tensor, rows: torch.Tensor) -> None:
        """Put rows into ``tensor``, in place, where ``rows`` takes them from."""
        place = self.arranged(tensor, writable=True)
        place.copy_(rows.reshape(place.shape))

    def arranged(self, tensor: torch.Tensor, writable: bool = False) -> torch.Tensor:
        """The part of ``tensor`` that takes part, not copied where that can be (never if it shall be ``writable``).

        The axes of units come first, then the matrix axis if there is one.
        """
        for axis, start, length in self.narrow:
            tensor = tensor.narrow(axis, start, length)
        front = self.unit_axes if self.matrix_axis is None else (*self.unit_axes, self.matrix_axis)
        view = tensor.view(self.shape) if writable else tensor.reshape(self.shape)
        return view.movedim(front, tuple(range(len(front))))


@dataclass(frozen=True)
class Block:
    """A symmetry of the loss and the parameters it moves.

    The generator A(q) of unit u is (see ``symmetry``), on member i with coefficient c_i:

    - translation: c_i on every feature of the unit's row (a constant direction);
    - scale, rescale: c_i q_i on the unit's row; c_i (q_i + a_i) with the member's offset a_i;
    - general_linear: for each d x d matrix B, c_i = +1 gives B q_i and c_i = -1 gives -B^T q_i
      on the rows (d, features) of the unit;
    - rotation: the same with B antisymmetric, for which both signs act alike.

    Args:
        kind: a ``Kind`` or its name.
        name: where in the model, for people ("layer1.conv -> layer1.bn").
        members: the parameters that take part; all have the same number of units.
        reason: one sentence on why the loss cannot notice the transformation.
    """

    kind: Kind
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

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Weights of the members in the generator."""
        return tuple(member.coefficient for member in self.members)

    def point(self, tensors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The parts on which ``symmetry`` acts: every member's rows of a parameter, or of its gradient."""
        return tuple(member.rows(tensors[member.parameter]) for member in self.members)

    def symmetry(self, matrix: torch.Tensor | None = None) -> Symmetry:
        """How the block acts on its ``point``, all units at once; s is a number, or one a unit of shape (units, 1).

        Args:
            matrix: the B of a general_linear or rotation block, shape (d, d), or (units, d, d) for one a unit.

        Raises:
            ValueError: a matrix is missing, or the kind has none.
        """
        if self.kind.is_matrix != (matrix is not None):
            asked = f"the {self.size} x {self.size} matrix B" if self.kind.is_matrix else "no matrix"
            raise InvalidInput(f"expected {asked} for a {self.kind.words} block, got {matrix}; pass it as symmetry(B)")
        if matrix is not None:
            return linear(matrix, self.coefficients, _exponential)
        if self.kind.is_constant:
            return translation(self.coefficients)
        return rescale(self.coefficients, [member.offset for member in self.members])

    def describe(self) -> str:
        """The symmetry in words: what moves, how many units, and why the loss cannot notice."""
        moved, undone = ([m for m in self.members if m.coefficient * sign > 0] for sign in (1, -1))
        up, down = (_names(members, self.kind.is_constant) for members in (moved, undone))
        if self.kind.is_constant:
            does, too = f"one constant added to a unit's entries in {up}", f"subtracted in {down}"
        elif not self.kind.is_matrix:
            does, too = f"a unit's entries in {up} times a positive factor", f"in {down} divided by it"
        else:
            orthogonal = self.kind.is_antisymmetric
            matrix = f"{'an orthogonal' if orthogonal else 'an invertible'} {self.size} x {self.size} matrix"
            does, too = f"{matrix} applied to {up}", f"{'it also' if orthogonal else 'its inverse transpose'} to {down}"
        does += f" and {too}" if undone else ""
        count = "one unit" if self.units == 1 else f"{self.units} units, each on its own"
        reason = f"; {self.reason}" if self.reason else ""
        return f"{self.kind.words}, {count}: {does} leaves the loss as it is{reason}."

    def __post_init__(self):
        if self.kind not in list(Kind):
            raise InvalidInput(f"expected a kind among {', '.join(Kind)}, got {self.kind!r}; use one of these")
        object.__setattr__(self, "kind", Kind(self.kind))
        if self.kind is not Kind.RESCALE and any(member.offset for member in self.members):
            raise InvalidInput(f"expected offsets in rescale blocks only, got one in {self.name!r}; leave it out")
        if not self.members:
            raise InvalidInput(f"block {self.name!r} has no members; give at least one Member")
        units = {member.parameter: member.units for member in self.members}
        if len(set(units.values())) != 1:
            raise InvalidInput(f"expected every member of {self.name!r} to have the same number of units, got {units}")


def _exponential(matrix: torch.Tensor) -> torch.Tensor:
    """exp of a matrix, in float64 on the CPU: not every device has either."""
    return torch.linalg.matrix_exp(matrix.cpu().double()).to(matrix)


def _names(members: list[Member], additive: bool) -> str:
    """Parts of parameters in words, with the power of the factor (or the multiple of the shift) where it is not one."""
    unit = "times" if additive else "power"
    amounts = [
        (f"{member.offset:g} + {member.entries}" if member.offset else member.entries, abs(member.coefficient))
        for member in members
    ]
    texts = [entries if amount == 1 else f"{entries} ({amount:g} {unit})" for entries, amount in amounts]
    return ", ".join(dict.fromkeys(texts))
