"""What watching costs: a training step with the monitor, beside the least that it must move and what people write.

The floor is the memory that any exact balance has to move: of each weight it reads the gradient, the momentum, the
position now and the one before, and writes the one kept for the next step, 20 bytes in single precision. It is measured
in place, as the time of a step in which a bare pass moves as much. All variants take turns in one process, in short
stretches, so that whatever else the machine does meets all alike. Times are the processor's for this process, which
leave out what others take of it; a ratio is that of all rounds together, so that what the monitor does once in many
steps is in it.
"""

import argparse
import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import torch
import xarray as xr
from torch import nn

import nld
from benchmarks.search import GPT
from nld.monitor.inner_products import numba_backend

LEARNING_RATE = 1e-3
BINS = 64  # of a histogram
RECORDED = 104  # steps at least of the record whose bytes are counted


def digits_cnn(*widths: int) -> nn.Sequential:
    """Convolutions with batch normalization on 8 x 8 images."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((1, *widths)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


class Residual(nn.Module):
    """Two convolutions with batch normalization, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(*shortcut) if inputs != outputs else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Sequential:
    """A residual network of 4.9 million weights for 32 x 32 images."""
    stem = (nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    stages = [Residual(a, b, s) for a, b, s in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 256, 1), (256, 384, 2))]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, 10))


# Network, inputs, classes, steps of a stretch: a multiple of ten, so that each has every tenth step in it.
CASES = {
    "GPT of 2.7 M, 4 x 128 tokens": (
        lambda: GPT(6, 192, 6, 65, 128, False),
        lambda: torch.randint(65, (4, 128)),
        65,
        10,
    ),
    "ResNet of 4.9 M, batch 8": (resnet, lambda: torch.randn(8, 3, 32, 32), 10, 10),
    "digits CNN, batch 64": (lambda: digits_cnn(16, 32, 32), lambda: torch.randn(64, 1, 8, 8), 10, 40),
}
# Options of the monitor for each way of watching, and whether its compiled pass is allowed.
WAYS: dict[str, tuple[dict, bool]] = {
    "every step": ({}, True),
    "every step, without numba": ({}, False),
    "every tenth step, unit means": ({"every": 10, "units": "mean"}, True),
}


def norm_log(model: nn.Module) -> Callable[[], object]:
    """What people write themselves: the norms of each tensor and of its gradient, read out at once."""
    parameters = list(model.parameters())

    def log():
        norms = [torch.linalg.vector_norm(p.detach()) for p in parameters]
        norms += [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]
        return torch.stack(norms).tolist()

    return log


def histograms(model: nn.Module) -> Callable[[], object]:
    """What dashboards draw: a histogram of each tensor and of its gradient."""
    parameters = list(model.parameters())

    def log():
        counts = [torch.histc(p.detach(), BINS) for p in parameters]
        counts += [torch.histc(p.grad, BINS) for p in parameters if p.grad is not None]
        return torch.stack(counts).tolist()

    return log


def bare_pass(monitor: nld.Monitor, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Reads gradient, momentum, position and old position of each tracked weight, and writes the old position."""
    parameters = monitor._tracked.parameters
    old = [torch.zeros_like(p) for p in parameters]
    page = torch.zeros(max(p.numel() for p in parameters))
    pages = [page[: p.numel()].view_as(p) for p in parameters]  # what is read goes where the cache holds it

    def move():
        for p, before, into in zip(parameters, old, pages, strict=True):
            for read in (p.grad, optimizer.state[p]["exp_avg"], before):
                into.copy_(read)
            before.copy_(p.detach())

    return move


def _storages() -> dict[int, int]:
    """Bytes of all tensors that there are, by the address of what holds them."""
    gc.collect()
    storages = [each.untyped_storage() for each in gc.get_objects() if isinstance(each, torch.Tensor)]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


class Case:
    """A network, its loop, and monitors that listen only where they are asked to."""

    def __init__(self, name: str):
        torch.manual_seed(0)
        build, draw, classes, self.stretch = CASES[name]
        self.model, self.inputs = build(), draw()
        shape = self.inputs.shape if self.inputs.ndim == 2 else self.inputs.shape[:1]
        self.targets = torch.randint(classes, shape)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE)
        self.step()
        self.blocks = nld.find_symmetries(self.model, self.inputs)
        self.hooks = self.optimizer._optimizer_step_pre_hooks, self.optimizer._optimizer_step_post_hooks

    def step(self, after: Callable[[], object] = lambda: None) -> None:
        self.optimizer.zero_grad()
        output = self.model(self.inputs)
        nn.functional.cross_entropy(output.flatten(0, -2), self.targets.flatten()).backward()
        after()
        self.optimizer.step()

    def seconds(self, after: Callable[[], object] = lambda: None) -> float:
        begin = time.process_time()
        for _ in range(self.stretch):
            self.step(after)
        return (time.process_time() - begin) / self.stretch

    def watch(self, options: dict, compiled: bool) -> tuple[nld.Monitor, list[dict]]:
        """A monitor, and its hooks, which are taken off again."""
        without = mock.patch.object(numba_backend, "_compiled", return_value=None)
        with nullcontext() if compiled else without:
            monitor = nld.Monitor(self.model, self.optimizer, self.blocks, **options)
        held = [dict(hook) for hook in self.hooks]
        with self._listening(held):
            for _ in range(12):  # with the compiled pass, where there is one, at its full speed
                self.step()
        return monitor, held

    @contextmanager
    def _listening(self, held: list[dict]) -> Iterator[None]:
        for hook, kept in zip(self.hooks, held, strict=True):
            hook.clear()
            hook.update(kept)
        try:
            yield
        finally:
            for hook in self.hooks:
                hook.clear()

    def watched(self, held: list[dict]) -> float:
        with self._listening(held):
            return self.seconds()


def on_disk(record: xr.Dataset, digits: int | None) -> float:
    """Bytes of a saved record for each unit and step: all quantities of it together."""
    with tempfile.TemporaryDirectory() as folder:
        size = nld.monitor.save(record, Path(folder) / "record.nc", digits=digits).stat().st_size
    return size / (record.sizes["step"] * int(record["units"].sum()))


def cost(name: str, seconds: float) -> dict:
    """Ratios to the bare step of one case, bytes of new tensors for each tracked weight, and those of a record."""
    case = Case(name)
    before = _storages()
    ways = {"every step": case.watch(*WAYS["every step"])}
    monitor = ways["every step"][0]
    tracked = sum(p.numel() for p in monitor._tracked.parameters)
    new = sum(size for place, size in _storages().items() if place not in before)
    ways |= {way: case.watch(*WAYS[way]) for way in WAYS if way not in ways}
    others = {
        "floor": bare_pass(monitor, case.optimizer),
        "norm log": norm_log(case.model),
        "histograms": histograms(case.model),
    }
    rounds: dict[str, list[float]] = {way: [] for way in ("bare", *others, *WAYS)}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds["bare"]) < 10:
        rounds["bare"].append(case.seconds())
        for way, after in others.items():
            rounds[way].append(case.seconds(after))
        for way, (_, held) in ways.items():
            rounds[way].append(case.watched(held))
    while monitor.record().sizes["step"] < RECORDED:
        case.watched(ways["every step"][1])
    for each, _ in ways.values():
        each.close()
    ratios = {way: sum(times) / sum(rounds["bare"]) for way, times in rounds.items()}
    return {
        "case": name,
        "weights": tracked,
        "blocks": len(case.blocks),
        "units": monitor._tracked.units,
        "bare_ms": 1e3 * statistics.median(rounds["bare"]),
        **{way: ratio for way, ratio in ratios.items() if way != "bare"},
        "bytes a weight": new / tracked,
        "bytes a unit and step on disk": on_disk(monitor.record(), None),
        "with three digits": on_disk(monitor.record(), 3),
        "rounds": len(rounds["bare"]),
    }


def table(seconds: float = 150.0) -> list[dict]:
    """One row a case: the ratios to the bare step on one thread, with AdamW."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [cost(name, seconds) for name in CASES]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=150.0, help="how long to measure each case")
    for row in table(parser.parse_args().seconds):
        print(row, flush=True)
