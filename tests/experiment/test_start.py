"""Every network has one beginning, and its rounding twin another, one unit in the last place away."""

import numpy as np
import pytest
import torch

from nld.experiment import Experiment
from nld.experiment.datasets import data
from nld.experiment.runs import run
from nld.experiment.runs.fingerprint import fingerprint, parts
from nld.experiment.runs.prepare import initial_network
from nld.experiment.studies import auto_tuning, charges, conservation, monitored, norm_free, random_walk, scheduled
from nld.experiment.training import networks
from nld.figures._data import flow_distances
from nld.learning_rules.rules import gradient_descent
from nld.results import arithmetic


def parameters(network):
    return [p.detach().numpy() for p in network.parameters()]


def experiment(**fields):
    return parameters(initial_network(Experiment(**fields), data.digits()))


def walked():
    pairs = random_walk.pairs(gradient_descent(0.1), start=2.0, steps=1, size=10, units=3)
    return [next(pairs)[0]]


STARTS = {
    **{
        f"{name} {dtype}": lambda name=name, dtype=dtype: parameters(
            networks.build(name, (3, 32, 32), 7, width=0.2, epsilon=1e-8, seed=1, dtype=dtype)
        )
        for name in networks.NETWORKS
        for dtype in (torch.float32, torch.float64)
    },
    "experiment": lambda: experiment(precision="float64", filter_scale=10.0),
    "monitored": lambda: parameters(monitored.setup("mlp", precision="float64")[0]),
    "layer normalization": lambda: parameters(norm_free.build("LayerNorm", dimension=8)),
    "dynamic tanh": lambda: parameters(norm_free.build("DyT", dimension=8, dtype=torch.float64)),
    "charges": lambda: parameters(charges.network(0)),
    "conservation": lambda: parameters(conservation.network(64, 10, 0)),
    "scheduled": lambda: [w.numpy() for w in scheduled.initial_weights(64, 10, 0)],
    "quotient of forms": lambda: [auto_tuning.start(20, 0)],
    "random walk": walked,
    "small tanh network": lambda: [flow_distances.network(0)[1]],
}


@pytest.mark.parametrize("start", STARTS)
def test_a_rounding_twin_starts_one_unit_in_the_last_place_away(monkeypatch, start):
    monkeypatch.delenv("NLD_ROUNDING_TWIN", raising=False)
    ordinary, again = STARTS[start](), STARTS[start]()
    assert all(np.array_equal(one, two) for one, two in zip(ordinary, again, strict=True))
    monkeypatch.setenv("NLD_ROUNDING_TWIN", "1")
    for one, twin in zip(ordinary, STARTS[start](), strict=True):
        assert one.dtype == twin.dtype
        np.testing.assert_array_equal(np.nextafter(one, np.inf), twin)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_scaled_start_is_the_unscaled_one_times_the_factor_in_the_precision_of_training(precision):
    """Rounded in a shorter one, two runs that differ in scale alone start from different directions, and training parts
    them: in 2 of 10 blocks of seeds by 1 % of the loss, where rounding in double precision does nothing."""
    one, ten = (experiment(precision=precision, filter_scale=scale) for scale in (1.0, 10.0))
    assert one[0].dtype == precision
    np.testing.assert_array_equal(one[0] * one[0].dtype.type(10), ten[0])


def test_a_twin_is_another_run_with_other_numbers(monkeypatch):
    short = Experiment(steps=20, evaluate_every=20)
    key, record = short.key, run(short)
    monkeypatch.setenv("NLD_ROUNDING_TWIN", "1")
    assert short.key != key
    twin = run(short)
    assert not twin.batch_loss.equals(record.batch_loss)
    np.testing.assert_allclose(twin.batch_loss, record.batch_loss, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"), [("NLD_THREADS", "2"), ("ATEN_CPU_CAPABILITY", "avx2"), ("OPENBLAS_CORETYPE", "Haswell")]
)
def test_a_chosen_arithmetic_is_in_the_name_of_a_run(monkeypatch, name, value):
    for each in arithmetic.SETTINGS:
        monkeypatch.delenv(each, raising=False)
    key = Experiment().key
    monkeypatch.setenv("NLD_THREADS", "1")  # what it is without saying so
    assert Experiment().key == key
    monkeypatch.setenv(name, value)
    assert Experiment().key != key


def test_the_fingerprint_is_the_same_twice_and_does_not_depend_on_the_threads_of_the_machine():
    first = fingerprint()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert fingerprint() == first
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_the_fingerprint_sees_one_bit(monkeypatch):
    before = parts()
    monkeypatch.setattr(np, "tanh", lambda x, tanh=np.tanh: np.nextafter(tanh(x), 2))
    changed = {name for name, bits in parts().items() if bits != before[name]}
    assert changed == {"numpy functions float32", "numpy functions float64"}
