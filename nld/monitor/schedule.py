"""Which steps a monitor writes down."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral

from nld.errors import InvalidInput


def schedule(every: int | str | Iterable[int], per_decade: int = 20) -> Callable[[int], bool]:
    """A rule that says of each step n = 0, 1, … whether it is written down.

    Args:
        every: n for every n-th step; "log" for ``per_decade`` steps a decade, equally spaced on a
            logarithmic axis; or the numbers of the steps themselves.

    Raises:
        ValueError: every is none of these.

    >>> [n for n in range(40) if schedule("log", per_decade=4)(n)]
    [0, 1, 2, 3, 6, 10, 18, 32]
    """
    if isinstance(every, Integral) and not isinstance(every, bool) and int(every) >= 1:
        period = int(every)
        return lambda step: step % period == 0
    if every == "log":
        chosen = {0} | {round(10 ** (i / per_decade)) for i in range(16 * per_decade)}
        return chosen.__contains__
    if isinstance(every, Iterable) and not isinstance(every, str):
        return frozenset(int(step) for step in every).__contains__
    raise InvalidInput(f"expected every to be a positive whole number, 'log' or the numbers of steps, got {every!r}")


@dataclass(frozen=True)
class Action:
    """What a monitor does when a step is about to be taken, and its gradient is there."""

    start: bool  # copy all positions first: the displacement is not known, and counts from here
    measure: bool  # take everything down; it ends the step before and begins this one
    keep: bool  # whether the positions are known when the next step begins


def action(now: bool, before: bool, after: bool, bare: bool, fresh: bool) -> Action:
    """What is to be done at a step.

    Args:
        now, before, after: whether this step, the one before and the one after are written down.
        bare: whether a momentum is the bare gradient: it is gone after its step, so that the charge of a step is taken
            down one step early.
        fresh: whether the positions of the step before are not known.
    """
    measure = now or before or (bare and after)
    keep = now or after
    return Action(start=fresh if measure else after, measure=measure, keep=keep)
