"""What watching costs beside what it must: a step with the monitor, its floor, and a hand-written log of norms.

The floor is the memory that any exact balance has to move: of each weight it reads the gradient, the momentum, the
position now and the one before, and writes the one kept for the next step, 20 bytes in single precision. It is measured
by a bare pass: the time of a copy of all tracked weights (8 bytes each), times 20/8. All variants take turns in one
process, in short stretches, so that whatever else the machine does meets all alike; a ratio is the median over rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import nn

import nld
from benchmarks.monitor import digits_cnn
from benchmarks.search import GPT

BYTES = 20 / 8  # of a bare pass, over those of a copy
LEARNING_RATE = 1e-3


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


# Network, inputs, classes.
CASES = {
    "GPT of 2.7 M, 4 x 128 tokens": (lambda: GPT(6, 192, 6, 65, 128, False), lambda: torch.randint(65, (4, 128)), 65),
    "ResNet of 4.9 M, batch 8": (resnet, lambda: torch.randn(8, 3, 32, 32), 10),
    "digits CNN, batch 64": (lambda: digits_cnn(16, 32, 32), lambda: torch.randn(64, 1, 8, 8), 10),
}
# Options of the monitor for each way of watching.
WAYS: dict[str, dict] = {
    "every step": {},
    "every tenth step": {"every": 10},
    "every tenth step, unit means": {"every": 10, "units": "mean"},
}


def _norm_log(model: nn.Module) -> Callable[[], object]:
    """What people write themselves: the norms of each tensor and of its gradient, read out at once."""
    parameters = list(model.parameters())

    def log():
        norms = [torch.linalg.vector_norm(p.detach()) for p in parameters]
        norms += [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]
        return torch.stack(norms).tolist()

    return log


def cost(name: str, seconds: float) -> dict:
    """Ratios to the bare step of one case."""
    torch.manual_seed(0)
    build, draw, classes = CASES[name]
    model, inputs = build(), draw()
    targets = torch.randint(classes, inputs.shape if inputs.ndim == 2 else inputs.shape[:1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    log = _norm_log(model)

    def step(after: Callable[[], object] = lambda: None) -> None:
        optimizer.zero_grad()
        output = model(inputs)
        nn.functional.cross_entropy(output.flatten(0, -2), targets.flatten()).backward()
        after()
        optimizer.step()

    step()
    blocks = nld.find_symmetries(model, inputs)
    hooks = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    ways = {}
    for way, options in WAYS.items():
        monitor = nld.Monitor(model, optimizer, blocks, **options)
        ways[way] = monitor, [dict(hook) for hook in hooks]
        for _ in range(12):  # with the compiled pass, where there is one, at its full speed
            step()
        for hook in hooks:
            hook.clear()
    tracked = next(iter(ways.values()))[0]._tracked.parameters
    pairs = [(p.detach(), torch.empty_like(p)) for p in tracked]

    def timed(what: Callable[[], object], count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            what()
        return (time.perf_counter() - begin) / count

    def watched(held: list[dict]) -> float:
        for hook, kept in zip(hooks, held, strict=True):
            hook.update(kept)
        try:
            return timed(step, 10)
        finally:
            for hook in hooks:
                hook.clear()

    rounds: dict[str, list[float]] = {way: [] for way in ("bare", "floor", "norm log", *WAYS)}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds["bare"]) < 5:
        rounds["bare"].append(timed(step, 10))
        rounds["floor"].append(BYTES * timed(lambda: [copy.copy_(p) for p, copy in pairs], 10))
        rounds["norm log"].append(timed(lambda: step(log), 10))
        for way, (_, held) in ways.items():
            rounds[way].append(watched(held))
    for monitor, _ in ways.values():
        monitor.close()
    ratio = {
        way: statistics.median(b / a for a, b in zip(rounds["bare"], times, strict=True))
        for way, times in rounds.items()
    }
    return {
        "case": name,
        "weights": sum(p.numel() for p in model.parameters()),
        "blocks": len(blocks),
        "bare_ms": 1e3 * statistics.median(rounds["bare"]),
        "floor": 1 + ratio["floor"],
        "norm log": ratio["norm log"],
        **{way: ratio[way] for way in WAYS},
        "numba": "yes" if find_spec("numba") else "no",
        "rounds": len(rounds["bare"]),
    }


def table(seconds: float = 60.0) -> list[dict]:
    """One row a case: the ratios to the bare step on one thread, with AdamW."""
    torch.set_num_threads(1)
    return [cost(name, seconds) for name in CASES]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure each case")
    for row in table(parser.parse_args().seconds):
        print(row, flush=True)
