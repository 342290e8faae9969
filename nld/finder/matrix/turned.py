"""The generators that the gains of normalizations conjugate: rotations of a stream, shears behind a normalization."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from nld.finder.block import Block, Member
from nld.finder.coupled import Tensors
from nld.finder.overlaps import PIECE


@dataclass(frozen=True)
class Turn:
    """How one member follows a matrix M of the normalized activations, x → M⁻¹ᵀ x.

    What writes or is added behind the gains Γ (a bias) goes with Γ M⁻¹ᵀ Γ⁻¹, a weight that reads there with Γ⁻¹ M Γ;
    without gains Γ = 1. A weight that writes in front of the gains goes with Γ⁻¹ M⁻¹ᵀ Γ, for a rotation the same.

    Args:
        member: what turns.
        gain: the parameter that holds Γ.
        offset: what the model adds to it.
        reads: whether it is a weight that reads behind the gains, or one that writes in front of them.
    """

    member: Member
    gain: str | None = None
    offset: float = 0.0
    reads: bool = True

    def by(self, parameters: Tensors, matrix: torch.Tensor, contragredient: torch.Tensor) -> torch.Tensor:
        """The matrix that acts on the rows of this member, given M and M⁻¹ᵀ."""
        result = matrix if self.reads else contragredient
        if self.gain is None:
            return result
        gain = parameters[self.gain].to(result) + self.offset
        ratio = gain[:, None] / gain
        return result * (ratio.mT if self.reads else ratio)

    def apply(self, tensor: torch.Tensor, matrix: torch.Tensor, rows_of: torch.Tensor) -> None:
        """Put the rows of this member in ``rows_of``, multiplied by a matrix, into ``tensor``, which may be the same.

        Piece by piece, so that a large one is never copied whole.
        """
        place, source = self.member.arranged(tensor, writable=True), self.member.arranged(rows_of)
        turning = len(self.member.unit_axes)  # the axis that does
        if place.ndim == turning + 1:  # units of one feature
            place, source = place.unsqueeze(-1), source.unsqueeze(-1)
        matrix = matrix.to(tensor)
        axis = max((axis for axis in range(place.ndim) if axis != turning), key=place.shape.__getitem__)
        length = max(1, PIECE * place.shape[axis] // max(place.numel(), 1))
        for into, rows in zip(place.split(length, axis), source.split(length, axis), strict=True):
            into.copy_((matrix @ rows.reshape(*rows.shape[: turning + 1], -1)).view(into.shape))


@dataclass(frozen=True)
class Conjugated:
    """What flows that gains conjugate have in common.

    Args:
        size: d, the width of the stream or the normalization.
        turns: all that turns; no gain is among it.
    """

    size: int
    turns: tuple[Turn, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the parameters that move."""
        return tuple(dict.fromkeys(turn.member.parameter for turn in self.turns))

    @property
    def read(self) -> tuple[str, ...]:
        """Names of the gains."""
        return tuple(dict.fromkeys(turn.gain for turn in self.turns if turn.gain))


@dataclass(frozen=True)
class Turned(Conjugated):
    """The flow of a rotation R = exp(s B) of the residual stream.

    Args:
        keeps_mean: a normalization subtracts a mean, so that the vector of ones must stay: B 1 = 0.
    """

    keeps_mean: bool

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        free = self.size - self.keeps_mean
        return free * (free - 1) // 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction: a matrix, of which the part counts that is antisymmetric and keeps the mean."""
        return self.size, self.size

    def basis(self) -> Iterator[torch.Tensor]:
        """One matrix for each plane."""
        axes = torch.eye(self.size, dtype=torch.float64)
        if self.keeps_mean:
            axes[:, 0] = 1.0
            axes = torch.linalg.qr(axes)[0][:, 1:]
        for i in range(axes.shape[1]):
            for j in range(i):
                yield torch.outer(axes[:, i], axes[:, j]) - torch.outer(axes[:, j], axes[:, i])

    def velocity(self, parameters: Tensors, direction: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """A(q), of these of the parameters that move."""
        matrix = self._antisymmetric(direction)
        return velocity(self.turns, parameters, names, matrix, matrix)

    def transform(
        self, parameters: Tensors, direction: torch.Tensor, amount: float
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Q(q, s), parameter by parameter."""
        matrix = torch.linalg.matrix_exp(amount * self._antisymmetric(direction))
        yield from transformed(self.turns, parameters, matrix, matrix)

    def _antisymmetric(self, direction: torch.Tensor) -> torch.Tensor:
        matrix = direction.cpu().double()
        matrix = (matrix - matrix.mT) / 2
        if self.keeps_mean:
            matrix = matrix - matrix.mean(0) - matrix.mean(1)[:, None]  # the mean of an antisymmetric one is zero
        return matrix


@dataclass(frozen=True)
class Sheared(Conjugated):
    """The flow of W → W (1 + v (1/γ)ᵀ), v = γ u, of all weights behind a layer normalization with gain γ.

    What they read is γ x + bias with a sum of zero over x, so that only the bias notices, and undoes it.
    """

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        return self.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction: u."""
        return (self.size,)

    def basis(self) -> Iterator[torch.Tensor]:
        """One direction for each coordinate."""
        yield from torch.eye(self.size, dtype=torch.float64)

    def velocity(self, parameters: Tensors, direction: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """A(q), of these of the parameters that move."""
        matrix = self._matrix(direction)
        return velocity(self.turns, parameters, names, matrix, -matrix.mT)

    def transform(
        self, parameters: Tensors, direction: torch.Tensor, amount: float
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Q(q, s), parameter by parameter."""
        matrix = torch.linalg.matrix_exp(amount * self._matrix(direction))
        yield from transformed(self.turns, parameters, matrix, torch.linalg.inv(matrix).mT)

    def _matrix(self, direction: torch.Tensor) -> torch.Tensor:
        return direction.cpu().double().expand(self.size, self.size)  # 1 uᵀ


def velocity(
    turns: Sequence[Turn],
    parameters: Tensors,
    names: Sequence[str],
    matrix: torch.Tensor,
    contragredient: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """The sum over members of how each moves, given the generators of M and of M⁻¹ᵀ."""
    result = {}
    for name in names:
        of_members = []
        for turn in (turn for turn in turns if turn.member.parameter == name):
            of_members.append(torch.zeros_like(parameters[name]))
            turn.apply(of_members[-1], turn.by(parameters, matrix, contragredient), parameters[name])
            if len(of_members) > 1:
                of_members[0].add_(of_members.pop())
        result[name] = of_members[0] if of_members else torch.zeros_like(parameters[name])
    return result


def transformed(
    turns: Sequence[Turn], parameters: Tensors, matrix: torch.Tensor, contragredient: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each parameter after all its members have turned."""
    for name in dict.fromkeys(turn.member.parameter for turn in turns):
        moved = parameters[name].clone()
        for turn in turns:
            if turn.member.parameter == name:
                turn.apply(moved, turn.by(parameters, matrix, contragredient), moved)
        yield name, moved


@dataclass(frozen=True)
class Shifted:
    """The flow q → q + s u / λ of weights and biases in front of gains λ, of which each unit adds a constant.

    Args:
        block: the translations without the gains.
        scales: of parameters of the block, the axis along which gains multiply what they write, the parameter that
            holds λ, and what the model adds to it.
    """

    block: Block
    scales: tuple[tuple[str, int, str, float], ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the parameters that move."""
        return self.block.parameters

    @property
    def read(self) -> tuple[str, ...]:
        """Names of the gains."""
        return tuple(dict.fromkeys(gain for _, _, gain, _ in self.scales))

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        return self.block.units

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction: u, one number a unit."""
        return (self.block.units,)

    def basis(self) -> Iterator[torch.Tensor]:
        """One direction for each unit."""
        yield from torch.eye(self.block.units, dtype=torch.float64)

    def velocity(self, parameters: Tensors, direction: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """A(q), of these of the parameters that move."""
        result = {name: torch.zeros_like(parameters[name]) for name in names}
        for member in (member for member in self.block.members if member.parameter in result):
            rows, place = member.rows(parameters[member.parameter]), torch.zeros_like(parameters[member.parameter])
            member.write(place, member.coefficient * direction.to(rows)[:, None].expand_as(rows))
            result[member.parameter] += place
        for name, axis, gain, offset in self.scales:
            if name in result:
                size = [-1 if a == axis else 1 for a in range(result[name].ndim)]
                result[name] /= (parameters[gain] + offset).reshape(size)
        return result

    def transform(
        self, parameters: Tensors, direction: torch.Tensor, amount: float
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Q(q, s), parameter by parameter."""
        for name in self.moved:
            yield name, parameters[name] + amount * self.velocity(parameters, direction, (name,))[name]
