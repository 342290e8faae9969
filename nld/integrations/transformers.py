"""The monitor as a callback of Hugging Face's ``Trainer``."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
import xarray as xr
from transformers import TrainerCallback

from nld.finder import Block
from nld.integrations.attachment import Attachment


class MonitorCallback(TrainerCallback):  # pyright: ignore[reportGeneralTypeIssues]
    """Keeps the books of the symmetries of a ``Trainer``'s model; the training stays bitwise as it was.

    Symmetries are those of the loss that the model computes from the first training batch, unless ``blocks`` or
    ``example_inputs`` are given. Only the main process watches. A resumed training goes on counting.

    Args:
        example_inputs, loss, blocks: see ``nld.Monitor``.
        module: the name of a submodule to watch instead of the whole model.
        path: where the record is saved when the training ends, for ``nld report``.
        options: further ones of ``nld.Monitor``: ``every``, ``units``, ``stream``, ``digits``, ``adapter``, ``log``.

    Raises:
        ValueError: while training: a module that is not there or never called, or sharded parameters.

    Example:
        callback = MonitorCallback(every=10, path="record.nc", log=nld.integrations.log_to(wandb))
        Trainer(model, arguments, train_dataset=texts, callbacks=[callback]).train()
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
        **options: Any,
    ):
        self._attachment = Attachment(example_inputs, loss, blocks, module, path, **options)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Attach the monitor, before the first batch."""
        if state.is_world_process_zero:
            self._attachment.begin(kwargs["model"], kwargs["optimizer"], state.global_step)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Close it and save the record."""
        self._attachment.close()

    def record(self) -> xr.Dataset:
        """What was recorded so far; see ``nld.Monitor.record``.

        Raises:
            ValueError: the training has not begun.
        """
        return self._attachment.record()
