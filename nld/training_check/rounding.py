"""How much of the steps rounding eats."""

from collections import defaultdict
from collections.abc import Iterator

from nld.monitor.diagnosis import STILL
from nld.training_check.findings import Finding
from nld.training_check.watch import Step


class RoundedAway:
    """Counts the entries with a gradient that a step leaves where they are, at a learning rate above 0."""

    def __init__(self):
        self._stayed: dict[str, int] = defaultdict(int)
        self._pulled: dict[str, int] = defaultdict(int)
        self._half: set[str] = set()  # names of parameters in half precision
        self._still: dict[str, None] = {}  # those whose learning rate was 0 at a step
        self._moving: set[str] = set()  # those whose learning rate was not

    def add(self, step: Step) -> None:
        """Count one more step."""
        for name, gradient in step.gradients.items():
            rate = step.groups[name].get("lr", 1.0)  # an optimizer without one, or None, chooses it itself
            if rate is not None and not float(rate) > 0:
                self._still.setdefault(name)
                continue
            self._moving.add(name)
            pulled = gradient != 0
            self._stayed[name] += int((pulled & (step.after[name] == step.before[name])).sum())
            self._pulled[name] += int(pulled.sum())
            if step.before[name].element_size() < 4:
                self._half.add(name)

    def findings(self) -> Iterator[Finding]:
        """Which parameters hardly move for it, and which do not move because their learning rate is 0.

        In single precision only the whole model says something: a key's bias has no gradient but rounding errors.
        """
        if frozen := tuple(name for name in self._still if name not in self._moving):
            text = "parameters have a learning rate of 0 at every step; give them one, or set requires_grad=False"
            yield Finding("left-out", text, frozen)
        whole = sum(self._stayed.values()) > STILL * sum(self._pulled.values())
        still = sorted(
            name
            for name, pulled in self._pulled.items()
            if (whole or name in self._half) and self._stayed[name] > STILL * pulled
        )
        if still:
            share = sum(self._stayed[name] for name in still) / sum(self._pulled[name] for name in still)
            text = f"rounding eats the steps: of the entries with a gradient {share:.0%} stay where they are; keep a "
            text += "float32 copy of the weights that the optimizer steps, or see whether the learning rate is meant"
            yield Finding("precision", text, tuple(still))
