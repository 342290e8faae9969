"""An ensemble is the sequential loop, faster: equal records, members that do not see each other."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from nld.experiment import Experiment, Sweep
from nld.experiment.runs import run
from nld.experiment.runs.ensemble import groups, run_ensemble
from nld.experiment.training import batched

COMPARED = ("batch_loss", "train_loss", "test_loss", "test_accuracy", "squared_norm", "diverged", "last_step")


def assert_equal_records(one, other, rtol):
    for name in COMPARED:
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=rtol, err_msg=name)


def test_law_ensemble_equals_loop_with_everything_varied():
    base = Experiment(steps=12, evaluate_every=6, precision="float64")
    members = [
        base,
        base.replace(seed=3),
        base.replace(learning_rate=0.3, momentum=0.5, constrained=True),
        base.replace(weight_decay=1e-2, seed=1),
        base.replace(schedule="step", milestones=(0.25, 0.5), momentum=0.0),
        base.replace(filter_scale=10.0, constrained=True, seed=2),
        base.replace(filter_rate=0.01, seed=4),
        base.replace(learning_rate=0.0),
    ]
    for experiment, record in zip(members, run_ensemble(members), strict=True):
        alone = run(experiment)
        assert_equal_records(record, alone, rtol=1e-9)
        assert record.attrs == alone.attrs


@pytest.mark.parametrize("network", ["digits_cnn", "mlp", "transformer"])
def test_law_ensemble_equals_loop_for_each_network(network):
    base = Experiment(network=network, steps=6, evaluate_every=3, width=0.5, learning_rate=0.05, augment=True)
    members = Sweep(base=base, vary={"seed": (0, 1), "learning_rate": (0.01, 0.05)}).experiments
    for experiment, record in zip(members, run_ensemble(members), strict=True):
        assert_equal_records(record, run(experiment), rtol=2e-4)


def test_diverged_member_leaves_the_others_alone():
    base = Experiment(steps=20, evaluate_every=10, precision="float64")
    wild = base.replace(learning_rate=1e6, divergence_bound=10.0)
    calm, diverged = run_ensemble([base, wild])
    assert bool(diverged.diverged)
    assert not bool(calm.diverged)
    assert_equal_records(calm, run_ensemble([base])[0], rtol=1e-12)
    assert_equal_records(diverged, run(wild), rtol=1e-9)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Conv2d(3, 4, 2, stride=2),
        nn.Conv2d(3, 4, (3, 1), padding=(1, 0)),
        nn.Conv2d(3, 3, 3, groups=3),
        nn.BatchNorm2d(3, momentum=1.0, track_running_stats=False),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3),
        nn.ReLU(),
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5)),
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5, bias=False)),
        nn.GELU(),
    ],
    ids=str,
)
def test_law_batched_layer_equals_layer_and_gradient(layer):
    """Every way a layer can be batched, against the layer itself called once a member."""
    torch.manual_seed(0)
    network = (nn.Sequential(*layer) if isinstance(layer, nn.Sequential) else nn.Sequential(layer)).double()
    parameters = {
        name: torch.randn(3, *p.shape, dtype=torch.float64, requires_grad=True)
        for name, p in network.named_parameters()
    }
    images = torch.randn(3, 4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    out = batched.forward(network, parameters, images)
    if out.dim() > 3:  # forward ends as member × channel.. × image swapped for logits; here undo for feature maps
        out = out.transpose(1, 2).movedim(-1, 1)
    one_by_one = torch.stack(
        [functional_call(network, {k: v[m] for k, v in parameters.items()}, (images[m],)) for m in range(3)]
    )
    torch.testing.assert_close(out, one_by_one)
    inputs = [images, *parameters.values()]
    weights = torch.randn_like(one_by_one)
    got = torch.autograd.grad((out * weights).sum(), inputs)
    expected = torch.autograd.grad((one_by_one * weights).sum(), inputs)
    torch.testing.assert_close(got, expected)


def test_groups_keep_every_experiment_once():
    base = Experiment()
    sweep = Sweep(base=base, vary={"steps": (1, 2), "seed": tuple(range(5)), "network": ("mlp", "digits_cnn")})
    parts = groups(sweep.experiments, largest=3)
    assert sorted(e.key for part in parts for e in part) == sorted(e.key for e in sweep.experiments)
    assert all(len(part) <= 3 and len({(e.steps, e.network) for e in part}) == 1 for part in parts)


def test_members_that_differ_in_structure_are_refused():
    with pytest.raises(ValueError, match="may differ only in"):
        run_ensemble([Experiment(), Experiment(batch_size=32)])
