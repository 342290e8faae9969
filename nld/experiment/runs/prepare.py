"""What a run starts from: its data, its network, its precision and the loss of a batch."""

import contextlib

import torch
import torch.nn.functional as F
from torch import nn

from nld.errors import InvalidInput, ToolError
from nld.experiment.datasets import data
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks


def load_data(experiment: Experiment) -> data.Data:
    """The experiment's data on its device.

    Raises:
        ToolError: the device is a GPU and there is none.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise ToolError("device='cuda' needs a GPU that this torch can use; there is none: choose device='cpu'")
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


def batch_loss(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, experiment: Experiment) -> torch.Tensor:
    """Mean cross-entropy of a batch."""
    with autocast(experiment):
        return F.cross_entropy(network(images), labels)


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
