"""What a monitor costs: a training step with it, over the same step without.

Bare and monitored steps alternate in one process, in short stretches, and the medians over
stretches are compared, so that whatever else the machine does meets both alike.
"""

import argparse
import itertools
import statistics
import time
from functools import partial

import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.inner_products import numba_backend


def digits_cnn(*widths: int) -> nn.Sequential:
    """Convolutions with batch normalization on 8 x 8 images."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((1, *widths)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


def vgg11() -> nn.Sequential:
    """VGG-11 with batch normalization, for 64 x 64 images and 200 classes."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if outputs == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 200))


def blocks_of(model: nn.Sequential) -> list[Block]:
    """Scale, rescale and translation symmetries of the two networks, written down by hand."""
    weights = [(name, module) for name, module in model.named_children() if isinstance(module, nn.Conv2d | nn.Linear)]
    blocks = []
    for (name, module), (after, following) in itertools.pairwise(weights):
        norm = str(int(name) + 1)
        shape, incoming = tuple(module.weight.shape), following.weight.shape
        blocks.append(Block("scale", f"{name} -> {norm}", (Member(f"{name}.weight", shape),)))
        out = Member(f"{after}.weight", tuple(incoming), unit_axes=(1,), coefficient=-1.0)
        units = (incoming[1],)
        members = (Member(f"{norm}.weight", units), Member(f"{norm}.bias", units), out)
        blocks.append(Block("rescale", f"{norm} -> {after}", members))
    name, module = weights[-1]
    classes, features = module.weight.shape
    blocks.append(Block("translation", f"{name} weight", (Member(f"{name}.weight", (classes, features), (1,)),)))
    blocks.append(Block("translation", f"{name} bias", (Member(f"{name}.bias", (1, classes)),)))
    return blocks


# Network, shape of a batch, classes, steps of a stretch, monitored steps before anything is timed.
CASES = {
    "digits CNN, batch 64": (partial(digits_cnn, 16, 32, 32), (64, 1, 8, 8), 10, 25, 1),
    "wider CNN, batch 64, at first": (partial(digits_cnn, 32, 96, 128), (64, 1, 8, 8), 10, 10, 0),
    "wider CNN, batch 64, compiled": (partial(digits_cnn, 32, 96, 128), (64, 1, 8, 8), 10, 10, numba_backend.PATIENCE),
    "VGG-11 at 64 x 64, batch 32": (vgg11, (32, 3, 64, 64), 200, 1, 1),
}


def cost(
    build, shape, classes: int, stretch: int, before: int, seconds: float, device: str, dtype: torch.dtype, **options
) -> dict:
    """Median seconds of a bare and of a monitored step, their ratio, and the ratio of all seconds together.

    The last has in it what the monitor does once in some hundred steps, which a median of stretches leaves out.

    Args:
        stretch: steps between two changes from bare to monitored and back.
        before: monitored steps that are not timed. A network of middling size is measured by the compiled
            pass only after numba_backend.PATIENCE of them; with 0, the timing ends when that begins.
        seconds: how long to measure.
        options: for nld.Monitor.
    """
    model = build().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    inputs, targets = torch.randn(shape, device=device), torch.randint(classes, shape[:1], device=device)

    def steps(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad()
            with torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32):
                loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) / max(count, 1)

    steps(3)
    times: dict[bool, list[float]] = {False: [], True: []}
    monitor = nld.Monitor(model, optimizer, blocks_of(model), **options)
    hooks = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    held = [dict(hook) for hook in hooks]
    steps(before)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[True]) < 5:
        for monitored in (False, True):
            for hook, kept in zip(hooks, held, strict=True):
                hook.clear()
                if monitored:
                    hook.update(kept)
            times[monitored].append(steps(stretch))
        if not before and (len(times[True]) + 1) * stretch >= numba_backend.PATIENCE:
            break
    monitor.close()
    bare, watched = statistics.median(times[False]), statistics.median(times[True])
    pairs = sorted(b / a for a, b in zip(times[False], times[True], strict=True))
    ratios = {"ratio": statistics.median(pairs), "ratio_of_sums": sum(times[True]) / sum(times[False])}
    return {"bare": bare, "monitored": watched, **ratios, "steps": stretch * len(times[True])}


def table(seconds: float = 20.0, device: str | None = None, **options) -> list[dict]:
    """One row a case: name, device, precision, median seconds of both steps and their ratio."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    rows = []
    for name, (build, shape, classes, stretch, before) in CASES.items():
        torch.manual_seed(0)
        row = cost(build, shape, classes, stretch, before, seconds, device, dtype, **options)
        rows.append({"case": name, "device": device, "precision": str(dtype).removeprefix("torch."), **row})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each case")
    parser.add_argument("--device", default=None)
    parser.add_argument("--every", default="1", help="which steps to record")
    options = parser.parse_args()
    every = int(options.every) if options.every.isdigit() else options.every
    for row in table(options.seconds, options.device, every=every):
        print(
            f"{row['case']:<32} {row['device']} {row['precision']:<9} bare {1e3 * row['bare']:9.3f} ms   "
            f"monitored {1e3 * row['monitored']:9.3f} ms   "
            f"ratio {row['ratio']:.3f}, of sums {row['ratio_of_sums']:.3f}   ({row['steps']} steps)"
        )


if __name__ == "__main__":
    main()
