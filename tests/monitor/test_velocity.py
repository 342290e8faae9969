"""The velocity along a symmetry: by its definition under every rule, and minus the charge under SGD alone."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import nld
from nld.figures._render.monitor_report import draw_velocity, pictures
from nld.finder import Block, Member
from nld.monitor.velocity import metric_drift, moved_share, velocity_along_symmetry
from tests.monitor.zoo import BLOCKS, OPTIMIZERS, generators, inner, train, zoo

LINEAR = [block for block in BLOCKS if block.kind in ("scale", "rescale")]
MATRICES = [block.name for block in BLOCKS if block.kind in ("general_linear", "rotation")]
# Rules whose step is -eta pi: there velocity and charge are one number.
FOLLOWING = ("sgd", "sgd decay", "momentum", "dampened", "maximize", "bare maximize", "loops", "foreach", "fused")


def run(name: str, steps: int = 6, blocks=BLOCKS, **options):
    """A record and, by definition, ⟨Δq_n/η, A(q_n)⟩ of each block of one charge a unit: {name: (steps, units)}."""
    network, optimizer = zoo(name)
    rate = optimizer.param_groups[0]["lr"]
    single = [block for block in blocks if block.name not in MATRICES]
    by_hand: dict[str, list] = {block.name: [] for block in single}
    named = dict(network.named_parameters())
    with nld.Monitor(network, optimizer, blocks, **options) as monitor:
        for step in range(steps):
            before = {key: value.detach().clone() for key, value in named.items()}
            train(network, optimizer, 1, first=step)
            moved = {key: value.detach() - before[key] for key, value in named.items()}
            for block in single:
                units = (next(generators(block, before, unit)) for unit in range(block.units))
                by_hand[block.name].append([inner(moved, generator) / rate for generator in units])
    return monitor.record(), {key: np.array(values) for key, values in by_hand.items()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_velocity_is_the_step_on_the_generator(name):
    record, by_hand = run(name)
    velocity = velocity_along_symmetry(record)
    for block in BLOCKS:
        found = velocity.sel(block=block.name).values[:, : block.units]
        if block.name in MATRICES:
            assert np.isnan(found).all()  # not known, and said so
            continue
        expected = by_hand[block.name]
        if block.kind == "translation":  # known from the next step on
            found, expected = found[:-1], expected[:-1]
        # Sums of tens of weights round at their own size, and a step is a difference of weights.
        rounding = 32 * np.finfo(float).eps * max(1.0, float(record.squared_norm.max()))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=rounding / float(record.learning_rate[0, 0]))


@pytest.mark.parametrize("name", [*FOLLOWING, "nesterov", "rmsprop", "adam", "adamw", "nadam", "adagrad"])
def test_velocity_is_minus_the_charge_of_rules_that_step_along_their_momentum_and_of_no_others(name):
    record, _ = run(name)
    velocity = velocity_along_symmetry(record)
    known = velocity.notnull() & velocity.kind.isin(["scale", "rescale"])
    bound = (
        1e-12 * np.sqrt(float((record.squared_step * record.squared_norm).max())) / float(record.learning_rate[0, 0])
    )
    gap = abs(velocity + record.charge).where(known)
    if name in FOLLOWING:
        assert float(gap.max()) <= bound
    else:
        for kind in ("scale", "rescale"):
            assert float(gap.sel(block=(record.kind == kind).values).max()) > 1e6 * bound


def test_bare_gradients_have_no_charge_where_steps_have_a_velocity():
    """RMSProp's contradiction: its books stay empty, and yet its steps go along the symmetry."""
    network, _ = zoo()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=0.002)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 10)
    record = monitor.record().sel(block=["rows", "relu"])
    size = np.sqrt(record.squared_gradient * record.squared_norm)
    assert float((abs(record.charge) / size).max()) < 1e-12
    assert float(moved_share(record).min()) > 1e-4


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
@pytest.mark.parametrize("euclidean", [False, True])
def test_a_finding_blames_the_metric_only_where_there_is_one(options, euclidean):
    """A huge ε makes RMSProp's metric a number: what its steps then do along the weights, momentum does."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(30, 60, dtype=torch.float64))
    shape = torch.logspace(-2, 0, 60, dtype=torch.float64)  # entries of unequal size, which RMSProp evens out
    rate, epsilon = (1e2, 1e4) if euclidean else (1e-4, 1e-8)
    optimizer = torch.optim.RMSprop([weight], lr=rate, eps=epsilon, **options)
    block = Block("scale", "layer", (Member("w", (30, 60)),))
    with nld.Monitor(nn.ParameterDict({"w": weight}), optimizer, [block]) as monitor:
        for _ in range(150):
            q = weight.detach()
            noise = torch.randn_like(q) * shape
            weight.grad = noise - q * (noise * q).sum(1, keepdim=True) / q.square().sum(1, keepdim=True)
            optimizer.step()
    record = monitor.record()
    texts = [finding.text for finding in nld.monitor.findings(record) if "breaks the conservation" in finding.text]
    assert bool(texts) is not euclidean
    # The number of the finding is the mean of the curve beside it.
    curve = draw_velocity(record).axes[0].lines[0].get_ydata()
    share, _ = metric_drift(record)
    assert float(share[0]) == pytest.approx(float(np.mean(curve)), rel=1e-12)
    assert all(f"by {np.mean(curve):.1%} a step" in text for text in texts)


@pytest.mark.parametrize(("name", "whose"), [("momentum", "minus the velocity"), ("adamw", "another number")])
def test_the_page_says_whose_charges_it_shows_and_draws_the_velocity_where_it_is_another(name, whose, unrendered):
    record, _ = run(name, 4)
    drawn = pictures(record)
    assert whose in drawn["terms"][2]
    assert ("velocity" in drawn) == (name == "adamw")
    texts = [f.text for f in nld.monitor.findings(record) if "do not follow the charges" in f.text]
    assert len(texts) == (name == "adamw")


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adamw"])
def test_older_records_have_the_velocity_of_scale_too(name):
    record, _ = run(name, 8, LINEAR)
    older = velocity_along_symmetry(record.drop_vars("velocity_along_symmetry")).sel(block="rows")
    now = record.velocity_along_symmetry.sel(block="rows")
    assert np.isnan(older[-1]).all()  # no step after it
    np.testing.assert_allclose(older[:-1, :5], now[:-1, :5], rtol=1e-9)
    with_gap = record.drop_vars("velocity_along_symmetry").isel(step=[0, 1, 3, 4, 5])
    assert np.isnan(velocity_along_symmetry(with_gap).sel(block="rows")[[1, 4]]).all()


def test_means_over_units_and_sparse_steps_keep_it():
    every, _ = run("adamw", 7)
    means, _ = run("adamw", 7, units="mean", every=3)
    expected = every.velocity_along_symmetry.sel(step=means.step).mean("unit")
    xr.testing.assert_allclose(means.velocity_along_symmetry.isel(unit=0, drop=True), expected, rtol=1e-12)
