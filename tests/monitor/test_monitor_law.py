"""The exact discrete law, for every optimizer and every kind of symmetry, against its definition."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nld
from tests.monitor.zoo import BLOCKS, OPTIMIZERS, generators, inner, loss_of, train, zoo

TERMS = ("dissipation", "kinetic_symmetry_breaking", "weight_decay_term", "residual")
LINEAR = [block.name for block in BLOCKS if block.size == 1]


def watched(name, steps=40, dtype=torch.float64, **options):
    network, optimizer = zoo(name, dtype)
    with nld.Monitor(network, optimizer, BLOCKS, **options) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


@cache
def forty_steps(name):
    return watched(name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_residual_vanishes(name):
    record = forty_steps(name)
    assert record.sizes["step"] == 40
    assert float(record.relative_residual.max()) < 1e-12
    assert float(record.violation.max()) < 1e-12
    assert float(record.squared_step.sel(block="rows").max()) > 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_terms_add_up_to_the_change_of_the_charge(name):
    record = forty_steps(name).sel(block=LINEAR)
    change = record.charge.diff("step")
    explained = sum(record[term] for term in TERMS).sel(step=change.step)
    scale = float(abs(record.charge).max())
    assert float(abs(change - explained).max()) <= 1e-14 + 1e-12 * scale


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_residual_over_a_thousand_steps(name, dtype, bound):
    assert float(watched(name, 1000, dtype).relative_residual.max()) < bound


@pytest.mark.parametrize("name", ["momentum", "adam", "rmsprop"])
def test_law_residual_in_single_precision(name):
    record = watched(name, 100, torch.float32)
    assert record.charge.dtype == np.float32
    assert float(record.relative_residual.max()) < 1e-5


ORACLE = {
    "sgd decay": (None, lambda n: (0.0, 1.0, 1e-2)),
    "momentum": ("momentum_buffer", lambda n: (0.9, 1.0, 1e-2)),
    "dampened": ("momentum_buffer", lambda n: (0.8, 0.7 if n else 1.0, 1e-2)),
    "nesterov": ("momentum_buffer", lambda n: (0.9, 1.0, 1e-2)),
    "adam decay": ("exp_avg", lambda n: (0.9, 1 - 0.9, 1e-2)),
    "adamw": ("exp_avg", lambda n: (0.9, 1 - 0.9, 0.0)),
    "rmsprop": (None, lambda n: (0.0, 1.0, 1e-2)),
}


def naive(name, steps):
    """The books by definition: one unit, one generator and one step at a time."""
    network, optimizer = zoo(name)
    named = dict(network.named_parameters())
    key, numbers = ORACLE[name]
    trail = []
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(network, step).backward()
        decay, c, k = numbers(step)
        q = {n: p.detach().clone() for n, p in named.items()}
        g = {n: p.grad.clone() for n, p in named.items()}
        optimizer.step()
        pi = {n: optimizer.state[p][key].clone() if key else g[n] + k * q[n] for n, p in named.items()}
        moved = {n: p.detach() - q[n] for n, p in named.items()}
        trail.append({"decay": decay, "c": c, "k": k, "q": q, "g": g, "pi": pi, "moved": moved})
    zero = {n: torch.zeros_like(p) for n, p in named.items()}
    out = {}
    for block in BLOCKS:
        for unit in range(block.units):
            for n, now in enumerate(trail):
                before = trail[n - 1] if n else {"pi": zero, "q": now["q"], "moved": zero}
                values = []
                a_now = generators(block, now["q"], unit)
                a_before = generators(block, before["q"], unit)
                for a, b in zip(a_now, a_before, strict=True):
                    da = {name: a[name] - b[name] for name in a}
                    charge, last = inner(now["pi"], a), inner(before["pi"], b)
                    ksb = now["decay"] * inner(before["pi"], da)
                    decayed = now["c"] * now["k"] * inner(now["q"], a)
                    dissipated = (now["decay"] - 1) * last
                    values.append((charge, dissipated, ksb, decayed, charge - last - dissipated - ksb - decayed))
                values = np.array(values)
                combined = values[0] if block.size == 1 else np.linalg.norm(values, axis=0)
                mask = {name: torch.zeros_like(q) for name, q in now["q"].items()}
                for member in block.members:
                    p = now["q"][member.parameter]
                    places = member.rows(torch.arange(p.numel()).view(p.shape))[unit].reshape(-1)
                    mask[member.parameter].view(-1)[places] = 1
                squares = [inner({m: now[v][m] ** 2 for m in mask}, mask) for v in ("q", "moved", "g")]
                q1 = {m: now["q"][m] + now["moved"][m] for m in mask}
                cos = (
                    inner({m: now["q"][m] * q1[m] for m in mask}, mask)
                    / (squares[0] * inner({m: q1[m] ** 2 for m in mask}, mask)) ** 0.5
                )
                out[block.name, unit, n] = (*combined, *squares, np.arccos(np.clip(cos, -1, 1)))
    return out


@pytest.mark.parametrize("name", ORACLE)
def test_books_equal_their_definition(name):
    steps = 4
    record, expected = watched(name, steps), naive(name, steps)
    names = ("charge", *TERMS, "squared_norm", "squared_step", "squared_gradient", "angular_step")
    for (block, unit, step), values in expected.items():
        row = record.sel(block=block, unit=unit, step=step)
        for variable, value in zip(names, values, strict=True):
            loose = 1e-6 if variable == "angular_step" else 1e-11
            assert float(row[variable]) == pytest.approx(value, rel=loose, abs=loose * 1e-1), (
                block,
                unit,
                step,
                variable,
            )


def test_law_rotation_charge_stays_zero_only_in_a_euclidean_metric():
    charge = {
        name: float(watched(name).charge.sel(block="head norms").max()) for name in ("momentum", "nesterov", "adam")
    }
    assert charge["momentum"] < 1e-13
    assert charge["nesterov"] > 1e-8
    assert charge["adam"] > 1e-8


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(["SGD", "Adam", "AdamW", "NAdam"]),
    rate=st.floats(1e-4, 3e-2),
    decay=st.floats(0.0, 0.99),
    weight_decay=st.floats(0.0, 0.1),
    dampening=st.floats(0.0, 0.9),
)
def test_law_holds_for_any_hyperparameters(kind, rate, decay, weight_decay, dampening):
    network, _ = zoo()
    options = {"momentum": decay, "dampening": dampening} if kind == "SGD" else {"betas": (decay, 0.99)}
    optimizer = getattr(torch.optim, kind)(network.parameters(), lr=rate, weight_decay=weight_decay, **options)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 6)
    assert float(monitor.record().relative_residual.max()) < 1e-11


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_an_entry_without_gradient_is_judged_by_the_others(kind):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 5).double()
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01)
    blocks = [
        nld.Block("translation", "bias", (nld.finder.Member("bias", (5,)),)),
        nld.Block("translation", "rows", (nld.finder.Member("weight", (5, 3)),)),
    ]
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(20):
            x = torch.randn(8, 3, dtype=torch.float64)
            optimizer.zero_grad()
            outputs = model(x - x.mean(1, keepdim=True))
            (outputs - outputs.mean(0)).square().sum().backward()  # the bias drops out but for rounding errors
            optimizer.step()
    assert 0 < float(monitor.record().squared_gradient.sel(block="bias").max()) < 1e-20
    assert float(monitor.record().relative_residual.max()) < 1e-12
