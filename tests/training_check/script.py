"""A training script as somebody would write it; sound and faulty loops change its methods."""

import torch
from torch import nn
from torch.nn import functional as F

import nld

CLIP = 0.3


def network():
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
    )


def batches(count=8):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)) for _ in range(count)
    ]


def cross_entropy(model, batch):
    x, y = batch
    return F.cross_entropy(model(x), y)


class Script:
    """A training script; what a fault or a feature changes are its methods."""

    loss = staticmethod(cross_entropy)
    clip_norm: float | None = None  # that is declared

    def __init__(self):
        torch.manual_seed(0)
        self.model = self.make_model()
        self.optimizer = self.make_optimizer(list(self.model.parameters()))
        self.calls = 0
        self.prepare()

    def make_model(self):
        return network()

    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)

    def prepare(self):
        """What is done before the loop."""

    def zero(self):
        self.optimizer.zero_grad()

    def backward(self, batch):
        self.loss(self.model, batch).backward()

    def change(self):
        """What is done between backward and step."""

    def after(self):
        """What is done behind the step."""

    def update(self):
        self.optimizer.step()

    def step(self, batch):
        self.calls += 1
        self.zero()
        self.backward(batch)
        self.change()
        self.update()
        self.after()

    def loop(self):
        return nld.TrainingLoop(self.model, self.optimizer, self.loss, batches(), self.step, self.clip_norm)
