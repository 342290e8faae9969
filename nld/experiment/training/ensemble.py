"""Ensembles: many runs of one architecture trained as one batched program."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.runs import run_record as records
from nld.experiment.runs.run import dtype_of, evaluate, initial_network, load_data, reproducible
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import batched, batches, networks

# What may differ between the members of one ensemble; all else is one value.
MEMBER_FIELDS = (
    "learning_rate", "momentum", "weight_decay", "schedule", "milestones", "decay", "constrained", "filter_scale",
    "filter_rate", "seed", "divergence_bound",
)  # fmt: skip


def shared(experiment: Experiment) -> tuple:
    """What members of one ensemble have in common; experiments with equal values can be trained together."""
    return tuple(value for name, value in dataclasses.asdict(experiment).items() if name not in MEMBER_FIELDS)


def groups(experiments: Iterable[Experiment], largest: int = 32) -> list[list[Experiment]]:
    """Experiments sorted into ensembles of at most `largest` members, each kept in its order."""
    together: dict[tuple, list[Experiment]] = {}
    for experiment in experiments:
        together.setdefault(shared(experiment), []).append(experiment)
    return [members[i : i + largest] for members in together.values() for i in range(0, len(members), largest)]


def run_ensemble(
    experiments: Sequence[Experiment], *, progress: Callable[[int], None] | None = None
) -> list[xr.Dataset]:
    """Train all members together; the records that `run` gives for each, equal within float tolerance.

    A diverged member trains on as NaN without touching the others; its record ends where its loss left the bound.

    Raises:
        ValueError: members that differ in more than `MEMBER_FIELDS`, or ask for what only `run` has.
    """
    first = experiments[0]
    if any(shared(experiment) != shared(first) for experiment in experiments):
        raise InvalidInput(f"members of an ensemble may differ only in {', '.join(MEMBER_FIELDS)}; use groups() first")
    if first.precision == "bfloat16" or first.compile or first.channels_last or first.monitor_every:
        raise InvalidInput("an ensemble has no bfloat16, compile, channels_last or monitor: use run() for those")
    with reproducible(first):
        source = load_data(first)
        members = [initial_network(e, source).to(first.device, dtype_of(first)) for e in experiments]
        names = [name for name, _ in members[0].named_parameters()]
        parameters = {
            name: torch.stack([network.get_parameter(name).detach() for network in members]).requires_grad_()
            for name in names
        }
        for index, network in enumerate(members):  # a member's network is a view of its slice: it sees every update
            for name in names:
                network.get_parameter(name).data = parameters[name].data[index]
        update = Update(experiments, members[0], parameters)
        orders = [batches.BatchOrder(source, e.batch_size, e.seed, e.augment) for e in experiments]
        drafts = [records.empty(e, network) for e, network in zip(experiments, members, strict=True)]
        losses = torch.full((len(experiments), first.steps), math.nan, dtype=dtype_of(first), device=first.device)

        for step in range(first.steps + 1):
            if step in first.evaluation_steps:
                for experiment, network, draft in zip(experiments, members, drafts, strict=True):
                    evaluate(network, source, experiment, draft.sel(evaluation_step=step))
            if progress and step % 50 == 0:
                progress(step)
            if step == first.steps:
                break
            images, labels = batches.batch(source, torch.stack([order(step) for order in orders], 1), dtype_of(first))
            loss = member_losses(members[0], parameters, images, labels)
            gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
            update(step, gradients)
            losses[:, step] = loss.detach()
    for draft, values in zip(drafts, losses.cpu().numpy(), strict=True):
        draft["batch_loss"][:] = values
    return [records.closed(draft, e) for draft, e in zip(drafts, experiments, strict=True)]


def member_losses(network: nn.Sequential, parameters, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each member on its own batch (member)."""
    logits = batched.forward(network, parameters, images)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)


class Update:
    """``buf ← β buf + (g + k q)``, ``q ← q − η buf`` with each member's η, β and k; then the constraint where asked."""

    def __init__(self, experiments: Sequence[Experiment], network: nn.Sequential, parameters: batched.Parameters):
        self.experiments, self.parameters = experiments, list(parameters.values())
        self.buffers = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.momentum = self._per_member([e.momentum for e in experiments])
        self.weight_decay = self._per_member([e.weight_decay for e in experiments])
        self.filters = [parameters[name] for name in networks.filter_names(network)]
        self.filter_indices = [list(parameters).index(name) for name in networks.filter_names(network)]
        self.filter_rates = self._per_member([e.filter_rate for e in experiments])
        chosen = [index for index, e in enumerate(experiments) if e.constrained]
        self.constrained = torch.tensor(chosen, device=self.parameters[0].device, dtype=torch.int64)
        self.norms = [self._norms(weight) for weight in self.filters]
        self._rates: tuple[float, ...] = ()

    def _per_member(self, values: Sequence[float]) -> list[torch.Tensor]:
        """One value per member, shaped to multiply each parameter."""
        column = torch.tensor(values, dtype=self.parameters[0].dtype, device=self.parameters[0].device)
        return [column.reshape(-1, *[1] * (parameter.dim() - 1)) for parameter in self.parameters]

    def _norms(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.detach()[self.constrained].flatten(2).square().sum(2).sqrt()

    @torch.no_grad()
    def __call__(self, step: int, gradients: Sequence[torch.Tensor]) -> None:
        rates = tuple(e.learning_rate_at(step) for e in self.experiments)
        if rates != self._rates:
            self._rates, self._minus_rates = rates, self._per_member([-rate for rate in rates])
            for index in self.filter_indices:
                self._minus_rates[index] = self._minus_rates[index] * self.filter_rates[index]
        torch._foreach_mul_(self.buffers, self.momentum)
        torch._foreach_add_(self.buffers, list(gradients))
        torch._foreach_addcmul_(self.buffers, self.weight_decay, self.parameters)
        torch._foreach_addcmul_(self.parameters, self._minus_rates, self.buffers)
        if len(self.constrained):
            for weight, norms in zip(self.filters, self.norms, strict=True):
                factor = norms / self._norms(weight)
                weight[self.constrained] *= factor.reshape(*factor.shape, *[1] * (weight.dim() - 2))
