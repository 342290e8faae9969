"""The byte model at several widths: its stack against PyTorch, its symmetry, and who carries the size of a matrix."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import nld
from nld.experiment.datasets import source_text
from nld.experiment.studies import learnable_multiplier
from nld.experiment.studies import width_transfer as transfer
from nld.learning_rules.held import held
from nld.learning_rules.rules import adam, heavy_ball, iterate
from nld.theory.rotation import rotational_equilibrium


def test_width_transfer_matrices_have_a_scale_of_their_own_and_the_head_has_none():
    network = transfer.network(32, 0)
    ((tokens, _),) = transfer.windows(source_text.training_text(), [0], 8, 0)
    groups = nld.param_groups(network, tokens)
    assert {str(groups.scale_of(name)) for name in (transfer.INPUT, *transfer.HIDDEN)} == {"own"}
    assert str(groups.scale_of(transfer.HEAD)) == "none"


def naive(scheme: str, rate: float, width: int, steps: int) -> dict[str, torch.Tensor]:
    """One member, by PyTorch's own AdamW on the module, norms set back by hand."""
    network = transfer.network(width, 0, torch.float64)
    q = dict(network.named_parameters())
    m = width / 32
    hidden_rate = rate / (m**0.5 if scheme == "held norms" else m)
    decay = {"coupled decay": 1.0, "independent decay": m, "held norms": 0.0}[scheme]
    groups = [
        {"params": [q["1.weight"]], "lr": 2.0**-9, "weight_decay": 0},
        {"params": [q["4.weight"], q["7.weight"]], "lr": hidden_rate, "weight_decay": decay},
        {"params": [q["10.weight"]], "lr": 0.01 / m, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-12)
    first = [group["lr"] for group in optimizer.param_groups]
    spheres = ["1.weight", *(["4.weight", "7.weight"] if scheme == "held norms" else [])]
    norms = {name: q[name].detach().norm() for name in spheres}
    for step, (tokens, following) in enumerate(transfer.windows(source_text.training_text(), range(steps), 64, 0)):
        for group, top in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = top * min(1, (steps - step) / (0.3 * steps))
        optimizer.zero_grad()
        F.cross_entropy(network(tokens), following).backward()
        optimizer.step()
        with torch.no_grad():
            for name, norm in norms.items():
                q[name] *= norm / q[name].norm()
    return {name: p.detach() for name, p in q.items()}


@pytest.mark.parametrize("scheme", transfer.SCHEMES)
def test_width_transfer_members_step_as_networks_of_their_own(scheme):
    rates, width, steps = (0.02, 0.005), 64, 10
    stack = transfer.Stack(transfer.network(width, 0, torch.float64), 2)
    rate = torch.tensor(rates, dtype=torch.float64)[:, None]
    assert (
        len(list(transfer.steps_of(stack, lambda fade: transfer.rule(scheme, rate * fade, width), steps, 0))) == steps
    )
    for member, rate in enumerate(rates):
        expected = naive(scheme, rate, width, steps)
        for name, q in stack.named_parameters():
            # Adam divides by roots of squares near the rounding of gradients
            assert (q[member] - expected[name]).norm() < 1e-7 * expected[name].norm(), name


def test_width_transfer_on_a_sphere_is_what_hold_norms_does():
    """The package's hooks on PyTorch's AdamW, for the two hidden matrices at a constant rate, the rest untrained."""
    network = transfer.network(64, 0, torch.float64)
    batches = list(transfer.windows(source_text.training_text(), range(5), 64, 0))
    groups = nld.param_groups(network, batches[0][0])
    hidden = {name: network.get_parameter(name) for name in transfer.HIDDEN}
    states, rows = dict.fromkeys(hidden, ()), {name: q.detach().flatten().clone() for name, q in hidden.items()}
    optimizer = torch.optim.AdamW(hidden.values(), 0.01 / 2**0.5, betas=(0.9, 0.95), eps=1e-12, weight_decay=0)
    rule = transfer.rule("held norms", torch.tensor(0.01, dtype=torch.float64), 64)
    with nld.hold_norms(optimizer, groups):
        for tokens, following in batches:
            optimizer.zero_grad()
            F.cross_entropy(network(tokens), following).backward()
            gradients = {name: q.grad.clone().flatten() for name, q in hidden.items()}
            optimizer.step()
            for name, gradient in gradients.items():
                rows[name], states[name] = rule.step(rows[name], states[name], lambda _, gradient=gradient: gradient)
                assert (hidden[name].flatten() - rows[name]).norm() < 1e-9 * rows[name].norm()


def test_width_transfer_looks_at_angles_norms_and_alignments():
    rates = (0.02, 0.001)
    data = transfer.course("coupled decay", 32, rates, (0, 5), steps=6, seed=3)
    network = transfer.network(32, 3)
    start = [dict(network.named_parameters())[name].detach() for name in transfer.HIDDEN]
    np.testing.assert_allclose(data["squared_norm"][0], [[float(w.norm() ** 2)] * 2 for w in start], rtol=1e-5)
    # Adam's first step moves every entry by the rate: across the matrix, as gradients have no part along it
    first = [[rate * 32 / float(w.norm()) for rate in rates] for w in start]
    np.testing.assert_allclose(np.tan(data["angle"][0]), first, rtol=0.03)
    assert (data["alignment"][0] > 1).all()
    assert data["validation_loss"].shape == (2,)


def test_width_transfer_alignment_of_one_random_example_is_the_root_of_the_width():
    """A gradient of one example is an outer product, and W does to that input what random entries do."""
    random = torch.Generator().manual_seed(0)
    for width in (64, 256):
        weight = torch.randn(1, width, width, generator=random)
        inputs = torch.randn(1, 1, width, generator=random)
        moved = weight + 1e-3 * torch.randn(1, width, 1, generator=random) * inputs
        *_, alignment = transfer._look(weight, moved, inputs)
        assert alignment[0] == pytest.approx(width**0.5, rel=0.2)


@pytest.mark.parametrize("family", ["AdamW", "heavy ball"])
def test_width_transfer_decay_on_a_sphere_is_second_order_in_one_step(family):
    apart = transfer.moved_by_decay(family, [2.0**-12, 2.0**-13], 1.0, 1, 0)
    assert np.log2(apart[0] / apart[1]) == pytest.approx(2, abs=0.01)


def test_held_decay_is_a_larger_rate_for_any_update():
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(3, 7)), random.normal(size=(50, 3, 7))

    def run(rule):
        noise = iter(gradients)
        return iterate(held(rule), lambda _: next(noise), start, 50).position

    with_decay = run(adam(0.1, weight_decay=2.0, decoupled=True))
    np.testing.assert_allclose(with_decay, run(adam(0.1 / 0.8)), rtol=1e-11)
    norms = np.linalg.norm(with_decay, axis=-1)
    np.testing.assert_allclose(norms, norms[:1].repeat(51, 0), rtol=1e-12)
    assert np.abs(with_decay - run(adam(0.1))).max() > 1e-3
    coupled = run(heavy_ball(0.1, 0.9, 2.0))  # in the buffer it is not
    assert np.abs(coupled - run(heavy_ball(0.1 / 0.8, 0.9))).max() > 1e-3


def test_learnable_multiplier_leaves_the_matrix_at_the_equilibrium_of_noise_and_decay():
    wanted = (0.5, 2.0)
    learned = learnable_multiplier.learn(wanted, (0,), multiplied=True)
    rule = adam(learnable_multiplier.RATE, weight_decay=learnable_multiplier.DECAY, decoupled=True)
    expected = rotational_equilibrium(rule, size=learnable_multiplier.SIZE**2).squared_norm ** 0.5
    np.testing.assert_allclose(learned["norm"], [[expected] * 2], rtol=0.05)
    assert learned["multiplier"][0, 1] > 3.5 * learned["multiplier"][0, 0]
    alone = learnable_multiplier.learn(wanted, (0,), multiplied=False)
    assert (alone["multiplier"] == 1).all()
    assert alone["norm"][0, 1] > 2.5 * alone["norm"][0, 0]


def test_learnable_multiplier_descends_the_squared_error():
    """One step against autograd: the gradients that a step uses are those of half the mean squared error."""
    module = learnable_multiplier
    random = np.random.default_rng([5, 8])
    turned = np.linalg.qr(random.normal(size=(module.SIZE, module.SIZE)))[0]
    weight = torch.tensor(random.uniform(-1, 1, (module.SIZE, module.SIZE)) / module.SIZE**0.5, requires_grad=True)
    multiplier = torch.ones(1, dtype=torch.float64, requires_grad=True)
    adamw = torch.optim.AdamW([weight], lr=module.RATE, betas=(0.9, 0.99), eps=1e-12, weight_decay=module.DECAY)
    plain = torch.optim.Adam([multiplier], lr=module.RATE, betas=(0.9, 0.99), eps=1e-12)
    norms = []
    for _ in range(4):
        x = torch.from_numpy(random.normal(size=(module.SIZE, module.BATCH)))
        target = 3.0 * torch.from_numpy(turned) @ x + module.NOISE * torch.from_numpy(random.normal(size=x.shape))
        adamw.zero_grad()
        plain.zero_grad()
        (0.5 * (multiplier * weight @ x - target).square().sum() / module.BATCH).backward()
        adamw.step()
        plain.step()
        norms.append((float(weight.detach().norm() ** 2), multiplier.item()))
    learned = module.learn((3.0,), (5,), multiplied=True, steps=4)
    assert learned["norm"].item() ** 2 == pytest.approx(np.mean([norm for norm, _ in norms[2:]]), rel=1e-9)
    assert learned["multiplier"].item() == pytest.approx(np.mean([size for _, size in norms[2:]]), rel=1e-9)
