"""Classes of tensors whose norms are held: one batched program against members trained alone, and the rule by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nld.experiment.studies import held_classes as held
from nld.experiment.studies.held_networks import Digits, Text
from nld.experiment.studies.held_predictions import Prediction, degree, predictions
from nld.experiment.training.networks import from_seed

# In double precision: Adam divides gradients that are rounding, behind a batch normalization, by their own size.
SHORT = held.Training(steps=4, warm_up=2, batch_size=2, context=8, dtype=torch.float64)
TINY = {"width": 8, "layers": 1, "heads": 2, "key_heads": 2, "hidden": 12}
SHAPES = [
    Text(**TINY), Text(**{**TINY, "key_heads": 1}, place="post", norm="layer"), Text(**TINY, gated=False),
    Text(**TINY, place="sandwich", experts=2),
    Text(**TINY, tied=True, learned_positions=True, biases=True, cap=5.0, spread=0.1),
    Digits(width=6, norm="batch"), Digits(width=6, norm="layer", residual=True), Digits(width=6, norm="weight"),
    Digits(kind="convolutional", width=3, layers=2), Digits(width=6, activation="linear"),
]  # fmt: skip


def alone(shape, seed, label=""):
    """PyTorch's own AdamW on one network, the class's norms restored after each step; its validation loss."""
    network = from_seed(seed, shape.build, SHORT.dtype)
    names = held.classes(network)
    matrices = {name for many in names.values() for name in many}
    own = dict(network.named_parameters())
    kept = {name: own[name].detach().norm() for name in names.get(label, ())}
    decayed = [q for name, q in own.items() if name in matrices and name not in kept]
    others = [q for name, q in own.items() if name not in matrices or name in kept]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": SHORT.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=SHORT.learning_rate, betas=SHORT.betas, eps=1e-8,
    )  # fmt: skip
    for step, (inputs, targets) in enumerate(held.training_batches(shape, seed, SHORT)):
        for group in optimizer.param_groups:
            group["lr"] = SHORT.learning_rate * SHORT.schedule(step)
        optimizer.zero_grad()
        F.cross_entropy(network(inputs).flatten(0, -2), targets.flatten()).backward()
        optimizer.step()
        with torch.no_grad():
            for name, norm in kept.items():
                own[name].mul_(norm / own[name].norm())
    with torch.no_grad():
        losses = [
            float(F.cross_entropy(network(inputs).flatten(0, -2), targets.flatten()))
            for inputs, targets in held.validation_batches(shape, SHORT)
        ]
    return np.mean(losses)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_law_members_of_one_program_train_as_they_would_alone(shape):
    labels = list(held.classes(from_seed(1, shape.build)))
    members = [held.Member(), *(held.Member(held=(label,)) for label in labels)]
    found = held.train(shape, members, 1, SHORT)
    np.testing.assert_allclose(found.loss, [alone(shape, 1), *(alone(shape, 1, label) for label in labels)], rtol=1e-7)
    for row, label in enumerate(labels, 1):
        assert found.growth[label][row] == pytest.approx(1, abs=1e-5)


def test_a_factor_moves_only_its_own_class_and_only_where_it_is_trained():
    shape = Digits(width=6, norm="none")
    members = [held.Member(), held.Member(gained=("head",)), held.Member(held=("head",), gained=("head",))]
    loss = held.train(shape, members, 0, SHORT).loss
    assert len(set(loss)) == 3
    assert loss[0] == held.train(shape, members[:1], 0, SHORT).loss[0] == pytest.approx(alone(shape, 0), rel=1e-7)


def test_first_and_hidden_layers_are_classes_and_vectors_are_none():
    names = held.classes(from_seed(0, Digits(layers=3, norm="batch").build))
    assert {label: len(many) for label, many in names.items()} == {"first": 1, "hidden": 2, "head": 1}
    assert list(held.classes(from_seed(0, Text(tied=True).build))).count("token") == 1
    assert "head" not in held.classes(from_seed(0, Text(tied=True).build))


def test_law_a_head_has_degree_one_and_what_a_normalization_follows_none():
    said = predictions(Text(**TINY))
    assert said["head"].degree == pytest.approx(1, abs=1e-5)
    assert said["query"].degree == pytest.approx(0, abs=1e-3)  # up to the normalization's epsilon
    linear = predictions(Digits(layers=4, activation="linear"))
    assert [linear[name].degree for name in ("first", "hidden", "head")] == pytest.approx([1, 3, 1], abs=1e-4)
    assert sum(prediction.share for prediction in linear.values()) == pytest.approx(1)


def test_law_a_degree_is_the_power_by_which_logits_answer():
    shape = Digits(width=6, layers=2)  # with biases, so that layers share it unevenly
    network = from_seed(2, shape.build)
    inputs, _ = next(held.training_batches(shape, 2))
    logits = [network(inputs).detach()]
    with torch.no_grad():
        for factor in (math.exp(1e-3), math.exp(-2e-3)):
            network.get_parameter("hidden.0.weight").mul_(factor)
            logits.append(network(inputs))
    base, up, down = (x - x.mean(-1, keepdim=True) for x in logits)
    slope = float((base * (up - down) / 2e-3).sum() / base.square().sum())
    network = from_seed(2, shape.build)
    assert degree(network, ["hidden.0.weight"], inputs) == pytest.approx(slope, abs=1e-3)
    assert 0 < slope < 1


def test_the_rule_asks_for_the_temperature_before_it_asks_for_growth():
    effects = [Prediction(1.0, share, growth).effect for share in (0.4, 0.6) for growth in (1.5, 3.0)]
    assert effects == [0, -1, 1, 1]
    assert (
        predictions(Text(**TINY, spread=0.01))["gate"].growth > 5 * predictions(Text(**TINY, spread=0.1))["gate"].growth
    )


def test_a_diverged_member_has_the_loss_of_guessing():
    wild = held.Training(steps=3, learning_rate=1e20, warm_up=1, batch_size=2, context=8)
    assert held.train(Digits(width=6), [held.Member()], 0, wild).loss[0] == pytest.approx(math.log(10))
