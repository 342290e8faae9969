"""What a check of a training loop can find, and what it found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nld.errors import InvalidInput, did_you_mean

# Each topic of a finding, and what is wrong where it is found.
TOPICS = {
    "left-out": "a parameter that wants a gradient is in no optimizer, or never has a learning rate above 0",
    "two-optimizers": "a parameter is moved by more than one optimizer",
    "not-the-models": "an optimizer moves tensors that are not the model's",
    "no-gradient": "a parameter is in an optimizer, but the loss does not depend on it",
    "never-stepped": "an optimizer takes no step",
    "eval-mode": "a normalization or dropout is in evaluation mode while what surrounds it is trained",
    "not-zeroed": "gradients of earlier steps are still there when new ones are added",
    "second-backward": "more than one backward pass adds to a gradient",
    "accumulation": "accumulated losses are not divided by their number",
    "gradient-scale": "gradients are a multiple of the loss's",
    "norm-clipping": "gradients are clipped by norm, and nobody said so; or not, though somebody did",
    "clipped-before-unscaling": "gradients are clipped while they are multiplied by the loss scale",
    "value-clipping": "entries of gradients are clipped",
    "decay": "weights decay outside of the optimizer, or by the loss and the optimizer both",
    "changed-gradient": "gradients are changed between backward and step",
    "other-gradient": "backward gives another gradient than the loss does",
    "rewritten-weights": "weights change outside of the optimizer's step",
    "stale-momentum": "the optimizer's memory belongs to other weights",
    "momentum": "the momentum is not what the optimizer says",
    "precision": "steps are rounded away",
    "not-finite": "gradients or weights are not finite",
}


def require_topics(names: Iterable[str]) -> None:
    """See that names are those of topics.

    Raises:
        ValueError: one is not.
    """
    for name in names:
        if name not in TOPICS:
            raise InvalidInput(f"expected topics among {', '.join(TOPICS)}, got {name!r}{did_you_mean(name, TOPICS)}")


@dataclass(frozen=True)
class Finding:
    """One thing that a loop does and does not say.

    Args:
        topic: one of TOPICS.
        text: the sentence.
        parameters: names of the parameters that it is about; empty for all.
        steps: the optimizer steps, counted from 0, at which it was seen; empty where it is of no step.
    """

    topic: str
    text: str
    parameters: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a topic: the text of the first, the parameters and steps of all."""
    of_topic: dict[str, Finding] = {}
    for finding in findings:
        first = of_topic.get(finding.topic, finding)
        of_topic[finding.topic] = replace(
            first,
            parameters=tuple(dict.fromkeys((*first.parameters, *finding.parameters))),
            steps=tuple(dict.fromkeys((*first.steps, *finding.steps))),
        )
    return sorted(of_topic.values(), key=lambda finding: list(TOPICS).index(finding.topic))


@dataclass(frozen=True)
class TrainingCheck:
    """What some steps of a training loop showed.

    Args:
        findings: what is wrong, one a topic; empty for a sound loop.
        notes: what could not be checked, and why; and what was found and is allowed.
        steps: how many optimizer steps were taken.
        difference: largest difference of a sound gradient from that of the loss, relative to the latter.
    """

    findings: Sequence[Finding]
    notes: Sequence[str]
    steps: int
    difference: float

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [f"look  {finding.topic}: {finding.text}{_where(finding, self.steps)}" for finding in self.findings]
        lines += [f"note  {note}" for note in self.notes]
        if self.sound:
            exactly = f"to {self.difference:.0e}" if self.difference else "to the bit"
            lines.append(
                f"ok    {self.steps} steps: gradients are the loss's ({exactly}), momenta and steps the optimizer's, "
                "weights are changed by nothing else, and all of them are trained"
                + ("; but for what the notes say." if self.notes else ".")
            )
        return "\n".join(lines)


def _where(finding: Finding, steps: int) -> str:
    """The parameters and steps in brackets."""
    parts = []
    if finding.parameters:
        more = len(finding.parameters) - 3
        parts.append(", ".join(finding.parameters[:3]) + (f" and {more} more" if more > 0 else ""))
    if finding.steps:
        parts.append(f"at {len(finding.steps)} of {steps} steps, first at {finding.steps[0]}")
    return f" ({'; '.join(parts)})" if parts else ""
