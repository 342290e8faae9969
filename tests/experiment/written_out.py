"""Training loops and updates written out by hand, and the networks and batches that they and the loop are given."""

import torch
from torch.func import functional_call

from nld.experiment.datasets import data
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, batch, mini_batches
from nld.experiment.training.ensemble import Ensemble, MemberHeavyBall
from nld.learning_rules.rules import adam, heavy_ball

ETA, BETA, RHO, K, STEPS, SIZE = 0.05, 0.9, 0.99, 0.1, 4, 16


EPSILON = 1e-3  # of Adam; with less, rounding decides the steps of weights whose gradients are nearly zero


SOURCE = data.digits()


def built(seed, network="mlp"):
    return networks.build(
        network, SOURCE.image, SOURCE.classes, width=0.1, epsilon=1e-8, seed=seed, dtype=torch.float64
    )


def batches(seeds, steps=STEPS):
    """Of one network if ``seeds`` is a number, else of an ensemble."""
    alone = isinstance(seeds, int)
    orders = BatchOrder(SOURCE, SIZE, seeds) if alone else [BatchOrder(SOURCE, SIZE, seed) for seed in seeds]
    return mini_batches(SOURCE, orders, range(steps), torch.float64)


# Updates written out, of one parameter: (n, q, g, state) -> (q, state).


def heavy_ball_by_hand(n, q, g, buffer, rate=ETA, momentum=BETA):
    buffer = momentum * (0 if buffer is None else buffer) + (g + K * q)
    return q - rate * buffer, buffer


def adamw_by_hand(n, q, g, state):
    mean, square = state or (0, 0)
    mean, square = BETA * mean + (1 - BETA) * g, RHO * square + (1 - RHO) * g * g
    direction = (mean / (1 - BETA ** (n + 1))) / ((square / (1 - RHO ** (n + 1))).sqrt() + EPSILON)
    return q - ETA * K * q - ETA * direction, (mean, square)


def written_out(model, seed, update_of):
    """Loss, gradients, position before and after of each step of one network, by a functional call of its module."""
    q = {name: p.detach().clone() for name, p in model.named_parameters()}
    states, order = dict.fromkeys(q), BatchOrder(SOURCE, SIZE, seed)
    for n in range(STEPS):
        images, labels = batch(SOURCE, order(n), torch.float64)
        leaves = {name: value.clone().requires_grad_() for name, value in q.items()}
        logits = functional_call(model, leaves, (images,))
        loss = -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()
        gradients = dict(zip(q, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        before, q = q, {}
        for name, value in before.items():
            q[name], states[name] = update_of(name)(n, value, gradients[name], states[name])
        yield loss.detach(), gradients, before, q


SGD = {"lr": ETA, "momentum": BETA, "weight_decay": K}


ADAMW = {"lr": ETA, "betas": (BETA, RHO), "weight_decay": K, "eps": EPSILON}


HEAVY, ADAM = heavy_ball(ETA, BETA, K), adam(ETA, BETA, RHO, K, EPSILON, decoupled=True)


RATES, MOMENTA, FACTORS = (0.05, 0.1), (0.9, 0.5), (1.0, 0.3)


def two_rules(parameters):
    return {name: HEAVY if p.dim() > 1 else ADAM for name, p in parameters.items()}


def by_function(parameters):
    """Gradient descent as a plain function of the step and its gradients."""

    @torch.no_grad()
    def update(n, gradients):
        for name, p in parameters.items():
            p.sub_(ETA / (n + 1) * gradients[name])

    return update


def members_update(parameters):
    return MemberHeavyBall(
        parameters, lambda n: [rate / (1 + n) for rate in RATES], MOMENTA, (K, K), factors={"1.weight": FACTORS}
    )


# Name: (what makes the update from the parameters by name, the same by hand of a member and a parameter).
ALONE = {
    "rule": (lambda p: HEAVY, lambda name: heavy_ball_by_hand),
    "adaptive rule": (lambda p: ADAM, lambda name: adamw_by_hand),
    "rules by name": (two_rules, lambda name: heavy_ball_by_hand if is_matrix(name) else adamw_by_hand),
    "SGD": (lambda p: torch.optim.SGD(p.values(), **SGD), lambda name: heavy_ball_by_hand),
    "AdamW": (lambda p: torch.optim.AdamW(p.values(), **ADAMW), lambda name: adamw_by_hand),
    "function": (by_function, lambda name: lambda n, q, g, state: (q - ETA / (n + 1) * g, None)),
}


def is_matrix(name):
    return built(0).get_parameter(name).dim() > 1


def of_member(member):
    def update_of(name):
        factor = FACTORS[member] if name == "1.weight" else 1.0
        return lambda n, q, g, buffer: heavy_ball_by_hand(
            n, q, g, buffer, rate=factor * RATES[member] / (1 + n), momentum=MOMENTA[member]
        )

    return update_of


def alone(kind):
    """A network, its update, its batches and what each step has to be, members first."""
    make, by_hand = ALONE[kind]
    model = built(3)
    expected = [written_out(built(3), 3, by_hand)]
    return model, make(dict(model.named_parameters())), batches(3), expected


def together(kind):
    seeds = (3, 5)
    if kind == "heavy ball of members":
        make, by_hands = members_update, [of_member(0), of_member(1)]
    else:
        make, by_hand = ALONE[kind]
        by_hands = [by_hand, by_hand]
    ensemble = Ensemble([built(seed) for seed in seeds])
    expected = [written_out(built(seed), seed, by_hand) for seed, by_hand in zip(seeds, by_hands, strict=True)]
    return ensemble, make(ensemble.parameters), batches(seeds), expected


KINDS = {
    **{kind: lambda kind=kind: alone(kind) for kind in ALONE},
    **{
        f"ensemble, {kind}": lambda kind=kind: together(kind)
        for kind in (*(kind for kind in ALONE if kind != "rules by name"), "heavy ball of members")
    },
}
