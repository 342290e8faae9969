"""Short runs of a small normalized network on the digits, whose norms are forecast."""

import math

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import nld


class Lion(torch.optim.Optimizer):
    """q <- (1 - lr k) q - lr sign(b m + (1 - b) g), m <- beta m + (1 - beta) g."""

    def __init__(self, params, lr, betas=(0.9, 0.95), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                buffer = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (first * buffer + (1 - first) * p.grad).sign())
                buffer.mul_(second).add_(p.grad, alpha=1 - second)


def constant(_, steps):
    return 1.0


def cosine(step, steps):
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def stable_then_decay(step, steps):
    return min(1.0, (steps - step) / (0.2 * steps))


RULES = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.003, weight_decay=0.3),
    "Lion": lambda parameters: Lion(parameters, lr=0.001, weight_decay=1.0),
    "Muon": lambda parameters: torch.optim.Muon(parameters, lr=0.01, weight_decay=0.3),
}


def run(rule, schedule, steps, seed=0, every=1, decay_follows=False):
    """The record of a whole run; its hidden layers' filters have a scale symmetry of their own."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU(),
        nn.Linear(24, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10),
    )  # fmt: skip
    images, labels = load_digits(return_X_y=True)
    images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    hidden = [model[0].weight, model[3].weight]
    rest = [p for p in model.parameters() if all(p is not h for h in hidden)]
    optimizer = RULES[rule](hidden)
    others = torch.optim.AdamW(rest, lr=0.003)
    symmetries = nld.find_symmetries(model, images[:32], nn.CrossEntropyLoss())
    blocks = [block for block in symmetries if block.kind == "scale"]
    base = [(group, group["lr"], group["weight_decay"]) for o in (optimizer, others) for group in o.param_groups]
    adapter = nld.monitor.ADAPTERS["Lion"] if rule == "Lion" else None
    with nld.Monitor(model, optimizer, blocks, every=every, adapter=adapter) as monitor:
        for step in range(steps):
            for group, rate, decay in base:
                group["lr"] = rate * schedule(step, steps)
                group["weight_decay"] = decay * (schedule(step, steps) if decay_follows else 1)
            chosen = torch.randint(len(images), (64,))
            loss = F.cross_entropy(model(images[chosen]), labels[chosen], label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            others.step()
    return monitor.record()
