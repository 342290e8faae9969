"""The generator of an absorption as a few steps: how a constant travels through the weights to where it is absorbed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from nld.finder.coupled import Tensors
from nld.finder.linear_system import Form
from nld.finder.windows import Window


@dataclass(frozen=True)
class Sums:
    """Sums of numbered values, one for each of ``size`` rows: a sparse matrix of (row, number of a value, factor)."""

    rows: torch.Tensor
    numbers: torch.Tensor
    factors: torch.Tensor
    size: int

    @staticmethod
    def of(forms: Sequence[Form], place: Mapping[int, int]) -> Sums:
        """From a linear form of unknowns a row; ``place``: the number of each unknown's value, others count nothing."""
        entries = [(row, place[u], float(c)) for row, form in enumerate(forms) for u, c in form.items() if u in place]
        rows, numbers, factors = zip(*entries, strict=True) if entries else ((), (), ())
        return Sums(
            torch.tensor(rows, dtype=torch.long),
            torch.tensor(numbers, dtype=torch.long),
            torch.tensor(factors, dtype=torch.float64),
            len(forms),
        )

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The sums, (size,), of the values."""
        device = values.device
        terms = values[self.numbers.to(device)] * self.factors.to(values)
        return values.new_zeros(self.size).index_add_(0, self.rows.to(device), terms)


@dataclass(frozen=True)
class Dense:
    """y = W x, the weight W (outputs, inputs) in a window of a parameter."""

    weight: Window

    @property
    def read(self) -> tuple[str, ...]:
        """What it depends on."""
        return (self.weight.parameter,)

    def __call__(self, parameters: Tensors, x: torch.Tensor) -> torch.Tensor:
        return self.weight.of(parameters) @ x


@dataclass(frozen=True)
class Diagonal:
    """y = w x entry by entry, the gains w picked from a parameter."""

    gain: str
    entries: torch.Tensor

    @property
    def read(self) -> tuple[str, ...]:
        """What it depends on."""
        return (self.gain,)

    def __call__(self, parameters: Tensors, x: torch.Tensor) -> torch.Tensor:
        return parameters[self.gain].reshape(-1)[self.entries.to(x.device)] * x


@dataclass(frozen=True)
class MeanOffset:
    """y = x Σ bias / gain: what a row shifted by x / gain adds behind a normalization with this gain and bias.

    The activations that it divides by their deviation sum to zero, so that all that is left is the bias.
    """

    gain: str
    bias: str

    @property
    def read(self) -> tuple[str, ...]:
        """What it depends on."""
        return self.gain, self.bias

    def __call__(self, parameters: Tensors, x: torch.Tensor) -> torch.Tensor:
        return x * (parameters[self.bias] / parameters[self.gain]).sum()


@dataclass(frozen=True)
class Step:
    """One layer that the constant goes through: what enters, and the numbers of what comes out."""

    layer: Dense | Diagonal | MeanOffset
    inputs: Sums
    outputs: torch.Tensor


@dataclass(frozen=True)
class Shift:
    """Entries of a parameter, by their numbers in it, that move by sums of values."""

    parameter: str
    entries: torch.Tensor
    amounts: Sums

    def add(self, velocity: Tensors, parameters: Tensors, values: torch.Tensor) -> None:
        """Put what it moves into a velocity."""
        velocity[self.parameter].view(-1)[self.entries.to(values.device)] += self.amounts(values)


@dataclass(frozen=True)
class RowShift:
    """Rows of a weight behind a normalization that move by a sum of values each, over the gain."""

    weight: Window
    amounts: Sums
    gain: str

    @property
    def parameter(self) -> str:
        """What moves."""
        return self.weight.parameter

    def add(self, velocity: Tensors, parameters: Tensors, values: torch.Tensor) -> None:
        """Put what it moves into a velocity."""
        self.weight.of(velocity).add_(self.amounts(values)[:, None] / parameters[self.gain])


@dataclass(frozen=True)
class Absorbed:
    """The flow q + s A(q) of an absorption: nothing that A depends on moves, so that it is a straight line.

    Args:
        units: number of values that are free; they are the first ones.
        values: of how many there are.
        steps: in the order of the forward pass.
        shifts: what moves.
    """

    units: int
    values: int
    steps: tuple[Step, ...]
    shifts: tuple[Shift | RowShift, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the parameters that move."""
        return tuple(dict.fromkeys(shift.parameter for shift in self.shifts))

    @property
    def read(self) -> tuple[str, ...]:
        """Names of those that the generator depends on."""
        gains = [shift.gain for shift in self.shifts if isinstance(shift, RowShift)]
        return tuple(dict.fromkeys([*(name for step in self.steps for name in step.layer.read), *gains]))

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        return self.units

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction."""
        return (self.units,)

    def basis(self) -> Iterator[torch.Tensor]:
        """One direction for each value that is free."""
        yield from torch.eye(self.units, dtype=torch.float64)

    def velocity(self, parameters: Tensors, direction: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """A(q), of these of the parameters that move."""
        values = parameters[self.moved[0]].new_zeros(self.values)
        values[: self.units] = direction.to(values)
        for step in self.steps:
            values[step.outputs.to(values.device)] = step.layer(parameters, step.inputs(values))
        velocity = {name: torch.zeros_like(parameters[name]).contiguous() for name in names}
        for shift in (shift for shift in self.shifts if shift.parameter in velocity):
            shift.add(velocity, parameters, values)
        return velocity

    def transform(
        self, parameters: Tensors, direction: torch.Tensor, amount: float
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Q(q, s), of every parameter that moves."""
        for name in self.moved:
            (velocity,) = self.velocity(parameters, direction, (name,)).values()
            yield name, parameters[name] + amount * velocity
