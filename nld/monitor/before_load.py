"""Told before a model loads weights; copies of the model do not carry its listener with them."""

from collections.abc import Callable


class BeforeLoad:
    """A pre-hook of ``load_state_dict`` that calls ``listener``; a copied or pickled one calls nothing."""

    def __init__(self, listener: Callable[[], object] | None = None):
        self._listener = listener

    def __call__(self, *_) -> None:
        if self._listener is not None:
            self._listener()

    def __reduce__(self):
        return BeforeLoad, ()
