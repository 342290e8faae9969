"""Ensembles: many runs of one architecture trained as one batched program."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import xarray as xr

from nld.errors import InvalidInput
from nld.experiment.datasets.data import Data
from nld.experiment.runs import run_record as records
from nld.experiment.runs.prepare import dtype_of, initial_network, load_data, reproducible
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble, MemberHeavyBall
from nld.experiment.training.loop import FixedNorms, Step, training

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


def needs_plain_loop(experiment: Experiment) -> bool:
    """Whether it asks for what only `run` has: mixed precision, compilation, channels_last or a monitor."""
    mixed = experiment.precision == "bfloat16"
    return mixed or experiment.compile or experiment.channels_last or experiment.monitor_every > 0


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
    if needs_plain_loop(first):
        raise InvalidInput("an ensemble has no bfloat16, compile, channels_last or monitor: use run() for those")
    with reproducible(first):
        source = load_data(first)
        ensemble = initial_ensemble(experiments, source)
        steps = ensemble_training(ensemble, experiments, source)
        drafts = [records.empty(e, network) for e, network in zip(experiments, ensemble.members, strict=True)]
        losses = torch.full((len(experiments), first.steps), math.nan, dtype=dtype_of(first), device=first.device)

        def look(done: int) -> None:
            if done in first.evaluation_steps:
                for experiment, network, draft in zip(experiments, ensemble.members, drafts, strict=True):
                    records.evaluate(network, source, experiment, draft.sel(evaluation_step=done))
            if progress and done % 50 == 0:
                progress(done)

        look(0)
        for step in steps:
            losses[:, step.index] = step.loss
            look(step.index + 1)
    for draft, values in zip(drafts, losses.cpu().numpy(), strict=True):
        draft["batch_loss"][:] = values
    return [records.closed(draft, e) for draft, e in zip(drafts, experiments, strict=True)]


def initial_ensemble(experiments: Sequence[Experiment], source: Data) -> Ensemble:
    """The networks of all experiments before the first step, on their device and in their precision."""
    return Ensemble([initial_network(e, source).to(e.device, dtype_of(e)) for e in experiments])


def ensemble_training(
    ensemble: Ensemble, experiments: Sequence[Experiment], source: Data, *, observe: Sequence[str] = ()
) -> Iterator[Step]:
    """The steps of all experiments together, as each of them says."""
    first, filters = experiments[0], networks.filter_names(ensemble.members[0])
    update = MemberHeavyBall(
        ensemble.parameters,
        lambda step: [e.learning_rate_at(step) for e in experiments],
        [e.momentum for e in experiments],
        [e.weight_decay for e in experiments],
        factors={name: [e.filter_rate for e in experiments] for name in filters},
    )
    held = [index for index, e in enumerate(experiments) if e.constrained]
    orders = [BatchOrder(source, e.batch_size, e.seed, e.augment) for e in experiments]
    return training(
        ensemble,
        update,
        mini_batches(source, orders, range(first.steps), dtype_of(first)),
        observe=observe,
        constraint=FixedNorms([ensemble.parameters[name] for name in filters], held) if held else None,
    )
