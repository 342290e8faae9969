"""What theory and measurement hand to each other: plain arrays with a name, a time axis and a unit."""

from dataclasses import dataclass

import numpy as np

from nld.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Positions along a path, measured or integrated.

    Args:
        time: shape (points,), t = n * learning rate.
        position: shape (points, ..., coordinates).
        velocity: the same shape as ``position``, or None where it is not known.
    """

    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray | None = None

    def __post_init__(self):
        _check_axis(self.time, self.position, "position")
        if self.velocity is not None:
            _check_axis(self.time, self.velocity, "velocity")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a theory says a quantity is.

    Args:
        quantity: its name ("squared_norm"); compared with a Measurement of the same name.
        time: shape (points,), t = n * learning rate.
        value: shape (points, ...): further axes are units.
        source: the equation used ("Eq 17, smooth closure").
        unit: in terms of w (weight) and ℓ (loss); a learning rate and a time are w^2/ℓ.
        given: the measured input it was computed from; empty if it used none but the initial value.
    """

    quantity: str
    time: np.ndarray
    value: np.ndarray
    source: str = ""
    unit: str = ""
    given: tuple[str, ...] = ()

    def __post_init__(self):
        _check_axis(self.time, self.value, self.quantity)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a run showed a quantity to be, by its definition and without any theory.

    Args:
        quantity: its name ("squared_norm").
        time: shape (points,), t = n * learning rate.
        value: shape (points, ...): further axes are units.
        source: the run it was measured in.
        unit: in terms of w (weight) and ℓ (loss); a learning rate and a time are w^2/ℓ.
    """

    quantity: str
    time: np.ndarray
    value: np.ndarray
    source: str = ""
    unit: str = ""

    def __post_init__(self):
        _check_axis(self.time, self.value, self.quantity)


def _check_axis(time: np.ndarray, value: np.ndarray, name: str) -> None:
    if np.ndim(time) != 1 or np.ndim(value) < 1 or np.shape(value)[0] != np.shape(time)[0]:
        raise InvalidInput(
            f"expected {name} to have one row per time, got shapes {np.shape(value)} and {np.shape(time)}; "
            "put time on the first axis"
        )
