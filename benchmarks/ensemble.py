"""Fourteen digits runs: one after the other, and as one batched program in three formulations.

Figure fig-experiments' sweep, 7 learning rates with and without the constraint. The loop is given the better of one
and all threads; each formulation is timed on the same steps, alternating, and the best of three counts.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from nld.experiment import Experiment, Sweep
from nld.experiment.runs import run
from nld.experiment.runs.ensemble import run_ensemble
from nld.experiment.training import batched

SWEEP = Sweep(
    base=Experiment(steps=300, evaluate_every=50),
    vary={"learning_rate": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), "constrained": (False, True)},
)
REPEATS = 3


def table() -> list[dict]:
    """Seconds for the whole sweep, evaluations included, and how many times faster than the loop each is."""
    experiments, threads = SWEEP.experiments, torch.get_num_threads()
    candidates: dict[str, Callable[[], object]] = {
        "loop, 1 thread": lambda: [run(e) for e in experiments],
        f"loop, {threads} threads": lambda: [run(e) for e in experiments],
        "ensemble, image last (ours)": lambda: run_ensemble(experiments),
        "ensemble, torch.func.vmap": lambda: _with_forward(mapped_forward, experiments),
        "ensemble, grouped convolution": lambda: _with_forward(grouped_forward, experiments),
    }
    seconds = dict.fromkeys(candidates, float("inf"))
    for _ in range(REPEATS):
        for name, compute in candidates.items():
            torch.set_num_threads(1 if name == "loop, 1 thread" else threads)
            clock = time.perf_counter()
            compute()
            seconds[name] = min(seconds[name], time.perf_counter() - clock)
    torch.set_num_threads(threads)
    loop = min(value for name, value in seconds.items() if name.startswith("loop"))
    return [
        {"formulation": name, "runs": len(experiments), "threads": threads, "seconds": value, "faster": loop / value}
        for name, value in seconds.items()
    ]


def _with_forward(forward, experiments):
    ours, batched.forward = batched.forward, forward
    try:
        return run_ensemble(experiments)
    finally:
        batched.forward = ours


def mapped_forward(network: nn.Sequential, parameters: batched.Parameters, images: torch.Tensor) -> torch.Tensor:
    """The whole network mapped over the members; vmap makes grouped convolutions of it."""

    def one(own, x):
        for name, layer in network.named_children():
            weights = {key: own[f"{name}.{key}"] for key, _ in layer.named_parameters()}
            if isinstance(layer, nn.BatchNorm2d):
                x = F.batch_norm(x, None, None, weights["weight"], weights["bias"], training=True, eps=layer.eps)
            else:
                x = functional_call(layer, weights, (x,))
        return x

    return vmap(one)(parameters, images)


def grouped_forward(network: nn.Sequential, parameters: batched.Parameters, images: torch.Tensor) -> torch.Tensor:
    """Members side by side in the channels: image × (member channel) × height × width, grouped convolutions."""
    members = len(images)
    x = images.transpose(0, 1).flatten(1, 2)
    for name, layer in network.named_children():
        own = {key: parameters[f"{name}.{key}"] for key, _ in layer.named_parameters()}
        if isinstance(layer, nn.Conv2d):
            x = F.conv2d(
                x,
                own["weight"].flatten(0, 1),
                stride=layer.stride,
                padding=layer.padding,
                groups=members,  # pyright: ignore
            )
        elif isinstance(layer, nn.BatchNorm2d):
            weight, bias = own["weight"].flatten(), own["bias"].flatten()
            x = F.batch_norm(x, None, None, weight, bias, training=True, eps=layer.eps)
        elif isinstance(layer, nn.Flatten):
            x = x.unflatten(1, (members, -1)).flatten(2).transpose(0, 1)
        elif isinstance(layer, nn.Linear):
            x = torch.baddbmm(own["bias"][:, None], x, own["weight"].transpose(1, 2))
        else:
            x = layer(x)
    return x


if __name__ == "__main__":
    for row in table():
        print(f"{row['formulation']:32} {row['seconds']:7.2f} s  {row['faster']:5.2f} times the loop")
