"""Which steps of several optimizers make up one step of the training."""

import warnings
from collections.abc import Sequence

import torch

from nld.errors import InvalidInput


class Rounds:
    """A round begins when an optimizer steps that has stepped in the last one, and is whole when all have.

    Everything is measured when it begins. So all gradients must be there then; those of a later optimizer that change
    before its own step are told: in the first round by an error, later by a warning, and the step is left out.

    Args:
        optimizers: all of them; with one, each of its steps is a round.
        parameters: those whose gradients are looked at.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], parameters: Sequence[torch.Tensor]):
        self._optimizers, self._parameters = list(optimizers), list(parameters)
        self._stepped: set[int] = set()
        self._first = self._spoiled = False
        self._begun = 0
        self._gradients: dict[int, tuple[torch.Tensor | None, int]] = {}

    @property
    def whole(self) -> bool:
        """Whether every optimizer has taken its step, with the gradient that was measured."""
        return len(self._stepped) == len(self._optimizers) and not self._spoiled

    @property
    def begun(self) -> bool:
        """Whether some optimizer has."""
        return bool(self._stepped)

    def begins(self, which: int) -> bool:
        """Whether a round begins with the step that this optimizer is about to take."""
        if not self._stepped or which in self._stepped or len(self._stepped) == len(self._optimizers):
            return True
        self._look(which)
        return False

    def begin(self) -> None:
        """Begin one: gradients are as they are now."""
        if self._begun and self._stepped and not self.whole and not self._spoiled:
            missing = [type(o).__name__ for i, o in enumerate(self._optimizers) if i not in self._stepped]
            self._warn(f"expected a step of each optimizer, got none of {', '.join(missing)}")
        self._begun += 1
        self._stepped, self._spoiled = set(), False
        if len(self._optimizers) > 1:
            self._gradients = {id(p): _state(p) for p in self._parameters}

    def end_step(self, which: int) -> None:
        """An optimizer has taken its step."""
        self._stepped.add(which)

    def _look(self, which: int) -> None:
        optimizer = self._optimizers[which]
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        changed = any(
            id(p) in own and not _same(_state(p), self._gradients.get(id(p), (None, 0))) for p in self._parameters
        )
        if not changed and getattr(optimizer, "grad_scale", None) is None and not getattr(optimizer, "found_inf", 0):
            return
        text = f"expected all gradients before the first optimizer's step, got those of {type(optimizer).__name__} "
        text += "changed after it; call backward, scaler.unscale_ and clipping for all of them first, or attach one "
        text += "monitor to each optimizer"
        if self._begun == 1:
            raise InvalidInput(text)
        self._spoiled = True
        self._warn(text)

    def _warn(self, text: str) -> None:
        warnings.warn(f"{text}; this step is left out of the record", stacklevel=4)


def _state(parameter: torch.Tensor) -> tuple[torch.Tensor | None, int]:
    gradient = parameter.grad
    return gradient, 0 if gradient is None else gradient._version


def _same(now: tuple, then: tuple) -> bool:
    return now[0] is then[0] and now[1] == then[1]
