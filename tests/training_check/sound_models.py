"""Loops that are sound by what they train: half precision, frozen, tied, parametrized, compiled, parallel models."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.training_check.script import Script, batches, network


class HalfPrecision(Script):
    """Weights in bfloat16, steps that are long enough for it."""

    def make_model(self):
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(torch.bfloat16)

    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.5)

    @staticmethod
    def loss(model, batch):
        return F.cross_entropy(model(batch[0].to(torch.bfloat16)).float(), batch[1])


class FrozenBackbone(Script):
    """The first layers neither move nor collect statistics, as one does for fine-tuning."""

    def make_model(self):
        model = network()
        model[:4].requires_grad_(False).eval()
        return model

    def make_optimizer(self, parameters):
        return torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.1, momentum=0.9)


class Tied(Script):
    """One matrix at both ends, sparse gradients excluded, and an evaluation between the steps."""

    def make_model(self):
        model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 5))
        model[4].weight = model[0].weight
        return model

    @staticmethod
    def loss(model, batch):
        tokens = batch[1] % 5
        return F.cross_entropy(model(torch.stack([tokens, tokens.roll(1)], 1)), tokens.roll(2))

    def after(self):
        self.model.eval()
        with torch.no_grad():
            self.loss(self.model, batches(1)[0])
        self.model.train()


class Normed(Script):
    """Parametrized weights, power iteration in a buffer, and recomputed activations."""

    def make_model(self):
        return nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)),
            nn.Tanh(),
            nn.Dropout(0.2),
            nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3)),
        )

    @staticmethod
    def loss(model, batch):
        hidden = torch.utils.checkpoint.checkpoint(model[:3], batch[0], use_reentrant=False)
        return F.cross_entropy(model[3](hidden), batch[1])


class Compiled(Script):
    def make_model(self):
        return torch.compile(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), backend="aot_eager")


class Parallel(Script):
    """Needs a process group; see the test."""

    def make_model(self):
        return nn.parallel.DistributedDataParallel(network())
