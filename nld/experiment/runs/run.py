"""The training loop: one `Experiment` in, one `xarray.Dataset` out."""

import contextlib
import hashlib
import io
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.runs import run_record as records
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import batches, networks

_DIGEST = hashlib.sha256().digest_size  # bytes before a checkpoint, by which a damaged one is known
_CHECK_EVERY = 50  # steps between looks at the losses for divergence: each look waits for the device


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
        RuntimeError: ``device="cuda"`` without a usable GPU.
    """
    with reproducible(experiment):
        source = load_data(experiment)
        network = initial_network(experiment, source).to(experiment.device, dtype_of(experiment))
        if experiment.channels_last:
            network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        loss_of = torch.compile(batch_loss) if experiment.compile else batch_loss
        filters = [network.get_parameter(name) for name in networks.filter_names(network)]
        norms = [networks.squared_norms(weight.detach()).sqrt() for weight in filters]
        others = [weight for weight in network.parameters() if all(weight is not each for each in filters)]
        optimizer = torch.optim.SGD(
            [{"params": filters}, {"params": others}],
            lr=experiment.learning_rate,
            momentum=experiment.momentum,
            weight_decay=experiment.weight_decay,
        )
        order = batches.BatchOrder(source, experiment.batch_size, experiment.seed, experiment.augment)
        record = records.empty(experiment, network)
        losses = torch.full((experiment.steps,), math.nan, dtype=dtype_of(experiment), device=experiment.device)
        if experiment.monitor_every:
            checkpoint = None  # the books have no checkpoint: a monitored run is whole or starts again
        first = restore(checkpoint, experiment, network, optimizer, losses, record)
        monitor = start_monitor(experiment, network, optimizer, source)

        for step in range(first, experiment.steps + 1):
            if checkpoint and step > first and step % checkpoint_every == 0:
                save(checkpoint, step, experiment, network, optimizer, losses, record)
            if step in experiment.evaluation_steps:
                evaluate(network, source, experiment, record.sel(evaluation_step=step))
            if step % _CHECK_EVERY == 0:
                if progress:
                    progress(step)
                if diverged(losses[:step], experiment):
                    break
            if step == experiment.steps:
                break
            network.train()
            loss = loss_of(network, *training_batch(source, order(step), experiment), experiment)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for group, factor in zip(optimizer.param_groups, (experiment.filter_rate, 1.0), strict=True):
                group["lr"] = experiment.learning_rate_at(step) * factor
            optimizer.step()
            if experiment.constrained:
                constrain(filters, norms)
            losses[step] = loss.detach()
        record["batch_loss"][:] = losses.cpu().numpy()
        if monitor is not None:
            monitor.close()
            record = records.with_books(record, monitor.record())
    return records.closed(record, experiment)


def load_data(experiment: Experiment) -> data.Data:
    """The experiment's data on its device.

    Raises:
        RuntimeError: the device is a GPU and there is none.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device='cuda' needs a GPU that this torch can use; there is none: choose device='cpu'")
    source = data.load(
        experiment.dataset,
        train_size=experiment.train_size,
        test_size=experiment.test_size,
        validation_size=experiment.validation_size,
        label_noise=experiment.label_noise,
    )
    return source.to(experiment.device)


def initial_network(experiment: Experiment, source: data.Data) -> nn.Sequential:
    """The network before the first step, on the CPU, in its precision, its filters multiplied by ``filter_scale``.

    Raises:
        ValueError: `constrained` or `filter_scale` is asked of a network without filters.
    """
    network = networks.build(
        experiment.network,
        source.image,
        source.classes,
        width=experiment.width,
        epsilon=experiment.epsilon,
        seed=experiment.seed,
        filter_scale=experiment.filter_scale,
        dtype=dtype_of(experiment),
    )
    if not networks.filter_names(network) and (experiment.constrained or experiment.filter_scale != 1):
        raise InvalidInput(
            f"{experiment.network} has no batch-normalized filter, so 'constrained' and 'filter_scale' mean nothing; "
            "choose another network or leave both at their defaults"
        )
    return network


def start_monitor(experiment: Experiment, network: nn.Module, optimizer: torch.optim.Optimizer, source: data.Data):
    """The monitor of all symmetries found in the network, listening to its optimizer, or None if not asked for."""
    if not experiment.monitor_every:
        return None
    from nld.monitor import Monitor

    network.train()
    example = source.normalized(source.train_images[: experiment.batch_size], dtype_of(experiment))
    return Monitor(network, optimizer, every=experiment.monitor_every, example_inputs=example)


def training_batch(source: data.Data, choice: torch.Tensor, experiment: Experiment):
    """Images and labels of one step, in the memory format of the network."""
    images, labels = batches.batch(source, choice, dtype_of(experiment))
    return (images.contiguous(memory_format=torch.channels_last) if experiment.channels_last else images), labels


def batch_loss(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, experiment: Experiment) -> torch.Tensor:
    """Mean cross-entropy of a batch."""
    with autocast(experiment):
        return F.cross_entropy(network(images), labels)


@torch.no_grad()
def constrain(filters: list[nn.Parameter], norms: list[torch.Tensor]) -> None:
    """Scale each filter back to its norm: ``q ← q ‖q(0)‖ / ‖q‖``, in place."""
    for weight, norm in zip(filters, norms, strict=True):
        factor = norm / networks.squared_norms(weight).sqrt()
        weight.mul_(factor.reshape(-1, *[1] * (weight.dim() - 1)))


@torch.no_grad()
def evaluate(network: nn.Module, source: data.Data, experiment: Experiment, record: xr.Dataset) -> None:
    """Fill one evaluation of the record: fixed-batch loss; then, with that batch's statistics, loss and accuracy of the
    test images and of those held out for validation."""
    dtype = dtype_of(experiment)
    size = experiment.evaluation_size
    network.train()
    images, labels = source.sample(size)
    record["train_loss"][...] = batch_loss(network, source.normalized(images, dtype), labels, experiment).item()
    network.eval()
    for part in ("test", "validation"):
        pair = source.part(part)
        if pair is None:
            continue
        loss = torch.zeros((), dtype=dtype, device=experiment.device)
        correct = torch.zeros((), dtype=torch.int64, device=experiment.device)
        for images, labels in zip(*(values.split(size) for values in pair), strict=True):
            with autocast(experiment):
                logits = network(source.normalized(images, dtype)).to(dtype)
            loss += F.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
        record[f"{part}_loss"][...] = loss.item() / len(pair[1])
        record[f"{part}_accuracy"][...] = correct.item() / len(pair[1])
    squared = [networks.squared_norms(network.get_parameter(name)) for name in networks.filter_names(network)]
    if squared:
        record["squared_norm"][...] = torch.cat(squared).cpu().numpy()


def diverged(losses: torch.Tensor, experiment: Experiment) -> bool:
    """Whether any loss is not finite or above the bound."""
    return bool((~(losses <= experiment.divergence_bound)).any())


def dtype_of(experiment: Experiment) -> torch.dtype:
    """Type of the parameters and of the update; mixed precision keeps them in float32."""
    return torch.float64 if experiment.precision == "float64" else torch.float32


def autocast(experiment: Experiment):
    """Context of the forward pass: bfloat16 mixed precision or nothing."""
    if experiment.precision == "bfloat16":
        return torch.autocast(experiment.device, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def reproducible(experiment: Experiment):
    """Context in which a GPU gives the same numbers twice; a CPU does already."""
    if experiment.device == "cuda":
        return torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False)
    return contextlib.nullcontext()


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
    with partial.open("wb") as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
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
