"""Where prediction and measurement meet: their residual, relative error and how long the theory holds."""

from dataclasses import dataclass

import numpy as np

from nld.errors import InvalidInput
from nld.series import Measurement, Prediction


@dataclass(frozen=True, eq=False)
class Comparison:
    """A measured quantity and its prediction at the measured times. Make one with ``compare``.

    Args:
        quantity: what was predicted and measured.
        time: shape (points,).
        predicted, measured: shape (points, ...), further axes are units.
        unit: of both.
    """

    quantity: str
    time: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray
    unit: str = ""

    @property
    def residual(self) -> np.ndarray:
        """Measured minus predicted, shape (points, ...)."""
        return self.measured - self.predicted

    @property
    def relative_error(self) -> np.ndarray:
        """|residual|/|measured|, shape (points, ...); 0 where both are 0, infinite where only one is."""
        return _ratio(np.abs(self.residual), np.abs(self.measured))

    @property
    def error_of_change(self) -> np.ndarray:
        """|residual| over the largest measured change since the start, shape (points, ...).

        The stricter question for a quantity that barely moves: is its motion predicted?
        """
        change = np.abs(self.measured - self.measured[0]).max(axis=0)
        return _ratio(np.abs(self.residual), np.broadcast_to(change, self.residual.shape))

    def horizon(self, tolerance: float = 0.1) -> np.ndarray:
        """Last time up to which the relative error never exceeded ``tolerance``, one a unit; NaN if never within it.

        A prediction or measurement that is not finite exceeds every tolerance.
        """
        holds = np.logical_and.accumulate(self.relative_error <= tolerance, axis=0)
        lasting = holds.sum(axis=0)
        return np.where(lasting > 0, self.time[np.maximum(lasting - 1, 0)], np.nan)


def compare(prediction: Prediction, measurement: Measurement) -> Comparison:
    """The prediction at the measured times, next to the measurement.

    Every measured time must be a predicted one; the prediction may have more.

    Raises:
        ValueError: if quantities, units, units of measure or times do not match.
    """
    for name in ("quantity", "unit"):
        ours, theirs = getattr(prediction, name), getattr(measurement, name)
        if ours != theirs and (name == "quantity" or (ours and theirs)):
            raise InvalidInput(
                f"expected the same {name}, got {ours!r} predicted and {theirs!r} measured; pair them anew"
            )
    midpoints = (prediction.time[1:] + prediction.time[:-1]) / 2
    rows = np.searchsorted(midpoints, measurement.time)  # the nearest predicted time
    gap = np.abs(prediction.time[rows] - measurement.time)
    step = np.min(np.diff(prediction.time)) if len(midpoints) else 1.0
    if np.any(gap > 1e-6 * step):
        worst = measurement.time[np.argmax(gap)]
        raise InvalidInput(
            f"expected every measured time to be a predicted one, got {worst:g}; "
            "predict from the same learning rate and number of steps"
        )
    predicted, measured = np.asarray(prediction.value)[rows], np.asarray(measurement.value)
    if predicted.shape != measured.shape:
        raise InvalidInput(
            f"expected the same units, got shapes {predicted.shape} predicted and {measured.shape} measured; "
            "select the same units"
        )
    return Comparison(prediction.quantity, np.asarray(measurement.time), predicted, measured, measurement.unit)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = numerator / denominator
    return np.where((numerator == 0) & (denominator == 0), 0.0, ratio)
