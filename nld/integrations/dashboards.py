"""Where a monitor's scalars go: TensorBoard, Weights & Biases, MLflow, or the logger of a trainer."""

from collections.abc import Mapping
from typing import Any

from nld.errors import InvalidInput
from nld.monitor.scalars import Log

STEP = "nld/step"  # the axis of W&B's charts, since it takes no step that is older than its last


def log_to(*dashboards: Any) -> Log:
    """A function for ``nld.Monitor(..., log=)`` that writes each step's scalars to one or several dashboards.

    Scalars are ``nld/QUANTITY/BLOCK`` for the quantities of nld.monitor.scalars.LOGGED: means over a block's units, of
    the relative residual the maximum.

    Args:
        dashboards: a ``SummaryWriter`` of TensorBoard; ``wandb`` or one of its runs; ``mlflow``; or a logger of
            Lightning. In W&B the scalars have an axis of their own, ``nld/step``.

    Raises:
        ValueError: one is none of these.

    Example:
        nld.Monitor(model, optimizer, example_inputs=images, log=log_to(SummaryWriter()))
    """
    writers = [_writer(dashboard) for dashboard in dashboards]

    def log(scalars: Mapping[str, float], step: int) -> None:
        for write in writers:
            write(scalars, step)

    return log


def _writer(dashboard: Any) -> Log:
    for asks, make in (
        (("add_scalar",), _TensorBoard),
        (("define_metric", "log"), _WandB),
        (("log_metrics",), _Metrics),
    ):
        if all(callable(getattr(dashboard, name, None)) for name in asks):
            return make(dashboard)
    raise InvalidInput(
        f"expected a SummaryWriter, wandb or a run of it, mlflow, or a logger of Lightning, got {dashboard!r}; of "
        "another dashboard write a function of scalars by name and a step, and give it as log="
    )


class _TensorBoard:
    def __init__(self, writer: Any):
        self._writer = writer

    def __call__(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)


class _WandB:
    def __init__(self, run: Any):
        self._run, self._defined = run, False

    def __call__(self, scalars: Mapping[str, float], step: int) -> None:
        if not self._defined:  # not earlier: a trainer may begin the run after its callbacks were made
            self._run.define_metric("nld/*", step_metric=STEP)
            self._defined = True
        self._run.log({**scalars, STEP: step})


class _Metrics:
    def __init__(self, logger: Any):
        self._logger = logger

    def __call__(self, scalars: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(scalars), step=step)
