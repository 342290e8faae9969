"""An experiment that no run could honour is refused when it is written down, with field, range and what was got."""

import dataclasses
import math

import pytest

from nld.experiment import Experiment, Sweep
from nld.experiment.training import networks

FLOATS = [field.name for field in dataclasses.fields(Experiment) if field.type is float]
WRONG = {
    "network": ("resnet", "one of bare_mlp, digits_cnn, mlp, transformer, vgg11, got 'resnet'"),
    "dataset": ("mnist", "one of digits, tiny-imagenet, tiny-imagenet-20, cifar-10, got 'mnist'"),
    "seed": (-1, "from 0 to 2**63 - 1, got -1"),
    "train_size": (-5, "at least 2, or none for all images, got -5"),
    "test_size": (0, "at least 2, or none for all images, got 0"),
    "decay": (-0.1, "at least 0, got -0.1"),
    "divergence_bound": (0.0, "positive, got 0.0"),
    "milestones": ((0.5, math.nan), "finite numbers, got nan"),
    "steps": (-1, "at least 0, got -1"),
    "batch_size": (1, "at least 2, for batch statistics, got 1"),
    "width": (0.0, "positive, got 0.0"),
    "filter_scale": (-1.0, "positive, got -1.0"),
    "filter_rate": (-1.0, "at least 0, got -1.0"),
    "label_noise": (1.0, "in [0, 1), got 1.0"),
    "momentum": (1.0, "in [0, 1), got 1.0"),
    "monitor_every": (-1, "at least 0, got -1"),
    "evaluate_every": (0, "at least 1, got 0"),
    "evaluation_size": (1, "at least 2, got 1"),
    "epsilon": (-1e-9, "at least 0, got -1e-09"),
    "learning_rate": (-0.1, "at least 0, got -0.1"),
    "weight_decay": (-0.1, "at least 0, got -0.1"),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_value_out_of_range_is_refused_by_name(field):
    value, said = WRONG[field]
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        Experiment(**{field: value})
    assert str(refused.value) == f"Experiment.{field} must be {said}"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400], ids=str)
@pytest.mark.parametrize("field", FLOATS)
def test_what_is_not_finite_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"Experiment\.{field} must be a finite number, got "):
        Experiment(**{field: value})


@pytest.mark.parametrize(("field", "value"), [("learning_rate", math.inf), ("network", "resnet"), ("seed", -1)])
def test_a_sweep_refuses_what_one_of_its_runs_would(field, value):
    good = {"learning_rate": 0.1, "network": "mlp", "seed": 0}[field]
    with pytest.raises(ValueError, match=rf"Experiment\.{field} must be "):
        Sweep(vary={field: (good, value)})


def test_whoever_registers_a_network_can_name_it(monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "mine", networks.mlp)
    assert Experiment(network="mine").network == "mine"


def test_the_smallest_admissible_values_are_accepted():
    Experiment(seed=0, train_size=2, test_size=2, steps=0, learning_rate=0.0, decay=0.0, momentum=0.0, epsilon=0.0)
