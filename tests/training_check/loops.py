"""Loops that are sound and loops with one fault each, as somebody would write them."""

import copy

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


def under_autocast(model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        return cross_entropy(model, batch)


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


# Sound loops


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


class Autocast(AdamW):
    loss = staticmethod(under_autocast)


class HalfPrecision(Script):
    """Weights in bfloat16, steps that are long enough for it."""

    def make_model(self):
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(torch.bfloat16)

    def make_optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.5)

    @staticmethod
    def loss(model, batch):
        return F.cross_entropy(model(batch[0].to(torch.bfloat16)).float(), batch[1])


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


class FrozenBackbone(Script):
    """The first layers neither move nor collect statistics, as one does for fine-tuning."""

    def make_model(self):
        model = network()
        model[:4].requires_grad_(False).eval()
        return model

    def make_optimizer(self, parameters):
        return torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.1, momentum=0.9)


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


class Compiled(Script):
    def make_model(self):
        return torch.compile(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), backend="aot_eager")


class Parallel(Script):
    """Needs a process group; see the test."""

    def make_model(self):
        return nn.parallel.DistributedDataParallel(network())


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

# Loops of which something cannot be judged


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

# Faults


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
