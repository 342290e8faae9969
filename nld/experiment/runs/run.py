"""A run: one `Experiment` in, one `xarray.Dataset` out; from its checkpoint it resumes to the last bit."""

import hashlib
import io
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.runs import run_record as records
from nld.experiment.runs.prepare import batch_loss, dtype_of, initial_network, load_data, reproducible
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.loop import FixedNorms, training

_CHECK_EVERY = 50  # steps between looks at the losses for divergence: each look waits for the device
_DIGEST = hashlib.sha256().digest_size  # bytes before a checkpoint, by which a damaged one is known


def run(
    experiment: Experiment,
    *,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Train as `experiment` says and return its record.

    Divergence is an outcome: a loss that is not finite or above the bound ends the run early, the record is NaN from
    there on, ``diverged`` is true and ``last_step`` counts the updates before it.

    Args:
        checkpoint: file to resume from if it exists and to write every `checkpoint_every` steps. A resumed run gives
            the record of an uninterrupted one to the last bit; with another experiment's checkpoint it refuses.
        progress: called with the number of updates done, every `_CHECK_EVERY` steps.

    Returns:
        Dataset with ``batch_loss`` and ``learning_rate_at_step`` (step), the batch's loss before the step's update;
        ``train_loss`` (evaluation_step), the loss of a fixed batch of training images with its own batch statistics;
        ``test_loss``, ``test_accuracy`` (evaluation_step); ``squared_norm`` (evaluation_step, filter).
        With ``monitor_every``, the monitor's variables (monitor_step, block, unit) under names that begin ``monitor_``.
        The first evaluation is at step 0, before any update; the last after all updates.

    Raises:
        ValueError: a field that this network or data set cannot honour.
        ToolError: ``device="cuda"`` without a usable GPU.
    """
    with reproducible(experiment):
        source = load_data(experiment)
        network = initial_network(experiment, source).to(experiment.device, dtype_of(experiment))
        if experiment.channels_last:
            network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        loss_of = torch.compile(batch_loss) if experiment.compile else batch_loss
        filters, others = networks.filters_and_others(network)
        constraint = FixedNorms(filters) if experiment.constrained else None
        optimizer = torch.optim.SGD(
            [{"params": filters}, {"params": others}],
            lr=experiment.learning_rate,
            momentum=experiment.momentum,
            weight_decay=experiment.weight_decay,
        )
        order = BatchOrder(source, experiment.batch_size, experiment.seed, experiment.augment)
        record = records.empty(experiment, network)
        losses = torch.full((experiment.steps,), math.nan, dtype=dtype_of(experiment), device=experiment.device)
        if experiment.monitor_every:
            checkpoint = None  # the books have no checkpoint: a monitored run is whole or starts again
        first = restore(checkpoint, experiment, network, optimizer, losses, record)
        monitor = start_monitor(experiment, network, optimizer, source)

        def look(done: int) -> None:
            """Keep what is asked for after so many updates."""
            if checkpoint and done > first and done % checkpoint_every == 0:
                save(checkpoint, done, experiment, network, optimizer, losses, record)
            if done in experiment.evaluation_steps:
                records.evaluate(network, source, experiment, record.sel(evaluation_step=done))
            if progress and done % _CHECK_EVERY == 0:
                progress(done)

        look(first)
        for step in training(
            network,
            optimizer,
            training_batches(source, order, range(first, experiment.steps), experiment),
            loss=partial(loss_of, experiment=experiment),
            schedule=partial(set_learning_rates, optimizer, experiment),
            constraint=constraint,
            first=first,
        ):
            done = step.index + 1
            losses[step.index] = step.loss
            look(done)
            if done % _CHECK_EVERY == 0 and not (losses[:done] <= experiment.divergence_bound).all():
                break
        record["batch_loss"][:] = losses.cpu().numpy()
        if monitor is not None:
            monitor.close()
            record = records.with_books(record, monitor.record())
    return records.closed(record, experiment)


def save(path, step, experiment, network, optimizer, losses, record) -> None:
    """Write a checkpoint and put it in place in one move, so that none is ever half-written."""
    state = {
        "key": experiment.key,
        "step": step,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses,
        "record": {
            name: torch.from_numpy(record[name].values) for name in (*records.evaluated(experiment), "squared_norm")
        },
    }
    content = io.BytesIO()
    torch.save(state, content)
    partial = Path(f"{path}.{os.getpid()}.part")
    partial.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())
    partial.replace(path)


def restore(path, experiment, network, optimizer, losses, record) -> int:
    """Load a checkpoint if there is one, whole; the number of updates done. From a damaged one nothing is taken.

    Raises:
        ValueError: the checkpoint belongs to another experiment.
    """
    if path is None or not Path(path).exists():
        return 0
    content = Path(path).read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        print(f"nld: {path} was altered or cut off; the run starts again from its first step", file=sys.stderr)
        return 0
    state = torch.load(io.BytesIO(content[_DIGEST:]), map_location=experiment.device, weights_only=True)
    if state["key"] != experiment.key:
        raise InvalidInput(f"{path} is a checkpoint of experiment {state['key']}, not of {experiment.key}: delete it")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    losses.copy_(state["losses"])
    for name, values in state["record"].items():
        record[name][...] = values.cpu().numpy()
    return state["step"]


def set_learning_rates(optimizer: torch.optim.Optimizer, experiment: Experiment, step: int) -> None:
    """Learning rates of the filters and of all else, in the two groups of the optimizer, for the update of a step."""
    for group, factor in zip(optimizer.param_groups, (experiment.filter_rate, 1.0), strict=True):
        group["lr"] = experiment.learning_rate_at(step) * factor


def training_batches(source: data.Data, order: BatchOrder, steps: range, experiment: Experiment):
    """Images and labels of each step, in the memory format of the network."""
    for images, labels in mini_batches(source, order, steps, dtype_of(experiment)):
        yield (images.contiguous(memory_format=torch.channels_last) if experiment.channels_last else images), labels


def start_monitor(experiment: Experiment, network: nn.Module, optimizer: torch.optim.Optimizer, source: data.Data):
    """The monitor of all symmetries found in the network, listening to its optimizer, or None if not asked for."""
    if not experiment.monitor_every:
        return None
    from nld.monitor import Monitor

    network.train()
    example = source.normalized(source.train_images[: experiment.batch_size], dtype_of(experiment))
    return Monitor(network, optimizer, every=experiment.monitor_every, example_inputs=example)
