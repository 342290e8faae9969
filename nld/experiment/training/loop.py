"""The one training loop: ``for step in training(network, rule_or_optimizer, batches): ...``.

Who iterates observes and takes no step. A step is taken when it is asked for: a loop that is left has taken as many
steps as it has seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from nld.errors import InvalidInput
from nld.experiment.training.ensemble import Ensemble
from nld.learning_rules.rules import LearningRule

Tensors = dict[str, torch.Tensor]  # by name of the parameter
Update = Callable[[int, Tensors], None]  # of the step's index and the gradients; moves the parameters in place


class Trainable(Protocol):
    """What can be trained: an ``nn.Module``, an ``Ensemble``, or anything else that names its parameters."""

    def named_parameters(self) -> Iterable[tuple[str, torch.Tensor]]: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True, eq=False)
class Step:
    """One step q_n → q_{n+1}. No later step writes into any of its tensors.

    Args:
        index: n, the number of updates before it.
        loss: of the batch at q_n, one number or one a member, in ℓ.
        gradients: of that loss at q_n, weight decay not included, of every parameter that it depends on, in ℓ/w.
        before, after: q_n and q_{n+1} of the parameters that are observed, in w.
    """

    index: int
    loss: torch.Tensor
    gradients: Tensors
    before: Tensors
    after: Tensors

    @property
    def moved(self) -> Tensors:
        """q_{n+1} − q_n of the parameters that are observed."""
        return {name: self.after[name] - q for name, q in self.before.items()}


def cross_entropy(network: Trainable, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a batch, one number, or one for each member of an ensemble, (member).

    Args:
        labels: of the images; if all members see the same, (image), else (member, image).
    """
    logits = network(images)
    if logits.dim() == 2:
        return F.cross_entropy(logits, labels)
    labels = labels.expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)


class FixedNorms:
    """Scales each filter back to the norm it had at first: ``q ← q ‖q(0)‖ / ‖q‖``, in place, when called.

    Args:
        filters: (filter, ...) each; of an ensemble (member, filter, ...).
        members: of an ensemble, those to hold; None if it is none.
    """

    def __init__(self, filters: Sequence[torch.Tensor], members: Sequence[int] | None = None):
        self.filters = list(filters)
        self.members = None if members is None else torch.tensor(members, device=self.filters[0].device)
        self.norms = [self._norms(weight.detach()) for weight in self.filters]

    def _norms(self, weight: torch.Tensor) -> torch.Tensor:
        if self.members is None:
            return weight.flatten(1).square().sum(1).sqrt()
        return weight[self.members].flatten(2).square().sum(2).sqrt()

    @torch.no_grad()
    def __call__(self) -> None:
        for weight, norms in zip(self.filters, self.norms, strict=True):
            factor = norms / self._norms(weight)
            factor = factor.reshape(*factor.shape, *[1] * (weight.dim() - factor.dim()))
            if self.members is None:
                weight.mul_(factor)
            else:
                weight[self.members] *= factor


def training(
    network: Trainable,
    update: LearningRule | Mapping[str, LearningRule] | torch.optim.Optimizer | Update,
    batches: Iterable[tuple[Any, ...]],
    *,
    loss: Callable[..., torch.Tensor] = cross_entropy,
    observe: Sequence[str] = (),
    schedule: Callable[[int], None] | None = None,
    constraint: Callable[[], None] | None = None,
    first: int = 0,
) -> Iterator[Step]:
    """Take one step a batch, and yield each when it has been taken.

    Args:
        network: trained in place, in the mode in which it is.
        update: a rule for all parameters, or one for each by name, on rows: the weights of a filter along the last
            axis, its buffers empty at the start; an optimizer of PyTorch over the network's parameters; or a function
            of the step's index and the gradients.
        batches: arguments of the loss after the network, as many as there are to be steps.
        loss: of the network and a batch: one number, or one for each member of an ensemble, whose sum is descended.
        observe: names of the parameters whose positions each step is to hold; only these are copied.
        schedule: called with the index of a step before it: sets learning rates.
        constraint: called after the update, as a part of the step: moves parameters back to where they may be.
        first: index of the first step.

    Raises:
        ValueError: the network has no parameter of a name that is to be observed.
    """
    parameters = dict(network.named_parameters())
    if unknown := [name for name in observe if name not in parameters]:
        raise InvalidInput(f"expected names among {', '.join(parameters)}, got {', '.join(unknown)}; see observe=")
    if isinstance(update, LearningRule | Mapping):
        update = _rule_update(update, parameters, axes=2 if isinstance(network, Ensemble) else 1)
    observed = {name: parameters[name] for name in observe}
    before = _copies(observed)
    for index, batch in enumerate(batches, first):
        if schedule is not None:
            schedule(index)
        losses = loss(network, *batch)
        total = losses.sum() if losses.dim() else losses
        if isinstance(update, torch.optim.Optimizer):
            update.zero_grad(set_to_none=True)
            total.backward()
            gradients = {name: q.grad for name, q in parameters.items() if q.grad is not None}
            update.step()
        else:
            gradients = dict(zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True))
            update(index, gradients)
        if constraint is not None:
            constraint()
        after = _copies(observed)
        yield Step(index, losses.detach(), gradients, before, after)
        before = after


def _copies(parameters: Tensors) -> Tensors:
    return {name: q.detach().clone() for name, q in parameters.items()}


def _rule_update(rules: LearningRule | Mapping[str, LearningRule], parameters: Tensors, axes: int) -> Update:
    """Rules as an update of each parameter, whose first ``axes`` dimensions count units."""
    by_name = dict.fromkeys(parameters, rules) if isinstance(rules, LearningRule) else rules
    states: dict[str, tuple] = dict.fromkeys(parameters, ())

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.flatten(axes) if tensor.dim() > axes else tensor

    @torch.no_grad()
    def update(_: int, gradients: Tensors) -> None:
        for name, q in parameters.items():
            gradient = rows(gradients[name])
            moved, states[name] = by_name[name].step(rows(q), states[name], lambda _, gradient=gradient: gradient)
            q.copy_(moved.view_as(q))

    return update
