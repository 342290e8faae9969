"""The state of all random numbers that a loss may draw: torch's, numpy's and Python's."""

import contextlib
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch


class RandomState(NamedTuple):
    """The state of the global generators at one moment."""

    python: object
    numpy: dict
    cpu: torch.Tensor
    cuda: list[torch.Tensor]

    def is_as(self, other: "RandomState") -> bool:
        """Whether nothing was drawn between two states."""
        return (
            self.python == other.python
            and str(self.numpy) == str(other.numpy)
            and all(torch.equal(a, b) for a, b in zip((self.cpu, *self.cuda), (other.cpu, *other.cuda), strict=True))
        )


def random_state() -> RandomState:
    """The state now."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return RandomState(random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state(), cuda)  # noqa: NPY002


def set_random_state(state: RandomState) -> None:
    """Go back to a state."""
    random.setstate(state.python)  # pyright: ignore[reportArgumentType]
    np.random.set_state(state.numpy)  # noqa: NPY002
    torch.set_rng_state(state.cpu)
    if state.cuda:
        torch.cuda.set_rng_state_all(state.cuda)


@contextlib.contextmanager
def replayed(state: RandomState) -> Iterator[None]:
    """Inside, the random numbers that follow ``state`` are drawn; outside it is as if none had been."""
    now = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(now)
