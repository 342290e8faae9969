"""What a dashboard shows of a monitor's steps: one number a block, under names that stay."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from nld.finder.block import Block
from nld.monitor.finished_steps import FinishedSteps

Log = Callable[[Mapping[str, float], int], object]  # what is given scalars by name, and the number of their step
LOGGED = ("charge", "relative_residual", "squared_norm", "angular_step", "effective_learning_rate")
LONGEST = 200  # letters of a name: MLflow takes 250


def names(labels: Sequence[str]) -> list[str]:
    """Each block's label in letters that every dashboard takes: digits, Latin letters, ``_``, ``.``, ``-`` and ``/``.

    Distinct labels have distinct names, and the same label has the same name in every run of the same model.
    """
    plain = [re.sub(r"[^\w.\-/]+", "_", label.replace(" → ", "-to-"), flags=re.ASCII).strip("_") for label in labels]
    clear = {name for name in plain if 0 < len(name) <= LONGEST and plain.count(name) == 1}
    return [
        name if name in clear else f"{name[: LONGEST - 9]}-{_digest(label)}".lstrip("-")
        for name, label in zip(plain, labels, strict=True)
    ]


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:8]


def scalars(
    finished: FinishedSteps, blocks: Sequence[Block], labels: Sequence[str]
) -> Iterator[tuple[dict[str, float], int]]:
    """The scalars of each step, ``nld/QUANTITY/BLOCK``, and its number; what is not known is left out.

    Args:
        finished: one value a unit, or one a block.
        labels: of the blocks, as in records.
    """
    of_blocks = names(labels)
    if finished.values["charge"].shape[1] != len(blocks):
        finished = finished.over_units(blocks)
    for row, step in enumerate(finished.steps):
        values = {
            f"nld/{quantity}/{name}": float(value)
            for quantity in LOGGED
            for name, value in zip(of_blocks, finished.values[quantity][row], strict=True)
            if not np.isnan(value)
        }
        yield values, int(step)
