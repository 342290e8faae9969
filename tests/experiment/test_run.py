"""The training loop: what symmetry says of it, what it promises of repetition, and the update written out by hand."""

import dataclasses
import importlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.datasets import data
from nld.experiment.runs import run
from nld.experiment.runs.ensemble import run_ensemble
from nld.experiment.training import networks

LOOP = importlib.import_module("nld.experiment.runs.run")  # nld.experiment.runs.run itself is the function


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_fig1b_scaled_filters_same_loss_then_other_dynamics(seed):
    base = Experiment(steps=60, evaluate_every=20, seed=seed)
    one, ten = run(base), run(base.replace(filter_scale=10.0))
    assert float(ten.train_loss[0]) == pytest.approx(float(one.train_loss[0]), rel=1e-5)
    assert float(ten.batch_loss[0]) == pytest.approx(float(one.batch_loss[0]), rel=1e-5)
    np.testing.assert_allclose(ten.squared_norm[0], 100 * one.squared_norm[0], rtol=1e-5)
    # a hundredth of the effective learning rate: slower by far
    assert float(ten.train_loss[1]) > 1.5 * float(one.train_loss[1])


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 1e-3)])
def test_law_scaled_filters_are_a_smaller_learning_rate_and_a_larger_decay(momentum, weight_decay):
    # c q - eta grad f(c q) = c (q - (eta / c^2) grad f(q)): exact for every step, so rounding is all that differs
    # (c a power of two: the initial weights are float32, where a factor of ten would round).
    base = Experiment(precision="float64", steps=40, evaluate_every=10, epsilon=1e-30, momentum=momentum)
    scaled = run(base.replace(filter_scale=8.0, weight_decay=weight_decay))
    slower = run(base.replace(filter_rate=1 / 64, weight_decay=weight_decay))
    if weight_decay:  # the decay would have to grow 64-fold: without that the equivalence must fail
        assert abs(slower["train_loss"] / scaled["train_loss"] - 1).max() > 1e-5
    else:
        np.testing.assert_allclose(slower["train_loss"], scaled["train_loss"], rtol=1e-10)


def test_same_experiment_same_record():
    experiment = Experiment(steps=30, evaluate_every=10)
    assert run(experiment).identical(run(experiment))


def test_other_seed_other_record():
    experiment = Experiment(steps=1)
    assert float(run(experiment).train_loss[0]) != float(run(experiment.replace(seed=1)).train_loss[0])


def test_constrained_keeps_every_filter_norm():
    record = run(Experiment(steps=40, evaluate_every=10, learning_rate=0.3, constrained=True))
    np.testing.assert_allclose(
        record.squared_norm, np.broadcast_to(record.squared_norm[0], record.squared_norm.shape), 1e-5
    )
    free = run(Experiment(steps=40, evaluate_every=10, learning_rate=0.3))
    assert float(abs(free.squared_norm[-1] / free.squared_norm[0] - 1).max()) > 0.1


@pytest.mark.parametrize("constrained", [False, True])
def test_monitor_on_request_sees_the_run_and_leaves_it_as_it_is(constrained):
    base = Experiment(
        steps=12, evaluate_every=6, width=0.5, precision="float64", epsilon=1e-20, constrained=constrained
    )
    plain, watched = run(base), run(base.replace(monitor_every=1))
    for name in plain.data_vars:
        xr.testing.assert_identical(plain[name], watched[name])
    scale = watched.isel(block=(watched.monitor_kind == "scale").values)
    assert scale.sizes["block"] == 3
    assert float(scale.monitor_relative_residual.max()) < 1e-12  # the constraint too is only a step
    norms = scale.monitor_squared_norm.sel(monitor_step=6).values
    np.testing.assert_allclose(norms[np.isfinite(norms)], plain.squared_norm[1], rtol=1e-12)


def test_divergence_is_recorded_not_raised():
    record = run(Experiment(steps=80, evaluate_every=20, learning_rate=1.0, divergence_bound=2.5))
    assert bool(record.diverged)
    end = int(record.last_step)
    assert 0 <= end < 80
    assert np.isfinite(record.batch_loss[:end]).all()
    assert np.isnan(record.batch_loss[end:]).all()
    assert np.isnan(record.train_loss[record.evaluation_step > end]).all()


@pytest.mark.parametrize("constrained", [False, True])
def test_update_equals_the_equations_written_out(constrained):
    """Oracle: buf ← β buf + (g + k q), q ← q − η buf, in float64, without an optimizer, normalization spelled out."""
    e = Experiment(
        steps=5, evaluate_every=5, precision="float64", schedule="step", milestones=(0.4,), constrained=constrained
    )
    digits = data.load("digits")
    network = networks.build("digits_cnn", digits.image, 10, width=1.0, epsilon=e.epsilon, seed=e.seed).double()
    q = [p.detach().clone() for p in network.parameters()]
    buffers = [torch.zeros_like(p) for p in q]
    norms = [q[i].flatten(1).norm(dim=1) for i in (0, 3, 6)]
    mean = digits.train_images.double().mean()
    scale = digits.train_images.double().std()

    def loss_of(parameters, images, labels):
        x = (images.double() - mean) / scale
        for layer, stride in enumerate((1, 2, 2)):
            weight, gain, bias = parameters[3 * layer : 3 * layer + 3]
            x = F.conv2d(x, weight, stride=stride, padding=1)
            centred = x - x.mean((0, 2, 3), keepdim=True)
            x = centred / (centred.square().mean((0, 2, 3), keepdim=True) + e.epsilon).sqrt()
            x = (gain[:, None, None] * x + bias[:, None, None]).clamp(min=0)
        logits = x.flatten(1) @ parameters[9].T + parameters[10]
        return -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()

    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(digits.train_labels), generator=generator)
    losses = []
    for step in range(e.steps):
        chosen = order[step * 64 : (step + 1) * 64]
        leaves = [p.requires_grad_() for p in q]
        loss = loss_of(leaves, digits.train_images[chosen], digits.train_labels[chosen])
        gradients = torch.autograd.grad(loss, leaves)
        losses.append(loss.item())
        eta = 0.1 if step < 2 else 0.01
        buffers = [0.9 * b + g + 5e-4 * p.detach() for b, g, p in zip(buffers, gradients, q, strict=True)]
        q = [p.detach() - eta * b for p, b in zip(q, buffers, strict=True)]
        if constrained:
            for i, norm in zip((0, 3, 6), norms, strict=True):
                q[i] *= (norm / q[i].flatten(1).norm(dim=1))[:, None, None, None]
    record = run(e)
    np.testing.assert_allclose(record.batch_loss, losses, rtol=1e-10)
    final = torch.cat([q[i].flatten(1).square().sum(1) for i in (0, 3, 6)])
    np.testing.assert_allclose(record.squared_norm[-1], final, rtol=1e-10)


def test_monitored_run_trains_the_same_and_keeps_the_books(tmp_path):
    experiment = Experiment(steps=12, evaluate_every=6)
    plain, watched = run(experiment), run(experiment.replace(monitor_every=3))
    np.testing.assert_array_equal(watched.batch_loss, plain.batch_loss)
    scale = watched.sel(block="0.weight")
    books = scale.monitor_squared_norm.sel(monitor_step=6).dropna("unit")
    expected = plain.squared_norm.sel(evaluation_step=6)[plain.layer.values == "0.weight"]
    np.testing.assert_allclose(np.sort(books), np.sort(expected), rtol=1e-5)
    assert float(abs(scale.monitor_relative_residual).max()) < 1e-3
    watched.to_netcdf(tmp_path / "watched.nc", engine="h5netcdf")
    assert xr.load_dataset(tmp_path / "watched.nc", engine="h5netcdf").equals(watched)


def test_evaluation_does_not_mind_data_sorted_by_class(monkeypatch):
    """Statistics of a few images of one class would be no one's: most data sets come class by class."""
    digits = data.digits()
    order = torch.argsort(digits.train_labels, stable=True)
    by_class = dataclasses.replace(
        digits, train_images=digits.train_images[order], train_labels=digits.train_labels[order]
    )
    monkeypatch.setitem(data.DATASETS, "digits", lambda: by_class)
    _, labels = by_class.sample(100)
    assert set(labels.tolist()) == set(range(10))
    assert torch.equal(labels, by_class.sample(100)[1])
    few, all_of_them = (run(Experiment(steps=60, evaluate_every=60, evaluation_size=size)) for size in (100, 1437))
    assert float(all_of_them["test_accuracy"][-1]) > 0.9
    assert abs(float(few["test_accuracy"][-1] - all_of_them["test_accuracy"][-1])) < 0.05
    assert abs(float(few["train_loss"][-1] - all_of_them["train_loss"][-1])) < 0.1


@pytest.mark.parametrize("run_one", [run, lambda e: run_ensemble([e])[0]], ids=["loop", "ensemble"])
def test_a_loss_that_is_no_number_is_divergence(run_one, monkeypatch):
    """Not only one above the bound: NaN compares as neither above nor below."""
    whole = data.digits()
    endless = dataclasses.replace(whole, scale=torch.zeros_like(whole.scale))  # images divided by zero
    monkeypatch.setitem(data.DATASETS, "digits", lambda: endless)
    record = run_one(Experiment(steps=4, evaluate_every=2, precision="float64", network="mlp"))
    assert bool(record.diverged)
    assert int(record.last_step) == 0
    assert np.isnan(record.batch_loss).all()
    assert np.isnan(record.train_loss[1:]).all()


def test_a_run_whose_loss_becomes_nan_ends_there(monkeypatch):
    """The loss is NaN from step 60 on: the record says so, what came before is kept, and training stops soon."""
    real, calls = LOOP.batch_loss, []

    def spoiled(network, images, labels, experiment):
        loss = real(network, images, labels, experiment)
        calls.append(len(calls))
        return loss * float("nan") if len(calls) > 60 and torch.is_grad_enabled() else loss

    monkeypatch.setattr(LOOP, "batch_loss", spoiled)
    record = run(Experiment(steps=400, evaluate_every=400))
    assert bool(record.diverged)
    end = int(record.last_step)
    assert 0 < end <= 60
    assert np.isfinite(record.batch_loss[:end]).all()
    assert np.isnan(record.batch_loss[end:]).all()
    assert np.isnan(record.test_loss[1:]).all()
    assert len(calls) < 200, "a run that has diverged is not trained to its end"


@pytest.mark.parametrize("run_one", [run, lambda e: run_ensemble([e])[0]], ids=["loop", "ensemble"])
def test_test_metrics_use_the_statistics_of_the_training_batch(run_one):
    """By hand, at step 0: every test image is normalized by what the fixed training batch has, not by its own batch."""
    e = Experiment(steps=0, precision="float64", network="mlp", evaluation_size=50)
    digits = data.digits()
    mean, deviation = digits.train_images.double().mean(), digits.train_images.double().std()
    w1, gain1, bias1, w2, gain2, bias2, head, offset = (
        p.detach().double()
        for p in networks.build("mlp", digits.image, 10, width=1.0, epsilon=e.epsilon, seed=e.seed).parameters()
    )

    def logits(images, statistics):
        x = ((images.double() - mean) / deviation).flatten(1)
        found = []
        for i, (weight, gain, bias) in enumerate(((w1, gain1, bias1), (w2, gain2, bias2))):
            x = x @ weight.T
            if statistics is None:
                found.append((x.mean(0), x.var(0, unbiased=False), len(x)))
                centre, variance = found[-1][:2]
            else:
                centre, variance, count = statistics[i]
                variance = variance * count / (count - 1)  # what is kept for the tests is the unbiased variance
            x = (gain * (x - centre) / (variance + e.epsilon).sqrt() + bias).clamp(min=0)
        return x @ head.T + offset, found

    images, labels = digits.sample(50)
    shown, statistics = logits(images, None)
    record = run_one(e)
    assert float(record.train_loss[0]) == pytest.approx(float(F.cross_entropy(shown, labels)), rel=1e-9)
    tested, _ = logits(digits.test_images, statistics)
    assert float(record.test_loss[0]) == pytest.approx(float(F.cross_entropy(tested, digits.test_labels)), rel=1e-9)
    right = float((tested.argmax(1) == digits.test_labels).double().mean())
    assert float(record.test_accuracy[0]) == pytest.approx(right, rel=1e-12)
    own, _ = logits(digits.test_images, None)
    assert abs(float(F.cross_entropy(own, digits.test_labels) / record.test_loss[0]) - 1) > 1e-4
