"""Books of symmetries that do not hold, by hand: the residual is c ⟨g, A(q)⟩ with its sign, and nothing hides in it."""

import math
from functools import cache

import numpy as np
import pytest
import torch

import nld
from nld.finder import Block, Member
from nld.monitor import Adapter
from nld.monitor.optimizers import ADAPTERS
from tests.monitor.zoo import BLOCKS, CLASSES, HEADS, WIDTH, Zoo, generators, inner, loss_of

# Coefficients that are not ±1 tell a coefficient from its square; entries of their own are measured by the others.
OWN = [
    Block("scale", "doubled", (Member("scaled", (5, 4), coefficient=2.0),)),
    Block("rescale", "uneven", (Member("incoming", (7, 5)), Member("outgoing", (WIDTH, 7), (1,), -0.5))),
    Block(
        "translation",
        "together",
        (Member("logits", (1, CLASSES, HEADS), coefficient=0.5), Member("bias", (1, CLASSES), coefficient=-2.0)),
    ),
    Block("translation", "entries", (Member("bias", (1, CLASSES), (1,), coefficient=3.0),)),
]
ALL = [*BLOCKS, *OWN]
MATRICES = [block for block in ALL if block.size > 1]
SCALARS = [block for block in ALL if block.size == 1]
STEPS = 7
SKIPPED = {  # step -> parameters that have no gradient then
    0: ("value", "logits"),
    2: ("scaled", "query_key", "outgoing"),
    3: ("query_key",),
    5: ("bias", "rotated", "value", "output"),
}

HALF = Adapter(None, coefficient=0.3, weight_decay=lambda group: group["weight_decay"])
DECAY = {"weight_decay": 0.05}
# kind, its options, adapter, β, c and the c of the step that makes a buffer
RULES = {
    "dampened": ("SGD", {"momentum": 0.8, "dampening": 0.3, **DECAY}, None, 0.8, 0.7, 1.0),
    "dampened maximize": ("SGD", {"momentum": 0.8, "dampening": 0.3, "maximize": True, **DECAY}, None, 0.8, 0.7, 1.0),
    "adam": ("Adam", {"betas": (0.6, 0.9), **DECAY}, None, 0.6, 0.4, 0.4),
    "adam maximize": ("Adam", {"betas": (0.6, 0.9), "maximize": True, **DECAY}, None, 0.6, 0.4, 0.4),
    "bare": ("SGD", DECAY, None, 0.0, 1.0, 1.0),
    "bare maximize": ("SGD", {"maximize": True, **DECAY}, None, 0.0, 1.0, 1.0),
    "bare, a part": ("SGD", DECAY, HALF, 0.0, 0.3, 0.3),
    "bare, a part, maximize": ("SGD", {"maximize": True, **DECAY}, HALF, 0.0, 0.3, 0.3),
}


def broken_loss(network, step):
    """No parameter of it has a symmetry: each is also weighted, entry by entry."""
    generator = torch.Generator().manual_seed(step)
    weights = (torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in network.parameters())
    return loss_of(network, step) + sum((w * p).sum() for w, p in zip(weights, network.parameters(), strict=True))


@cache
def trained(name, skipping=True):
    """The record, and for each step and parameter q, g, π before and after, the step, β, c with its sign, and c k."""
    kind, options, adapter, beta, later, first = RULES[name]
    torch.manual_seed(0)
    network = Zoo().double()
    optimizer = getattr(torch.optim, kind)(network.parameters(), lr=1e-3, **options)
    rule = adapter or ADAPTERS[kind]
    key = rule.momentum_buffer(optimizer.param_groups[0]) if callable(rule.momentum_buffer) else rule.momentum_buffer
    sign = -1.0 if options.get("maximize") else 1.0
    trail = []
    with nld.Monitor(network, optimizer, ALL, adapter=adapter) as monitor:
        for step in range(STEPS):
            optimizer.zero_grad()
            broken_loss(network, step).backward()
            skipped = SKIPPED.get(step, ()) if skipping else ()
            row = {}
            for label, p in network.named_parameters():
                if label in skipped:
                    p.grad = None
                buffer = optimizer.state[p].get(key) if key else None
                c = later if buffer is not None or key is None else first
                row[label] = {
                    "q": p.detach().clone(),
                    "g": torch.zeros_like(p) if p.grad is None else p.grad.clone(),
                    "before": torch.zeros_like(p) if buffer is None else buffer.clone(),
                    "numbers": (beta, sign * c, 0.05 * c) if p.grad is not None else (1.0 if key else 0.0, 0.0, 0.0),
                }
            optimizer.step()
            for label, p in network.named_parameters():
                its = row[label]
                its["moved"] = p.detach() - its["q"]
                its["after"] = its["numbers"][1] * its["g"] + its["numbers"][2] * its["q"]
                if key:
                    its["after"] = optimizer.state[p].get(key, torch.zeros_like(p)).clone()
                elif trail:
                    its["before"] = trail[-1][label]["after"]
            trail.append(row)
    return monitor.record(), trail, key is None


def by_generator(block, unit, trail, step):
    """charge, dissipation, kinetic symmetry breaking, weight decay, c ⟨g, A⟩ and ⟨g, A⟩ for each generator."""
    now, last = trail[step], trail[max(step - 1, 0)]
    here = list(generators(block, {name: its["q"] for name, its in now.items()}, unit))
    there = list(generators(block, {name: its["q"] for name, its in last.items()}, unit))
    for a, b in zip(here, there, strict=True):
        sums = np.zeros(6)
        for name in a:
            its = now[name]
            beta, c, coupled = its["numbers"]
            before = float((its["before"] * b[name]).sum()) if step else 0.0
            moved = float((its["before"] * (a[name] - b[name])).sum()) if step else 0.0
            g = float((its["g"] * a[name]).sum())
            decayed = coupled * float((its["q"] * a[name]).sum())
            charge = float((its["after"] * a[name]).sum())
            sums += (charge, (beta - 1) * before, beta * moved, decayed, c * g, g)
        yield sums


def rows(block, its, what, unit):
    """One vector of a unit, over its members, as (member's coefficient, values)."""
    return [(m.coefficient, m.rows(its[m.parameter][what])[unit].reshape(-1)) for m in block.members]


@pytest.mark.parametrize("name", RULES)
def test_law_the_residual_of_a_broken_symmetry_is_what_the_gradient_does_along_it(name):
    record, trail, _ = trained(name)
    terms = ("charge", "dissipation", "kinetic_symmetry_breaking", "weight_decay_term", "residual")
    written = {term: record[term].values for term in terms}
    seen = 0.0
    for number, block in enumerate(ALL):
        for unit in range(block.units):
            for step in range(STEPS):
                values = np.array(list(by_generator(block, unit, trail, step)))
                expected = values[0] if block.size == 1 else np.linalg.norm(values, axis=0)
                for term, value in zip(terms, expected, strict=False):
                    got = written[term][step, number, unit]
                    assert got == pytest.approx(value, rel=1e-9, abs=1e-12), (block.name, unit, step, term)
                seen = max(seen, abs(expected[4]))
    assert seen > 0.1, "the symmetries are broken"


@pytest.mark.parametrize("name", RULES)
def test_law_violation_and_relative_residual_are_cosines(name):
    """|⟨g, A⟩| / (|g| |A|), |residual| / (|π| |A|): of entries on their own with the mean square of all entries."""
    record, trail, bare = trained(name)
    violation, relative = record.violation.values, record.relative_residual.values
    for step in range(STEPS):
        now = trail[step]
        squares = {}
        for block in ALL:
            for unit in range(block.units):
                gradient = sum(float(v.square().sum()) for _, v in rows(block, now, "g", unit))
                size = sum(
                    c**2 * (v.numel() if block.kind == "translation" else float(v.square().sum()))
                    for c, v in rows(block, now, "q", unit)
                )
                momentum = sum(float(v.square().sum()) for _, v in rows(block, now, "after", unit))
                if bare:  # π is gone when it is asked for, and its length is bounded
                    parts = [(m, m.rows(now[m.parameter]["g"])[unit], m.rows(now[m.parameter]["q"])[unit])
                             for m in block.members]  # fmt: skip
                    numbers = [now[m.parameter]["numbers"] for m in block.members]
                    if block.size == 1:
                        momentum = sum(
                            float(abs(c) * g.norm() + k * q.norm()) ** 2
                            for (_, c, k), (_, g, q) in zip(numbers, parts, strict=True)
                        )
                    else:
                        momentum = np.mean([c for _, c, _ in numbers]) ** 2 * gradient
                count = sum(v.numel() for _, v in rows(block, now, "q", unit))
                squares[block.name, unit] = (gradient, momentum, size, count)
        alone = [squares[b.name, u] for b in SCALARS for u in range(b.units)]
        typical = np.array(alone)[:, :2].sum(0) / sum(each[3] for each in alone)
        for number, block in enumerate(ALL):
            for unit in range(block.units):
                gradient, momentum, size, count = squares[block.name, unit]
                if count == 1:
                    gradient, momentum = max(gradient, typical[0]), max(momentum, typical[1])
                values = np.array(list(by_generator(block, unit, trail, step)))
                along, residual = np.linalg.norm(values[:, 5]), np.linalg.norm(values[:, 4])
                expected = along / math.sqrt(gradient * size) if gradient * size else 0.0
                got = violation[step, number, unit]
                assert got == pytest.approx(expected, rel=1e-9, abs=1e-12), (block.name, unit, step)
                expected = residual / math.sqrt(momentum * size) if momentum * size else 0.0
                got = relative[step, number, unit]
                assert got == pytest.approx(expected, rel=1e-9, abs=1e-12), (block.name, unit, step)


CHI = {
    "adam": ("Adam", {"betas": (0.6, 0.9)}, 0.6, 0.4),
    "dampened": ("SGD", {"momentum": 0.75, "dampening": 0.5, "weight_decay": 0.01}, 0.75, 0.5),
    "nesterov": ("SGD", {"momentum": 0.5, "nesterov": True}, 0.5, 1.0),
}


@pytest.mark.parametrize("name", CHI)
def test_law_gradient_autocorrelation_by_hand(name):
    """(1 − β²) Σ|π|² / (c² Σ|g|²), over the last 5/(1 − β) steps or all that there are."""
    kind, options, beta, c = CHI[name]
    torch.manual_seed(0)
    network = Zoo().double()
    optimizer = getattr(torch.optim, kind)(network.parameters(), lr=0.01, **options)
    momenta, gradients = [], []
    with nld.Monitor(network, optimizer, [BLOCKS[0], BLOCKS[3]]) as monitor:
        for step in range(40):
            optimizer.zero_grad()
            broken_loss(network, step).backward()
            gradients.append(network.scaled.grad.square().sum(1).numpy().copy())
            optimizer.step()
            buffer = optimizer.state[network.scaled]["exp_avg" if kind == "Adam" else "momentum_buffer"]
            momenta.append(buffer.square().sum(1).numpy().copy())
    chi = monitor.record().gradient_autocorrelation.sel(block="rows").isel(unit=slice(5))
    window = round(5 / (1 - beta))
    for step in range(40):
        some = slice(max(step - window + 1, 0), step + 1)
        expected = (1 - beta**2) * np.sum(momenta[some], axis=0) / (c**2 * np.sum(gradients[some], axis=0))
        np.testing.assert_allclose(chi.sel(step=step), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("SGD", {}), ("Adam", {"betas": (0.0, 0.9)}), ("RMSprop", {}), ("Adamax", {"betas": (0, 0.9)})],
)
def test_steps_without_memory_have_no_autocorrelation(kind, options):
    """χ is 1, also where weight decay makes π longer than the gradient."""
    network = Zoo().double()
    optimizer = getattr(torch.optim, kind)(network.parameters(), lr=0.01, weight_decay=0.3, **options)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(8):
            optimizer.zero_grad()
            broken_loss(network, step).backward()
            optimizer.step()
    chi = monitor.record().gradient_autocorrelation
    np.testing.assert_allclose(chi.values[np.isfinite(chi.values)], 1.0, rtol=1e-12)


def test_the_definitions_agree_with_each_other():
    """The hand calculation itself: its terms add up, with inner products taken by another way."""
    _, trail, _ = trained("dampened")
    for block in SCALARS:
        for step in range(1, STEPS):
            ((charge, dissipation, breaking, decay, residual, _),) = by_generator(block, 0, trail, step)
            (a,) = generators(block, {n: its["q"] for n, its in trail[step - 1].items()}, 0)
            before = inner({name: trail[step - 1][name]["after"] for name in a}, a)
            assert charge - before == pytest.approx(dissipation + breaking + decay + residual, rel=1e-9, abs=1e-12)
