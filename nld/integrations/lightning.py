"""The monitor as a callback of Lightning's ``Trainer``."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
import xarray as xr

try:
    from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError:
    from pytorch_lightning import Callback  # pyright: ignore[reportMissingImports]

from nld.finder import Block
from nld.integrations.attachment import Attachment
from nld.integrations.dashboards import log_to
from nld.monitor.scalars import Log


class MonitorCallback(Callback):
    """Keeps the books of the symmetries of a ``LightningModule``; the training stays bitwise as it was.

    Symmetries are those of what the module returns for the first training batch, or of the ``loss`` of it, unless
    ``blocks`` or ``example_inputs`` are given. Only the main process watches. A resumed training goes on counting.

    Args:
        example_inputs, loss, blocks: see ``nld.Monitor``.
        module: the name of a submodule to watch instead of the whole; of one that ``training_step`` calls, if it does
            not call the module itself.
        path: where the record is saved when the training ends, for ``nld report``.
        log: as of ``nld.Monitor``; the trainer's own loggers are used unless another is given, or None.
        options: further ones of ``nld.Monitor``: ``every``, ``units``, ``stream``, ``digits``, ``adapter``.

    Raises:
        ValueError: while training: a module that is not there or never called, or sharded parameters.

    Example:
        callback = MonitorCallback(module="network", loss=torch.nn.functional.cross_entropy, path="record.nc")
        lightning.Trainer(max_steps=1000, callbacks=[callback]).fit(module, loader)
        record = callback.record()
    """

    def __init__(
        self,
        example_inputs: Any = None,
        *,
        loss: Callable[..., torch.Tensor] | None = None,
        blocks: Sequence[Block] | None = None,
        module: str = "",
        path: str | os.PathLike | None = None,
        log: Log | str | None = "loggers",
        **options: Any,
    ):
        self._log = log
        self._attachment = Attachment(example_inputs, loss, blocks, module, path, **options)

    def on_train_start(self, trainer, pl_module) -> None:
        """Attach the monitor, before the first batch."""
        if not trainer.is_global_zero:
            return
        self._attachment.options["log"] = log_to(*trainer.loggers) if self._log == "loggers" else self._log
        steps = trainer.global_step // max(len(trainer.optimizers), 1)  # it counts those of each optimizer
        self._attachment.begin(pl_module, trainer.optimizers, steps)

    def on_train_end(self, trainer, pl_module) -> None:
        """Close it and save the record."""
        self._attachment.close()

    def on_exception(self, trainer, pl_module, exception) -> None:
        """Close it and save what there is."""
        self._attachment.close()

    def record(self) -> xr.Dataset:
        """What was recorded so far; see ``nld.Monitor.record``.

        Raises:
            ValueError: the training has not begun.
        """
        return self._attachment.record()
