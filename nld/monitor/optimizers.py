"""How each optimizer keeps its momentum: one row of a table per optimizer.

The exact law needs four numbers and a buffer from an optimizer, whatever else it does:

    π_{n+1} = β π_n + c (± g_n + k q_n)

A new optimizer is a new row. What the row does not mention (preconditioners, Nesterov's
look-ahead, decoupled decay, signs, projections) enters through the displacement that is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import torch

from nld.errors import InvalidInput

Group = Mapping  # a parameter group of the optimizer: names to hyperparameters
Number = float | Callable[[Group], float]


@dataclass(frozen=True)
class Adapter:
    """Where an optimizer keeps π in π_{n+1} = β π_n + c (± g_n + k q_n).

    Each number is either a value or a function of the parameter group, read at every step,
    so that schedules are followed.

    Args:
        momentum_buffer: key of π in ``optimizer.state[parameter]``; None if the optimizer keeps
            none, in which case β = 0 and π_{n+1} = c (± g_n + k q_n) itself. Also a function of
            the group, for optimizers that only sometimes keep one.
        decay: β.
        coefficient: c.
        weight_decay: k.
        decoupled: True if the decay moves the weights directly (AdamW) and is no part of π.
        first_coefficient: c of the step that creates the buffer, where it differs.
        equilibrium: which closed form the stationary angular step has: "heavy_ball", "nesterov",
            "decoupled", or None where none is known.
    """

    momentum_buffer: str | Callable[[Group], str | None] | None
    decay: Number = 0.0
    coefficient: Number = 1.0
    weight_decay: Number = 0.0
    decoupled: bool | Callable[[Group], bool] = False
    first_coefficient: Number | None = None
    equilibrium: str | Callable[[Group], str | None] | None = None


@dataclass(frozen=True)
class MomentumUpdate:
    """π_{n+1} = β π_n + c (± g_n + k q_n) of one parameter group at one step; see Adapter."""

    buffer: str | None
    decay: float  # β
    coefficient: float  # c
    first_coefficient: float  # that of the step that creates the buffer
    coupled_decay: float  # k where it is part of π, else 0
    weight_decay: float  # k in any case
    sign: float  # -1 if the optimizer ascends
    equilibrium: str | None

    @property
    def constant_coefficient(self) -> float | None:
        """c if it is that of every step and not 0; None otherwise."""
        return self.coefficient if self.coefficient and self.coefficient == self.first_coefficient else None


def _value(field, group):
    return field(group) if callable(field) else field


def momentum_update(adapter: Adapter, group: Group) -> MomentumUpdate:
    """The adapter's numbers for one parameter group, as plain floats."""
    buffer = _value(adapter.momentum_buffer, group)
    coefficient = float(_value(adapter.coefficient, group))
    first = adapter.first_coefficient
    decay = float(_value(adapter.weight_decay, group))
    return MomentumUpdate(
        buffer=buffer,
        decay=float(_value(adapter.decay, group)) if buffer is not None else 0.0,
        coefficient=coefficient,
        first_coefficient=coefficient if first is None else float(_value(first, group)),
        coupled_decay=0.0 if _value(adapter.decoupled, group) else decay,
        weight_decay=decay,
        sign=-1.0 if group.get("maximize") else 1.0,
        equilibrium=_value(adapter.equilibrium, group),
    )


_WEIGHT_DECAY = itemgetter("weight_decay")


def _averaging(decoupled: bool | Callable[[Group], bool], beta: int = 0, equilibrium: bool = True) -> Adapter:
    """Adam and its relatives: π is the running mean of the gradient, with the optimizer's beta of that number.

    ``equilibrium``: whether AdamW's closed form of the angular step holds where the decay is decoupled.
    """
    return Adapter(
        momentum_buffer="exp_avg",
        decay=lambda group: group["betas"][beta],
        coefficient=lambda group: 1 - group["betas"][beta],
        weight_decay=_WEIGHT_DECAY,
        decoupled=decoupled,
        equilibrium=lambda group: "decoupled" if equilibrium and _value(decoupled, group) else None,
    )


def _flag(group: Group) -> bool:
    return bool(group.get("decoupled_weight_decay", False))


_GRADIENT = Adapter(momentum_buffer=None, weight_decay=_WEIGHT_DECAY)

ADAPTERS: dict[str, Adapter] = {
    "SGD": Adapter(
        momentum_buffer=lambda group: "momentum_buffer" if group["momentum"] else None,
        decay=itemgetter("momentum"),
        coefficient=lambda group: 1 - group["dampening"] if group["momentum"] else 1.0,
        first_coefficient=1.0,  # the first buffer is the gradient, undamped
        weight_decay=_WEIGHT_DECAY,
        equilibrium=lambda group: "nesterov" if group["nesterov"] else "heavy_ball",
    ),
    "Adam": _averaging(_flag),
    "AdamW": _averaging(True),
    "NAdam": _averaging(_flag),
    "RAdam": _averaging(_flag),
    "Adamax": _averaging(False),
    # These precondition the gradient before any averaging, so π is the bare gradient.
    "RMSprop": _GRADIENT,
    "Adagrad": _GRADIENT,
    "Adadelta": _GRADIENT,
    "ASGD": _GRADIENT,
    "Rprop": Adapter(momentum_buffer=None),
    "Adafactor": Adapter(momentum_buffer=None, weight_decay=_WEIGHT_DECAY, decoupled=True),
    "Muon": Adapter(
        momentum_buffer="momentum_buffer",
        decay=itemgetter("momentum"),
        coefficient=lambda group: 1 - group["momentum"],
        weight_decay=_WEIGHT_DECAY,
        decoupled=True,
    ),
    # Not of torch.optim, so given by hand: adapter=ADAPTERS["Lion"]. The keys are those of the authors' code.
    "Lion": _averaging(True, beta=1, equilibrium=False),
    "AdamP": _averaging(True, equilibrium=False),
    "SGDP": Adapter(
        # The authors' code without Nesterov momentum projects the buffer itself, which is then no sum of gradients.
        momentum_buffer=lambda group: "momentum" if group.get("nesterov", True) else None,
        decay=itemgetter("momentum"),
        coefficient=lambda group: 1 - group.get("dampening", 0.0) if group.get("nesterov", True) else 1.0,
        weight_decay=_WEIGHT_DECAY,
        decoupled=True,
    ),
    "Adan": _averaging(True, equilibrium=False),
    "Prodigy": replace(
        _averaging(lambda group: bool(group.get("decouple", True)), equilibrium=False),
        # The estimate d that scales the learning rate also scales what enters the mean.
        coefficient=lambda group: group["d"] * (1 - group["betas"][0]),
    ),
}


_EIGHT_BITS = "its momentum is rounded to 8 bits at every step, which no term of the law accounts for"
_SCHEDULE_FREE = "it has no momentum: it averages weights, and takes gradients between two sequences of them"
# Optimizers without exact books of their momentum, and why; the names are those of their authors' classes.
REASONS = {
    "Shampoo": "its momentum is an average of gradients that were preconditioned before, each by another matrix",
    "DistributedShampoo": "its momentum is filtered in blocks of its own and not kept with the parameter",
    "SOAP": "by its version, its β depends on the number of the step, or its momentum lies in a basis that changes",
    **dict.fromkeys(("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"), _SCHEDULE_FREE),
    **dict.fromkeys(("Adam8bit", "AdamW8bit", "PagedAdam8bit", "PagedAdamW8bit", "Lion8bit"), _EIGHT_BITS),
}
WITHOUT = (
    "Without such a buffer pass adapter=nld.monitor.Adapter(momentum_buffer=None): norms, angles and violations are "
    "kept as ever, and the charges are those of the bare gradient. If one step evaluates the loss several times "
    "(LBFGS) or updates π in parts (SparseAdam), the law does not apply."
)


def adapter_for(optimizer: torch.optim.Optimizer) -> Adapter:
    """The adapter of one of torch.optim's optimizers, from ADAPTERS.

    A subclass shares its parent's adapter unless it has a ``step`` of its own. An optimizer that only bears a name
    of the table may keep its momentum otherwise, so it is not taken for it.

    Raises:
        TypeError: the optimizer is not in the table.
    """
    for kind in type(optimizer).__mro__:
        known = getattr(torch.optim, kind.__name__, None)
        if known is kind and kind.__name__ in ADAPTERS:
            return ADAPTERS[kind.__name__]
        if "step" in vars(kind):
            break
    kind = type(optimizer)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__name__ in REASONS:
        raise TypeError(f"{name} has no books of its momentum that are exact: {REASONS[kind.__name__]}. {WITHOUT}")
    native = [name for name in ADAPTERS if hasattr(torch.optim, name)]
    others = [name for name in ADAPTERS if name not in native]
    raise TypeError(
        f"expected one of torch.optim's {', '.join(native)}, got {name}: the exact law "
        "needs to know where the optimizer keeps its momentum. If that is π ← β π + c (g + k q), pass adapter="
        "nld.monitor.Adapter(momentum_buffer=..., decay=..., coefficient=..., weight_decay=..., decoupled=...). Those "
        f"of {', '.join(others)}, as their authors wrote them, are at hand: adapter=nld.monitor.ADAPTERS["
        f"{kind.__name__ if kind.__name__ in ADAPTERS else 'Lion'!r}]. {WITHOUT}"
    )


def adapters_of(
    optimizers: Sequence[torch.optim.Optimizer], given: Adapter | Sequence[Adapter | None] | None
) -> list[Adapter]:
    """The adapter of each optimizer: the one given, or that of `adapter_for` where it is None.

    Raises:
        TypeError: one is not known and not given.
        ValueError: there are not as many adapters as optimizers.
    """
    each = [given] * len(optimizers) if given is None or isinstance(given, Adapter) else list(given)
    if len(each) != len(optimizers):
        raise InvalidInput(
            f"expected an adapter for each of {len(optimizers)} optimizers, got {len(each)}; write None for those that "
            "are known"
        )
    return [adapter or adapter_for(optimizer) for optimizer, adapter in zip(optimizers, each, strict=True)]
