"""Networks and the ways to run them: their symmetries, their filters, and options that must not change the numbers."""

import numpy as np
import pytest
import torch
from torch import nn

from nld.experiment import Experiment
from nld.experiment.runs import run
from nld.experiment.training import networks

IMAGES = {"transformer": (3, 16, 16), "vgg11": (3, 32, 32)} | dict.fromkeys(
    ("bare_mlp", "digits_cnn", "mlp"), (1, 8, 8)
)
FILTERS = {"digits_cnn": (8, 16, 32), "mlp": (128, 128), "vgg11": (64, 128, 256, 256, *[512] * 4)}


def built(name, **options):
    options = {"width": 0.25 if name == "vgg11" else 1.0, "epsilon": 1e-12, "seed": 0, **options}
    return networks.build(name, IMAGES[name], 7, **options).double()


def logits(name, network):
    images = torch.randn(6, *IMAGES[name], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return network(images)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_law_filters_are_scale_symmetric_and_nothing_else_is(name):
    """Scaling each filter by its own factor keeps the loss; scaling any other matrix does not."""
    network = built(name)
    before = logits(name, network).detach()
    assert before.shape == (6, 7)
    filters = networks.filter_names(network)
    sizes = [len(network.get_parameter(f)) for f in filters]
    assert sizes == [n // 4 if name == "vgg11" else n for n in FILTERS.get(name, ())]
    with torch.no_grad():
        for f in filters:
            weight = network.get_parameter(f)
            weight *= torch.linspace(0.5, 20, len(weight)).reshape(-1, *[1] * (weight.dim() - 1))
    torch.testing.assert_close(logits(name, network), before, rtol=1e-6, atol=1e-6)
    others = [p for n, p in network.named_parameters() if n not in filters and p.dim() > 1]
    with torch.no_grad():
        others[-1].mul_(1.5)
    assert (logits(name, network) - before).abs().max() > 1e-2


def test_law_queries_and_keys_have_a_general_linear_symmetry_in_each_head():
    network = built("transformer")
    before = logits("transformer", network).detach()
    block = next(m for m in network if isinstance(m, networks.TransformerBlock))
    mixing = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    head = slice(8, 16)
    with torch.no_grad():
        block.query.weight[head] = mixing.T @ block.query.weight[head]
        block.key.weight[head] = torch.linalg.inv(mixing) @ block.key.weight[head]
    torch.testing.assert_close(logits("transformer", network), before)


def test_initialization_depends_on_the_seed_only():
    state = torch.random.get_rng_state()
    one, same, other = (built("digits_cnn", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one[0].weight, other[0].weight)


def test_initial_filters_have_squared_norm_one_third():
    norms = networks.squared_norms(networks.build("vgg11", (3, 32, 32), 7, width=1.0, epsilon=0.0, seed=0)[4].weight)
    assert float(norms.detach().mean()) == pytest.approx(1 / 3, rel=0.02)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiples of 32 pixels, got 8×8"):
        networks.build("vgg11", (1, 8, 8), 10, width=1.0, epsilon=0.0, seed=0)
    with pytest.raises(ValueError, match="there are bare_mlp, digits_cnn, mlp, transformer, vgg11"):
        networks.build("resnet", (1, 8, 8), 10, width=1.0, epsilon=0.0, seed=0)
    with pytest.raises(ValueError, match="no batch-normalized filter"):
        run(Experiment(network="transformer", constrained=True))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="choose device='cpu'"):
            run(Experiment(device="cuda"))


@pytest.mark.parametrize("changes", [{"channels_last": True}, {"precision": "float64"}])
def test_options_that_change_only_the_last_bits(changes):
    base = Experiment(steps=8, evaluate_every=4)
    plain, other = run(base), run(base.replace(**changes))
    for name in ("batch_loss", "train_loss", "test_loss", "squared_norm"):
        np.testing.assert_allclose(other[name], plain[name], rtol=1e-4)


def test_bfloat16_follows_float32_with_its_own_precision():
    base = Experiment(steps=8, evaluate_every=4, learning_rate=0.01)
    plain, mixed = run(base), run(base.replace(precision="bfloat16"))
    np.testing.assert_allclose(mixed.batch_loss, plain.batch_loss, rtol=2**-5)
    assert not np.array_equal(mixed.batch_loss, plain.batch_loss)


@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_the_other_networks_learn_the_digits(network):
    record = run(Experiment(network=network, steps=100, learning_rate=0.1, evaluate_every=100))
    assert float(record.test_accuracy[0]) < 0.3
    assert float(record.test_accuracy[-1]) > 0.6


@pytest.mark.slow
def test_compiled_loss_equals_the_plain_one():
    base = Experiment(steps=8, evaluate_every=4)
    plain, compiled = run(base), run(base.replace(compile=True))
    np.testing.assert_allclose(compiled.batch_loss, plain.batch_loss, rtol=1e-4)


def test_weight_followed_by_bias_or_activation_is_no_filter():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.BatchNorm2d(3)
    )
    assert networks.filter_names(network) == []
