"""Loops that are sound by what they do, and loops of which something cannot be judged."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from tests.training_check.script import CLIP, Script, batches, cross_entropy
from tests.training_check.sound_models import Compiled, FrozenBackbone, HalfPrecision, Normed, Tied


class PlainSGD(Script):
    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.1)


class Momentum(Script):
    pass


class AdamW(Script):
    def make_optimizer(self, parameters):
        return torch.optim.AdamW(parameters, lr=1e-3)


class Accumulating(Script):
    """Three batches a step; a gradient accumulates in one tensor that is zeroed in place."""

    many = 3

    def zero(self):
        if self.calls % self.many == 1:
            self.optimizer.zero_grad(set_to_none=False)

    def backward(self, batch):
        (self.loss(self.model, batch) / self.many).backward()

    def update(self):
        if self.calls % self.many == 0:
            self.optimizer.step()


class ClippedAsDeclared(Script):
    clip_norm = CLIP

    def change(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)


def under_autocast(model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        return cross_entropy(model, batch)


class Autocast(AdamW):
    loss = staticmethod(under_autocast)


class Scheduled(AdamW):
    def prepare(self):
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: min(step / 5, 1.0))

    def after(self):
        self.schedule.step()


class AverageAside(Script):
    """An EMA that is evaluated in training mode's absence, in a model of its own."""

    def prepare(self):
        self.average = torch.optim.swa_utils.AveragedModel(
            self.model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
        )

    def after(self):
        self.average.update_parameters(self.model)
        self.average.eval()(batches(1)[0][0])


class Groups(AdamW):
    def make_optimizer(self, parameters):
        return torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.1},
                {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0, "betas": (0.8, 0.99)},
            ],
            lr=1e-3,
        )


class Scaled(Script):
    """A gradient scaler, and clipping after unscaling."""

    clip_norm = CLIP

    def prepare(self):
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)

    def backward(self, batch):
        self.scaler.scale(self.loss(self.model, batch)).backward()

    def change(self):
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)

    def update(self):
        self.scaler.step(self.optimizer)
        self.scaler.update()


class Skipping(Scaled):
    """A loss scale at first so large that gradients overflow and steps are skipped."""

    clip_norm = None

    def prepare(self):
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)

    def change(self):
        pass


class SeveralOptimizers(Script):
    """Muon moves matrices, AdamW the rest."""

    def make_optimizer(self, parameters):
        return [
            torch.optim.Muon([p for p in parameters if p.ndim == 2], lr=0.02),
            torch.optim.AdamW([p for p in parameters if p.ndim != 2], lr=1e-3),
        ]

    def zero(self):
        for optimizer in self.optimizer:
            optimizer.zero_grad()

    def update(self):
        for optimizer in self.optimizer:
            optimizer.step()


class Resumed(Script):
    """A checkpoint of both, weights and momenta, is loaded before and on the way."""

    def prepare(self):
        for batch in batches(3):
            self.step(batch)
        self.kept = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))
        for batch in batches(3):
            self.step(batch)
        self.load()

    def load(self):
        self.model.load_state_dict(self.kept[0])
        self.optimizer.load_state_dict(copy.deepcopy(self.kept[1]))  # or it would step the kept one

    def after(self):
        if self.calls == 15:
            self.load()


class NoisyInput(Script):
    """The loss draws its noise before it calls the model, and the model drops afterwards."""

    @staticmethod
    def loss(model, batch):
        return F.cross_entropy(model(batch[0] + torch.randn_like(batch[0])), batch[1])


class NoiseBefore(Script):
    """The loop draws random numbers that the loss does not know."""

    def zero(self):
        torch.randn(3)
        self.optimizer.zero_grad()


class WithClosure(Script):
    def step(self, batch):
        def closure():
            self.optimizer.zero_grad()
            loss = self.loss(self.model, batch)
            loss.backward()
            return loss

        self.optimizer.step(closure)


class Penalized(Script):
    """A penalty in the loss, where the optimizer decays nothing."""

    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)

    @staticmethod
    def loss(model, batch):
        return cross_entropy(model, batch) + 1e-3 * sum(p.square().sum() for p in model.parameters())


class SparseRows(Script):
    def make_model(self):
        return nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Linear(4, 5))

    def make_optimizer(self, parameters):
        return [torch.optim.SparseAdam(parameters[:1], lr=0.01), torch.optim.Adam(parameters[1:], lr=0.01)]

    zero, update = SeveralOptimizers.zero, SeveralOptimizers.update

    @staticmethod
    def loss(model, batch):
        return F.cross_entropy(model(batch[1]), (batch[1] + 1) % 5)


class TwoStepsABatch(Script):
    def step(self, batch):
        super().step(batch)
        super().step(batch)


SOUND = {
    kind.__name__: kind
    for kind in (
        PlainSGD,
        Momentum,
        AdamW,
        Accumulating,
        ClippedAsDeclared,
        Autocast,
        HalfPrecision,
        Scheduled,
        AverageAside,
        Groups,
        FrozenBackbone,
        Scaled,
        Skipping,
        SeveralOptimizers,
        Tied,
        Resumed,
        NoisyInput,
        NoiseBefore,
        WithClosure,
        Normed,
        Penalized,
        TwoStepsABatch,
        Compiled,
    )
}


class OwnGenerator(Script):
    """Noise that comes from nowhere that could be rewound."""

    generator = torch.Generator().manual_seed(0)

    @classmethod
    def loss(cls, model, batch):
        return cross_entropy(model, (batch[0] + torch.randn(batch[0].shape, generator=cls.generator), batch[1]))


NOTED = {
    SparseRows: "the momentum of SparseAdam is not checked",
    OwnGenerator: "gradients are not checked: the loss is",
}
