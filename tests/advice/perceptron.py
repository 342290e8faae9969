"""A small network with an exactly normalized layer, the optimizers that hold its norms, and its training."""

import torch
from torch import nn
from torch.nn import functional as F

import nld

OPTIMIZERS = {
    "heavy ball": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02}),
    "dampened": ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.02}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    "AdamW": ("AdamW", {"lr": 0.01, "weight_decay": 0.5}),
    "Adam": ("Adam", {"lr": 0.01, "weight_decay": 0.01}),
    "NAdam": ("NAdam", {"lr": 0.01}),
    "RMSprop": ("RMSprop", {"lr": 0.003}),
    "Adagrad": ("Adagrad", {"lr": 0.05}),
}


class Perceptron(nn.Module):
    """A hidden layer that is exactly batch-normalized, in float64."""

    def __init__(self):
        super().__init__()
        self.hidden, self.norm = nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6, eps=1e-300)
        self.last = nn.Linear(6, 2)
        self.double()

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.hidden(x))))


def network(seed=0):
    torch.manual_seed(seed)
    return Perceptron()


def batches(steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(16, 5, generator=generator).double(), torch.randn(16, 2, generator=generator).double())
        for _ in range(steps)
    ]


def grouped(model):
    return nld.param_groups(model, batches(1)[0][0])


def make(name, groups):
    kind, options = OPTIMIZERS[name]
    return getattr(torch.optim, kind)(groups, **options)


def train(model, optimizer, data, rate=None):
    """Directions of the hidden units before each step and after the last, (steps + 1, units, features)."""
    directions = []
    for number, (x, y) in enumerate(data):
        directions.append(F.normalize(model.hidden.weight.detach(), dim=1).clone())
        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(number)
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    return torch.stack([*directions, F.normalize(model.hidden.weight.detach(), dim=1)])
