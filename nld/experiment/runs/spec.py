"""What an experiment is: frozen plain fields that hash, print, compare and become a table.

Nothing here computes. A run is a pure function of an `Experiment`, so the digest of its fields names the run wherever
it is stored; a `Sweep` is a base experiment and what varies.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from nld.errors import InvalidInput
from nld.experiment.datasets.data import DATASETS
from nld.experiment.training.networks import NETWORKS
from nld.results import arithmetic

_ORDINARY = {"threads": 1, "rounding_twin": False}  # the arithmetic of which a run's name says nothing
SCHEDULES = ("constant", "step")
PRECISIONS = ("float32", "float64", "bfloat16")
DEVICES = ("cpu", "cuda")
# What a field takes, by its type.
KINDS = {
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    int | None: (Integral | None, "a whole number or none"),
    float: (Real, "a number"),
    str: (str, "a text"),
    tuple[float, ...]: (list | tuple, "a list of numbers"),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training run by stochastic gradient descent, stated completely.

    The update is PyTorch's: ``buf ← β buf + (g + k q)``, ``q ← q − η buf``. A *filter* is the row of weights, without
    bias, whose output a batch normalization divides by its own deviation: the loss does not depend on its norm.

    Raises:
        ValueError: a field has a value that no run could honour; the message says which and what is expected.

    >>> Experiment(learning_rate=0.1) == Experiment(learning_rate=0.1)
    True
    """

    network: str = "digits_cnn"  # a name in networks.NETWORKS
    dataset: str = "digits"  # a name in data.DATASETS
    width: float = 1.0  # multiplies the network's channels
    epsilon: float = 1e-8  # added to the variance in normalization; breaks scale symmetry by O(epsilon / variance)

    learning_rate: float = 0.1  # η
    momentum: float = 0.9  # β
    weight_decay: float = 5e-4  # k
    schedule: str = "constant"  # or "step": η is multiplied by `decay` at each milestone
    milestones: tuple[float, ...] = (0.5, 0.75)  # fractions of `steps`; used by "step" only
    decay: float = 0.1
    constrained: bool = False  # after each step every filter is scaled back to its initial norm
    filter_scale: float = 1.0  # multiplies every filter at initialization
    filter_rate: float = 1.0  # multiplies the learning rate of the filters

    batch_size: int = 64
    steps: int = 300
    seed: int = 0  # initialization, order of the images and augmentation
    train_size: int | None = None  # the first so many training images of a fixed permutation; None is all
    test_size: int | None = None  # likewise of the test images
    validation_size: int = 0  # training images held out, the last of that permutation; what chooses values is theirs
    label_noise: float = 0.0  # fraction of training labels replaced by another class, the same for all seeds
    augment: bool = False  # random horizontal flip and padded crop

    evaluate_every: int = 50  # steps between evaluations; the first is at step 0, before any update
    evaluation_size: int = 2048  # fixed training images: `train_loss` is theirs, and the statistics of the tests
    monitor_every: int = 0  # steps between entries of nld.monitor's books; 0 keeps none
    divergence_bound: float = 1e4  # a loss above it, or not finite, ends the run as "diverged"

    device: str = "cpu"
    precision: str = "float32"  # "bfloat16" is mixed precision: weights and update stay float32
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self):
        # TOML has no tuples and writes 1 for 1.0: equal experiments must have equal digests.
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind, expected = KINDS.get(field.type, (object, ""))
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise InvalidInput(f"Experiment.{field.name} must be {expected}, got {value!r}")
            if field.type is float:
                object.__setattr__(self, field.name, _finite(field.name, value))
        object.__setattr__(self, "milestones", tuple(_finite("milestones", m) for m in self.milestones))
        checks = {
            "network": (self.network in NETWORKS, f"one of {', '.join(NETWORKS)}"),
            "dataset": (self.dataset in DATASETS, f"one of {', '.join(DATASETS)}"),
            "learning_rate": (self.learning_rate >= 0, "at least 0"),
            "momentum": (0 <= self.momentum < 1, "in [0, 1)"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "schedule": (self.schedule in SCHEDULES, f"one of {SCHEDULES}"),
            "milestones": (all(0 < m < 1 for m in self.milestones), "fractions in (0, 1)"),
            "filter_scale": (self.filter_scale > 0, "positive"),
            "filter_rate": (self.filter_rate >= 0, "at least 0"),
            "width": (self.width > 0, "positive"),
            "epsilon": (self.epsilon >= 0, "at least 0"),
            "batch_size": (self.batch_size >= 2, "at least 2, for batch statistics"),
            "steps": (self.steps >= 0, "at least 0"),
            "seed": (0 <= self.seed < 2**63, "from 0 to 2**63 - 1"),
            "train_size": (self.train_size is None or self.train_size >= 2, "at least 2, or none for all images"),
            "test_size": (self.test_size is None or self.test_size >= 2, "at least 2, or none for all images"),
            "decay": (self.decay >= 0, "at least 0"),
            "divergence_bound": (self.divergence_bound > 0, "positive"),
            "evaluate_every": (self.evaluate_every >= 1, "at least 1"),
            "monitor_every": (self.monitor_every >= 0, "at least 0"),
            "evaluation_size": (self.evaluation_size >= 2, "at least 2"),
            "validation_size": (self.validation_size == 0 or self.validation_size >= 2, "0, or at least 2"),
            "label_noise": (0 <= self.label_noise < 1, "in [0, 1)"),
            "precision": (self.precision in PRECISIONS, f"one of {PRECISIONS}"),
            "device": (self.device in DEVICES, f"one of {DEVICES}"),
        }
        for name, (holds, expected) in checks.items():
            if not holds:
                raise InvalidInput(f"Experiment.{name} must be {expected}, got {getattr(self, name)!r}")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the update that follows evaluation at `step`, in w²/ℓ."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * self.decay ** sum(step >= milestone * self.steps for milestone in self.milestones)

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """Numbers of updates done at each evaluation: 0, every `evaluate_every`, and the end."""
        return (*range(0, self.steps, self.evaluate_every), self.steps)

    def replace(self, **changes: Any) -> "Experiment":
        """The same experiment with some fields changed."""
        return from_fields({**dataclasses.asdict(self), **changes})

    @property
    def key(self) -> str:
        """Name of the run: 20 hexadecimal digits of the SHA-256 of the fields, and of a chosen arithmetic."""
        chosen = {name: value for name, value in arithmetic.identity().items() if value != _ORDINARY.get(name)}
        text = to_json(self) + (json.dumps(chosen, sort_keys=True) if chosen else "")
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def _finite(name: str, value: Any) -> float:
    """A number as a float, infinities and what is no number refused: no run could honour them.

    Raises:
        ValueError: anything else.
    """
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        kind = "finite numbers" if name == "milestones" else "a finite number"
        raise InvalidInput(f"Experiment.{name} must be {kind}, got {value!r}")
    return number


def to_json(experiment: Experiment) -> str:
    """Canonical JSON of an experiment: every field, sorted; what is hashed and what is stored."""
    return json.dumps(dataclasses.asdict(experiment), sort_keys=True, indent=1)


def from_fields(fields: Mapping[str, Any]) -> Experiment:
    """Experiment from a mapping of its fields (JSON, TOML); the inverse of `to_json`.

    Raises:
        ValueError: a name that is no field; the message lists those that are.
    """
    known = [field.name for field in dataclasses.fields(Experiment)]
    if unknown := sorted(set(fields) - set(known)):
        raise InvalidInput(f"an experiment has no field {', '.join(unknown)}; it has {', '.join(known)}")
    return Experiment(**fields)


def load(path: str | Path) -> "Experiment | Sweep":
    """Experiment or sweep from a TOML file.

    An experiment is a table of its fields. A sweep has ``name``, a table ``[base]`` of fields and a table ``[vary]`` of
    lists.

    Raises:
        ValueError: not TOML, an unknown field, or a value out of range; the message names the file.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
        if "vary" not in content:
            return from_fields(content)
        if unknown := sorted(set(content) - {"name", "base", "vary"}):
            raise InvalidInput(f"a sweep has name, base and vary, not {', '.join(unknown)}")
        name = content.get("name", path.stem)
        return Sweep(name=name, base=from_fields(content.get("base", {})), vary=content["vary"])
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A base experiment and what varies: the product of all values of all varied fields.

    >>> len(Sweep(base=Experiment(), vary={"learning_rate": (0.1, 0.3), "constrained": (False, True)}).experiments)
    4
    """

    name: str = "sweep"
    base: Experiment = Experiment()
    vary: Mapping[str, tuple] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if single := [name for name, values in self.vary.items() if isinstance(values, str | Real)]:
            raise InvalidInput(f"Sweep.vary must have a list for each field, got one value for {', '.join(single)}")
        object.__setattr__(self, "vary", {name: tuple(values) for name, values in self.vary.items()})
        if empty := [name for name, values in self.vary.items() if not values]:
            raise InvalidInput(f"Sweep.vary needs at least one value for each field, got none for {', '.join(empty)}")
        for _ in self:  # an unknown field or a value out of range shows at once, not in the middle of a sweep
            pass

    def __iter__(self) -> Iterator[Experiment]:
        for values in itertools.product(*self.vary.values()):
            yield self.base.replace(**dict(zip(self.vary, values, strict=True)))

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All runs, each once, in the order of the product."""
        return tuple(dict.fromkeys(self))
