"""The integral laws in training: every number that is claimed for them, and verdicts that can turn."""

from functools import cache

import numpy as np
import pytest
import torch

from nld import symmetry
from nld.experiment.datasets import data
from nld.experiment.studies import charges
from nld.experiment.training.loop import cross_entropy
from nld.figures import fig_neural_mechanics as figure
from nld.figures._data import charge_laws
from nld.inference.verdict import PARTLY, REFUTED, REPRODUCED
from nld.learning_rules.rules import heavy_ball
from nld.theory.integral_laws import oscillator
from tests.figures.stored import whole_reference

slow = pytest.mark.slow
RUNS = {  # learning rate, momentum, weight decay, time, and how much the integral law may miss
    "no decay": (0.1, 0.0, 0.0, 60, 5e-4),
    "small decay": (0.1, 0.0, 5e-4, 60, 5e-4),
    "decay": (0.1, 0.0, 1e-2, 60, 5e-4),
    "momentum": (0.02, 0.9, 1e-3, 10, 2e-2),
    "swinging": (0.05, 0.99, 5e-3, 30, 2e-2),
}
ACCEPTED = [*RUNS, pytest.param("momentum, longer", marks=slow), pytest.param("decay, half the rate", marks=slow)]
RUNS |= {"momentum, longer": (0.02, 0.9, 1e-3, 60, 2e-2), "decay, half the rate": (0.05, 0.0, 1e-2, 60, 5e-4)}


@cache
def trained(eta, beta, k, end, seed=0):
    return charges.train_network(eta, round(end / eta), momentum=beta, weight_decay=k, seed=seed)


def errors(eta, beta, k, end):
    """Largest error of each law, relative to the largest charge: {kind: {law: error}}."""
    run = trained(eta, beta, k, end)
    found = charges.charges(run.position)
    told = {kind: charge_laws.predictions(heavy_ball(eta, beta, k), kind, run) for kind in charge_laws.KINDS}
    return {
        kind: {law: abs(value - found[kind]).max() / abs(found[kind]).max() for law, value in told[kind].items()}
        for kind in charge_laws.KINDS
    }


@pytest.mark.parametrize("name", ACCEPTED)
def test_fig_neural_mechanics_laws_in_training(name):
    *run, bound = RUNS[name]
    found = errors(*run)
    for kind, error in found.items():
        assert error["exact"] < 1e-11, kind
        assert error["integral"] < bound, kind
    assert found["scale"]["gradient flow"] > 0.05
    measured = trained(*run)
    assert measured.loss[-20:].mean() < 0.5 * measured.loss[:10].mean()


@pytest.mark.parametrize("name", ACCEPTED)
def test_fig_neural_mechanics_gradients_are_orthogonal_at_every_step(name):
    run = trained(*RUNS[name][:4])
    for kind, violation in charges.along(run.gradient, [q[:-1] for q in run.position]).items():
        assert abs(violation).max() < 1e-14, kind
    # the same gradients are not orthogonal to what no symmetry moves
    assert abs(run.gradient[1].sum(-1)).max() > 1e-4
    assert abs(np.einsum("nij,nij->ni", run.gradient[1], run.position[1][:-1])).max() > 1e-4


@pytest.mark.parametrize("seed", [0, 1])
def test_fig_neural_mechanics_hessians_are_constrained(seed):
    run = trained(0.1, 0.0, 1e-2, 60) if seed == 0 else trained(0.1, 0.0, 1e-2, 1, seed)
    for at in (0, -1):
        assert max(charges.hessian_constraints([q[at] for q in run.position]).values()) < 1e-13


def test_fig_neural_mechanics_hessian_constraint_can_fail(monkeypatch):
    position = [q[0] for q in trained(0.1, 0.0, 1e-2, 1, 1).position]
    whole = charges._generator
    monkeypatch.setattr(charges, "_generator", lambda kind, unit, v: (*whole(kind, unit, v)[:4], v[4]))
    assert min(charges.hessian_constraints(position).values()) > 1e-4


@pytest.mark.parametrize("end", [30, pytest.param(60, marks=slow)])
def test_fig_neural_mechanics_error_halves_with_the_learning_rate(end):
    coarse, middle, fine = (errors(eta, 0.0, 1e-2, end) for eta in (0.1, 0.05, 0.025))
    for kind in charge_laws.KINDS:
        for one, other in ((coarse, middle), (middle, fine)):
            slope = np.log2(one[kind]["integral"] / other[kind]["integral"])
            assert slope == pytest.approx(1, abs=0.15), kind


def test_fig_neural_mechanics_translation_survives_finite_steps_and_scale_does_not():
    found = charges.charges(trained(0.1, 0.0, 0.0, 60).position)
    assert abs(found["translation"] - found["translation"][0]).max() < 1e-13
    assert (np.diff(found["scale"], axis=0) > 0).all()


def test_fig_neural_mechanics_the_right_start_helps_most_where_momentum_is_long():
    found = errors(*RUNS["swinging"][:4])
    assert found["translation"]["started"] < found["translation"]["integral"] / 100
    for kind in ("scale", "rescale"):
        assert found[kind]["started"] < found[kind]["integral"] / 2


def test_fig_neural_mechanics_the_network_has_the_symmetries():
    """By finite transforms, and as many as the library's own search finds."""
    model, source = charges.network(3), data.digits()
    images, labels = source.normalized(source.train_images[:64], torch.float64), source.train_labels[:64]
    blocks = charges.symmetries(model)
    units = {kind: sum(block.units for block in blocks if block.kind == kind) for kind in charge_laws.KINDS}
    found = charges.charges([p.detach().numpy() for p in model.parameters()])
    assert units == {kind: values.shape[-1] for kind, values in found.items()}
    before = cross_entropy(model, images, labels).item()
    first, second, bias, last, _ = (p.data for p in model.parameters())
    last[:] = torch.stack(symmetry.translation([1] * 10).transform(list(last), 0.3))
    first[2] = symmetry.scale().transform([first[2]], 0.7)[0]
    parts = symmetry.rescale((1, 1, -1)).transform([second[1], bias[1], last[:, 1]], 0.5)
    second[1], bias[1], last[:, 1] = parts
    assert cross_entropy(model, images, labels).item() == pytest.approx(before, rel=1e-12)
    last[0] *= 2
    assert abs(cross_entropy(model, images, labels).item() - before) > 1e-4


@pytest.fixture
def stored():
    stored = whole_reference("fig-neural-mechanics")
    return stored.isel(arithmetic=0, drop=True)


def labels_of(stored):
    return {verdict.claim: verdict.label for verdict in figure.judge(stored)}


def test_fig_neural_mechanics_rules_on_its_claims(stored):
    assert labels_of(stored) == {claim.name: REPRODUCED for claim in figure.CLAIMS}


def test_fig_neural_mechanics_a_swing_longer_than_the_run_is_not_judged(stored):
    """Just above its critical value a sum crosses zero after the end of the run: no crossing refutes nothing."""
    critical = float(stored["critical_weight_decay"].isel(column=4).sel(kind="translation"))
    name = "momentum-makes-charges-oscillate"
    for times, label in ((1.1, None), (2.0, REFUTED)):
        decay = stored["weight_decay"].values.copy()
        decay[4] = times * critical
        near = stored.assign_coords(weight_decay=("column", decay))
        near["crossings"][{"column": 4}] = 0
        assert labels_of(near).get(name) == label
        near["crossings"][{"column": 3}] = 1  # below its critical value nothing may swing
        assert labels_of(near)[name] == REFUTED


def test_fig_neural_mechanics_first_zero_is_the_oscillators(stored):
    """The first sign change of the free solution on a fine grid."""
    stored = stored.assign_coords(weight_decay=("column", [0, 0.0025, 0.01, 0.001, 0.002]))
    found = charge_laws.first_zero(stored.isel(column=slice(3, 5))).values
    time = np.linspace(0, 60, 60_001)
    free = oscillator(heavy_ball(0.05, 0.99, 0.002), "translation").free(time)
    assert found[0] == np.inf
    assert found[1] == pytest.approx(time[np.argmax(free < 0)], abs=2e-3)


@pytest.mark.parametrize(
    ("variable", "where", "value", "claim", "label"),
    [
        ("gradient_constraint", {"column": 1}, 1e-6, "symmetry-constrains-gradient-and-hessian", PARTLY),
        ("hessian_constraint", {"column": 1}, 1e-6, "symmetry-constrains-gradient-and-hessian", PARTLY),
        ("largest_error", {"column": 2, "law": 3, "kind": 1}, 1e-3, "finite-rates-break-conservation-laws", PARTLY),
        ("largest_error", {"column": 2, "law": 3, "kind": 2}, 1e-3, "finite-rates-break-conservation-laws", PARTLY),
        ("largest_error", {"column": 1, "law": 1}, 1e-3, "integral-laws-predict-charges", PARTLY),
        ("largest_error", {"column": 1, "law": 1}, 1e-1, "integral-laws-predict-charges", REFUTED),
        ("crossings", {"column": 3}, 2, "momentum-makes-charges-oscillate", REFUTED),
        ("crossings", {"column": 4}, 0, "momentum-makes-charges-oscillate", REFUTED),
    ],
)
def test_fig_neural_mechanics_verdicts_turn(stored, variable, where, value, claim, label):
    stored[variable][where] = value
    assert labels_of(stored)[claim] == label


def test_fig_neural_mechanics_does_not_rule_on_swinging_where_nothing_should_swing(stored):
    stored["critical_weight_decay"][:] = 1.0
    stored["crossings"][:] = 0
    assert "momentum-makes-charges-oscillate" not in labels_of(stored)


def test_fig_neural_mechanics_crossings_ignore_rounding():
    time = np.linspace(0, 10, 400)
    columns = np.stack([np.cos(time), np.exp(-time), 1e-12 * np.cos(9 * time)], axis=1)
    assert charge_laws.crossings(columns) == 3
    assert charge_laws.crossings(columns[:, 1:]) == 0
