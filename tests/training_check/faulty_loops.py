"""Loops with one fault each, and what is said of it."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from tests.training_check.script import CLIP, Script, cross_entropy, network
from tests.training_check.sound_loops import (
    Accumulating,
    AdamW,
    Groups,
    Resumed,
    Scaled,
    SeveralOptimizers,
)
from tests.training_check.sound_models import HalfPrecision


class ValueClipping(Script):
    def change(self):
        nn.utils.clip_grad_value_(self.model.parameters(), 0.01)


class GradientNoise(Script):
    def change(self):
        for p in self.model.parameters():
            p.grad += 1e-2 * p.grad.norm() * torch.randn_like(p) / p.numel() ** 0.5


class NoiseByHook(Script):
    def prepare(self):
        self.model[4].weight.register_hook(lambda g: g + 1e-2 * torch.randn_like(g) * g.abs().mean())


class SecondBackward(Script):
    def backward(self, batch):
        self.loss(self.model, batch).backward()
        self.model[0].weight.abs().sum().mul(1e-2).backward()


class BackwardTwice(Script):
    def make_model(self):
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))

    def backward(self, batch):
        self.loss(self.model, batch).backward()
        self.loss(self.model, batch).backward()


class LeftOut(Script):
    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters[:-1], lr=0.1, momentum=0.9)


class TwoOptimizers(Script):
    def make_optimizer(self, parameters):
        return [torch.optim.SGD(parameters, lr=0.1), torch.optim.Adam(parameters[-2:], lr=1e-3)]

    zero, update = SeveralOptimizers.zero, SeveralOptimizers.update


class AverageSwappedIn(Script):
    """An EMA is swapped in for an evaluation and stays."""

    def prepare(self):
        self.average = copy.deepcopy(self.model)

    def after(self):
        for mean, p in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.data.lerp_(p.data, 0.1)
        if self.calls % 6 == 0:
            for mean, p in zip(self.average.parameters(), self.model.parameters(), strict=True):
                p.data.copy_(mean.data)


class DecayTwice(AdamW):
    def after(self):
        for p in self.model.parameters():
            p.data.mul_(1 - 1e-3 * 0.01)


class DecayInTheGradient(Script):
    def change(self):
        for p in self.model.parameters():
            p.grad.add_(p.data, alpha=1e-3)


class DecayInLossAndOptimizer(Script):
    @staticmethod
    def loss(model, batch):
        return cross_entropy(model, batch) + 1e-3 * sum(p.square().sum() for p in model.parameters())


class StaleMomentum(Resumed):
    def load(self):
        self.model.load_state_dict(self.kept[0])


class StaleFromTheStart(StaleMomentum):
    def after(self):
        pass


class StaleWeights(Resumed):
    def load(self):
        self.optimizer.load_state_dict(copy.deepcopy(self.kept[1]))


class NotZeroed(Script):
    def zero(self):
        pass


class PartNotZeroed(Script):
    def zero(self):
        self.model[:5].zero_grad()


class ClippedBeforeUnscaling(Scaled):
    def change(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)


class ClippedBeforeUnscalingUnsaid(ClippedBeforeUnscaling):
    clip_norm = None


class NeverUnscaled(Scaled):
    clip_norm = None

    def change(self):
        pass

    def update(self):
        self.optimizer.step()


class NotDivided(Accumulating):
    def backward(self, batch):
        self.loss(self.model, batch).backward()


class WronglyDivided(Accumulating):
    def backward(self, batch):
        (self.loss(self.model, batch) / 4).backward()


class ZeroedAfterBackward(Script):
    def change(self):
        self.optimizer.zero_grad()


class WithoutRate(Groups):
    def prepare(self):
        self.optimizer.param_groups[1]["lr"] = 0.0


class FrozenStatistics(Script):
    def prepare(self):
        self.model[1].eval()


class AllInEvaluation(Script):
    def after(self):
        self.model.eval()


class ClippedUnsaid(Script):
    def change(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.05)


class SaidButNotClipped(Script):
    clip_norm = 0.05


class Detached(Script):
    """Only part of what the loss says is trained on."""

    def backward(self, batch):
        x, y = batch
        F.cross_entropy(self.model[4:](self.model[:4](x).detach()), y).backward()


class Unused(Script):
    def make_model(self):
        model = network()
        model.register_parameter("spare", nn.Parameter(torch.zeros(3)))
        return model


class OtherModel(Script):
    def make_optimizer(self, parameters):
        return torch.optim.SGD(copy.deepcopy(self.model).parameters(), lr=0.1)


class NeverStepped(Script):
    def update(self):
        pass


class WeightsClipped(Script):
    def after(self):
        for p in self.model.parameters():
            p.data.clamp_(-0.2, 0.2)


class RoundedAway(HalfPrecision):
    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=1e-4)


class Diverged(Script):
    def make_model(self):
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=1e30)


class OwnMomentum(Script):
    """A subclass that forgets part of its momentum behind PyTorch's back."""

    def update(self):
        self.optimizer.step()
        for state in self.optimizer.state.values():
            state["momentum_buffer"].mul_(0.5)


class WithoutBackward(Script):
    def update(self):
        self.optimizer.step()
        self.optimizer.step()


FAULTS = {
    ValueClipping: "value-clipping",
    GradientNoise: "changed-gradient",
    NoiseByHook: "other-gradient",
    SecondBackward: "second-backward",
    BackwardTwice: "second-backward",
    LeftOut: "left-out",
    TwoOptimizers: "two-optimizers",
    AverageSwappedIn: "rewritten-weights",
    DecayTwice: "decay",
    DecayInTheGradient: "decay",
    DecayInLossAndOptimizer: "decay",
    StaleMomentum: "stale-momentum",
    StaleFromTheStart: "stale-momentum",
    StaleWeights: "stale-momentum",
    NotZeroed: "not-zeroed",
    PartNotZeroed: "not-zeroed",
    ClippedBeforeUnscaling: "clipped-before-unscaling",
    ClippedBeforeUnscalingUnsaid: "clipped-before-unscaling",
    NeverUnscaled: "gradient-scale",
    NotDivided: "accumulation",
    WronglyDivided: "accumulation",
    ZeroedAfterBackward: "changed-gradient",
    WithoutRate: "left-out",
    FrozenStatistics: "eval-mode",
    AllInEvaluation: "eval-mode",
    ClippedUnsaid: "norm-clipping",
    SaidButNotClipped: "norm-clipping",
    Detached: "other-gradient",
    Unused: "no-gradient",
    OtherModel: "left-out not-the-models",
    NeverStepped: "never-stepped",
    WeightsClipped: "rewritten-weights",
    RoundedAway: "precision",
    Diverged: "not-finite",
    OwnMomentum: "momentum",
    WithoutBackward: "changed-gradient",
}
