"""A monitor for a training whose loop somebody else runs: attached when it begins, closed when it ends."""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.finder import Block
from nld.finder.preconditions import require_whole
from nld.finder.wrappers import unwrap
from nld.monitor import Monitor, save
from nld.monitor.optimizer_wrappers import unwrap_optimizers


class Attachment:
    """A monitor that is made when the training begins: its blocks are given, or found with the first batch.

    The first batch is whatever the module is called with first in training mode; it is looked at before that call and
    changes nothing. So no data loader is asked for a batch of its own, which would move its random numbers.

    Args:
        example_inputs, loss, blocks: see ``nld.Monitor``; without blocks and example inputs, the first batch.
        module: the name of the submodule to watch, or "" for the model.
        path: where the record is saved when the training ends, or None.
        options: further ones of ``nld.Monitor``.
    """

    def __init__(
        self,
        example_inputs: Any = None,
        loss: Callable[..., torch.Tensor] | None = None,
        blocks: Sequence[Block] | None = None,
        module: str = "",
        path: str | os.PathLike | None = None,
        **options: Any,
    ):
        self.example_inputs, self.loss, self.blocks = example_inputs, loss, blocks
        self.module, self.path, self.options = module, path, options
        self.monitor: Monitor | None = None
        self._waiting: list[Any] = []  # for the first batch: hooks to remove

    def begin(self, model: nn.Module, optimizer: Any, first_step: int) -> None:
        """Attach the monitor, or wait for the first batch.

        Raises:
            ValueError: there is no such submodule, or the parameters are sharded.
        """
        self.close()
        self.monitor = None
        try:
            model = unwrap(model)[0].get_submodule(self.module)
        except AttributeError as error:
            raise InvalidInput(f"expected module to name a submodule, got {self.module!r}: {error}") from error
        require_whole(model)
        attach = _Attach(self, model, optimizer, first_step)
        look: Any = torch.compiler.disable(attach.first_batch)
        if self.blocks is not None or self.example_inputs is not None:
            attach(self.example_inputs)
            return
        self._waiting = [
            model.register_forward_pre_hook(look, with_kwargs=True),
            *(
                one.register_step_pre_hook(functools.partial(attach.first_step, which))
                for which, one in enumerate(unwrap_optimizers(optimizer))
            ),
        ]

    def stop_waiting(self) -> None:
        """There is a monitor now, or there will be none."""
        for handle in self._waiting:
            handle.remove()
        self._waiting = []

    def close(self) -> None:
        """End the books and save them."""
        self.stop_waiting()
        if self.monitor is not None and self.monitor.attached:
            self.monitor.close()
            if self.path is not None:
                save(self.monitor.record(), self.path)

    def record(self) -> xr.Dataset:
        """What was recorded so far; see ``nld.Monitor.record``.

        Raises:
            ValueError: the training has not begun.
        """
        if self.monitor is None:
            raise InvalidInput("expected a training that has begun, got none; train, on rank 0, and ask again")
        return self.monitor.record()


class _Attach:
    """Makes the monitor of an attachment."""

    def __init__(self, attachment: Attachment, model: nn.Module, optimizer: Any, first_step: int):
        self._attachment, self._model = attachment, model
        self._optimizer, self._first_step = optimizer, first_step

    def __call__(self, example_inputs: Any) -> None:
        to = self._attachment
        to.monitor = Monitor(
            self._model,
            self._optimizer,
            to.blocks,
            example_inputs=example_inputs,
            loss=to.loss,
            first_step=self._first_step,
            **to.options,
        )

    def first_batch(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        """Called before the module is: find its symmetries with what it is about to be called with."""
        if model is not self._model or not model.training or not torch.is_grad_enabled():
            return  # a copy of the model, or an evaluation before the training
        self._attachment.stop_waiting()
        device = next(model.parameters()).device.type
        with torch.autocast(device, enabled=False):
            self(_by_name(model, args, kwargs) if kwargs else args)

    def first_step(self, which: int, _, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Called before the first step: the first batch must have come, or comes in the step's closure."""
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._missed()

        def within():
            loss = closure()
            if self._attachment.monitor is None:
                self._missed()
            self._attachment.monitor.begin_step(which)  # it came too late for the hook of this step
            return loss

        return (args[0], within, *args[2:]) if len(args) > 1 else args, {**kwargs, "closure": within}

    def _missed(self) -> NoReturn:
        name = self._attachment.module or type(self._model).__name__
        raise InvalidInput(
            f"expected {name} to be called before the first step, to find its symmetries with what it is called with, "
            "got a step without; give example_inputs=, or the name of a submodule that is called as module="
        )


def _by_name(model: nn.Module, args: tuple, kwargs: dict) -> dict[str, Any]:
    signature = inspect.signature(model.forward)
    given = signature.bind(*args, **kwargs).arguments
    rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD and p.name in given]
    for name in rest:
        given |= given.pop(name)
    return dict(given)
