"""Forecasts: the recursion step by step, walks whose statistics are known, equilibria of the theory, and real runs."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import nld
from nld.advice.extrapolation import damped_trend, slowing
from nld.advice.norm_dynamics import NormLaw
from nld.theory.rotation import rotational_equilibrium
from tests.advice.runs import Lion, constant, cosine, run, stable_then_decay

UNITS, FEATURES = 40, 64
RULES = {
    "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.003, "weight_decay": 1.0, "betas": (0.9, 0.95)}),
    "Lion": (Lion, {"lr": 0.002, "weight_decay": 2.0}),
    "Muon": (torch.optim.Muon, {"lr": 0.02, "weight_decay": 0.3}),
}


class Walk(nn.Module):
    """Rows that a normalization divides by their norms."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.5 * torch.randn(UNITS, FEATURES) / FEATURES**0.5)

    def forward(self, x):
        return x @ (self.weight / self.weight.norm(dim=1, keepdim=True)).T


def walk(rule, schedule, steps, *, every=1, options=None, follows=False, before=0):
    """A record of a walk after some steps ``before``: its gradient is noise orthogonal to each row, of size 1/|q|."""
    torch.manual_seed(0)
    model = Walk()
    kind, chosen = RULES[rule]
    optimizer = kind(model.parameters(), **{**chosen, **(options or {})})
    rate, decay = optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]
    blocks = nld.find_symmetries(model, torch.randn(8, FEATURES))
    adapter = nld.monitor.ADAPTERS["Lion"] if rule == "Lion" else None

    def train(numbers):
        for step in numbers:
            factor = schedule(max(step, 0), steps)
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.param_groups[0]["weight_decay"] = decay * (factor if follows else 1)
            w = model.weight.detach()
            noise = torch.randn(w.shape) / (FEATURES - 1) ** 0.5
            noise -= w * (noise * w).sum(1, keepdim=True) / w.square().sum(1, keepdim=True)
            model.weight.grad = noise / w.norm(dim=1, keepdim=True)
            optimizer.step()

    train(range(-before, 0))
    with nld.Monitor(model, optimizer, blocks, every=every, adapter=adapter) as monitor:
        train(range(steps))
    return monitor.record()


def parted(record, schedule, steps, share=4, **options):
    """The forecast from the first part of a record."""
    first = record.sel(step=record.step < steps // share)
    return nld.forecast(first, lambda step: schedule(step, steps), steps, **options)


def late(data, name, steps):
    """Root mean square over units and over the steps at nine tenths of a run."""
    part = data[name].sel(step=slice(int(0.85 * steps), int(0.9 * steps)))
    return float(np.sqrt((part**2).mean()))


@pytest.mark.parametrize("power", [1, 2])
def test_law_stretches_of_steps_are_its_steps(power):
    rng = np.random.default_rng(0)
    law = NormLaw(power, rng.uniform(0.01, 0.1, 50), rng.uniform(0, 0.5, 50), 0.8, 0.5)
    edges = np.array([2, 3, 10, 31, 50])
    kept, pushed = law.between(edges)
    y, source = 1.3, 0.7
    rates = law.learning_rate * (0.5 / (1 - 0.8) if power == 2 else 1.0)

    def squared(n):
        """h_n² with the rates of earlier steps, the first of them before the start, too."""
        past = sum((1 - 0.8) * 0.8 ** (j - 1) * rates[max(n - j, 0)] for j in range(1, 300))
        return rates[n] * (rates[n] * (1 - 0.8) + 2 * 0.8 * past) / (1 + 0.8)

    for stretch, (start, stop) in enumerate(itertools.pairwise(edges)):
        at_once = kept[stretch] * y + pushed[stretch] * source
        for n in range(start, stop):
            eta, k = law.learning_rate[n], law.weight_decay[n]
            if power == 1:
                y = (1 - eta * k) ** 2 * y + squared(n) * source
            else:
                y = np.exp(-4 * rates[n] * k) * y + 2 * squared(n) * source
        assert at_once == pytest.approx(y, rel=1e-12)


@pytest.mark.parametrize("power", [1, 2])
def test_law_the_equilibrium_stands_still_and_is_approached_at_its_rate(power):
    law = NormLaw(power, np.full(4000, 0.05), np.full(4000, 0.1), 0.5)
    kept, pushed = law.between(np.array([0, 1, 4000]))
    rest = law.stationary()[0] * 0.7
    assert kept[0] * rest + pushed[0] * 0.7 == pytest.approx(rest, rel=1e-12)
    after = NormLaw(power, np.full(1, 0.05), np.full(1, 0.1), 0.5).between(np.array([0, 1]))
    assert (after[0][0] * (rest + 0.01) + after[1][0] * 0.7 - rest) / 0.01 == pytest.approx(
        np.exp(-1 / law.relaxation()[0]), rel=1e-9
    )


@pytest.mark.parametrize(
    ("rule", "schedule"),
    [
        *itertools.product(("SGD", "AdamW"), (constant, cosine, stable_then_decay)),
        *itertools.product(("Lion", "Muon"), (stable_then_decay,)),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in itertools.product(("Lion", "Muon"), (constant, cosine))
        ),
    ],
)
def test_law_of_a_walk_the_rest_is_forecast(rule, schedule):
    steps = 1200
    record = walk(rule, schedule, steps, before=400)
    ahead = parted(record, schedule, steps)
    assert (ahead.step.values == np.arange(steps // 4, steps)).all()
    final = ahead.isel(step=-1), record.isel(step=-1)
    errors = np.abs(np.sqrt(final[0].squared_norm / final[1].squared_norm) - 1)
    assert float(errors.median()) < 0.05
    inside = (final[1].squared_norm > final[0].squared_norm_low) & (final[1].squared_norm < final[0].squared_norm_high)
    assert float(inside.mean()) >= 0.8
    assert late(ahead, "angular_step", steps) == pytest.approx(late(record, "angular_step", steps), rel=0.07)
    gradient = float(np.sqrt(record.squared_gradient.sel(step=slice(1020, 1080)).mean()))
    assert late(ahead, "gradient_norm", steps) == pytest.approx(gradient, rel=0.07)
    assert np.allclose(ahead.effective_learning_rate, _rates(record, ahead) / ahead.squared_norm, rtol=1e-6)


def _rates(record, ahead):
    return record.learning_rate.sel(step=ahead.step).transpose("step", "block").values[:, :, None]


@pytest.mark.parametrize(
    ("rule", "options"),
    [("SGD", {}), ("AdamW", {"weight_decay": 2.0, "betas": (0.9, 0.99)}), ("Lion", {"weight_decay": 5.0})],
)
def test_eq_equilibria_of_the_theory_are_where_a_forecast_ends(rule, options):
    steps = 1000
    ahead = parted(walk(rule, constant, steps, options=options), constant, steps, share=2)
    chosen = {**RULES[rule][1], **options}
    eta, k = chosen["lr"], chosen["weight_decay"]
    known = {
        "SGD": lambda: nld.heavy_ball(eta, chosen["momentum"], k),
        "AdamW": lambda: nld.learning_rules.adam(eta, 0.9, 0.99, k, decoupled=True),
        "Lion": lambda: nld.learning_rules.lion(eta, 0.9, 0.95, k),
    }
    law = rotational_equilibrium(known[rule](), squared_gradient=1.0, size=FEATURES)
    assert float(ahead.squared_norm.isel(step=-1).mean()) == pytest.approx(law.squared_norm, rel=0.1)
    assert float(ahead.equilibrium_squared_norm.isel(step=-1).mean()) == pytest.approx(law.squared_norm, rel=0.1)
    assert float(ahead.angular_step.isel(step=-1).mean()) == pytest.approx(law.angular_step, rel=0.1)


@pytest.mark.parametrize("rule", ["SGD", "AdamW", "Muon"])
def test_law_without_drift_equilibria_follow_the_rate_alone(rule):
    steps = 600
    record = walk(rule, stable_then_decay, steps)
    still = parted(record, stable_then_decay, steps, drift=False)
    drifting = parted(record, stable_then_decay, steps)
    power = 2 if rule == "SGD" else 1
    for data, stands in ((still, True), (drifting, False)):
        per_rate = data.equilibrium_squared_norm**power / _rates(record, data)
        early, late = (per_rate.sel(step=step).mean() for step in (steps // 4, 7 * steps // 10))
        assert (abs(float(late / early) - 1) < 1e-6) == stands


def test_a_record_with_gaps_says_the_same():
    steps = 1200
    whole, gaps = walk("AdamW", cosine, steps), walk("AdamW", cosine, steps, every=5)
    dense, sparse = parted(whole, cosine, steps), parted(gaps, cosine, steps)
    assert (np.diff(sparse.step) == 5).all()
    both = sparse.step.values[-1]
    ratio = sparse.squared_norm.sel(step=both) / dense.squared_norm.sel(step=both)
    assert float(np.abs(np.log(ratio)).max()) < 0.1


def test_gradients_rise_at_the_end_by_the_schedule_and_not_with_corrected_decay():
    steps, schedule, options = 1500, stable_then_decay, {"weight_decay": 3.0}
    plain = parted(walk("AdamW", schedule, steps, options=options), schedule, steps, share=3)
    record = walk("AdamW", schedule, steps, options=options, follows=True)
    corrected = parted(record, schedule, steps, share=3, decay_follows_schedule=True)
    for data, low, high in ((plain, 1.3, 10.0), (corrected, 0.9, 1.1)):
        gradient = data.gradient_norm.median(["block", "unit"])
        assert low < float(gradient[-1] / gradient.sel(step=int(0.8 * steps))) < high
    assert any("that is your schedule, not divergence" in f.text for f in nld.advice.forecast_findings(plain))
    assert not any("your schedule" in f.text for f in nld.advice.forecast_findings(corrected))


def test_findings_say_whether_norms_settle():
    slow = walk("SGD", constant, 400, options={"weight_decay": 1e-4})
    (finding,) = nld.advice.forecast_findings(parted(slow, constant, 400, share=2))
    assert "this run will end before its norm settles" in finding.text
    fast = walk("SGD", constant, 800, options={"weight_decay": 0.2})
    (finding,) = nld.advice.forecast_findings(parted(fast, constant, 800, share=2))
    assert finding.good
    assert "will have settled" in finding.text
    none = walk("SGD", constant, 400, options={"weight_decay": 0.0})
    (finding,) = nld.advice.forecast_findings(parted(none, constant, 400, share=2))
    assert "without weight decay" in finding.text
    with pytest.raises(ValueError, match=r"expected what nld\.forecast returns"):
        nld.advice.forecast_findings(none)


@pytest.mark.parametrize("rule", ["SGD", "AdamW"])
def test_of_a_network_final_norms_are_nearer_than_the_last_one_seen(rule):
    steps = 500
    record = run(rule, cosine, steps)
    first = record.isel(step=slice(0, steps // 4))
    ahead = nld.forecast(first, [cosine(n, steps) for n in range(steps)], steps)
    measured = record.squared_norm.isel(step=-1)

    def error(value):
        return float(np.abs(np.sqrt(value / measured) - 1).median())

    assert error(ahead.squared_norm.isel(step=-1)) < min(0.25, error(first.squared_norm.isel(step=-1)))


def test_a_slowing_drift_is_continued_and_noise_is_not():
    steps = np.linspace(100, 300, 12)
    rng = np.random.default_rng(0)
    law = np.exp(3 * steps**-0.5)[:, None] * np.array([[2.0, 2.0, 2.0]])  # d log s/d log n falls as n^-1/2
    exact = damped_trend(steps, law)
    assert np.allclose(exact.at(np.array([1000])), 2.0 * np.exp(3 * 1000**-0.5), rtol=1e-3)
    assert np.allclose(damped_trend(steps, law, prior=0).at(np.array([400, 9000])), law.mean())
    near = np.array([1.0, 1.0 + 1e-6])
    assert np.diff(slowing(near, 1.0)) == pytest.approx(np.diff(np.log(near)), rel=1e-5)
    inside = []
    for _ in range(200):
        noisy = damped_trend(steps, np.exp(0.3 * rng.normal(size=(12, 4))))
        value, error = noisy.at(np.array([1500])), noisy.log_error(np.array([1500]))
        inside.append(np.abs(np.log(value)) < 1.7 * error)
        assert np.abs(noisy.slope).max() < 1.0
    assert np.mean(inside) > 0.85  # of a true constant; the interval also allows for drift


def test_a_forecast_is_a_schedule_of_norms():
    record = walk("SGD", constant, 200)
    ahead = parted(record, constant, 200, share=2)
    torch.manual_seed(0)
    model = Walk()
    groups = nld.param_groups(model, torch.randn(8, FEATURES))
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with nld.hold_norms(optimizer, groups, norms=ahead) as held:
        for _ in range(5):
            model.weight.grad = torch.randn(UNITS, FEATURES)
            optimizer.step()
    assert held.deviation > 0


@pytest.mark.parametrize(
    ("optimizer", "options", "named"),
    [
        (torch.optim.Adam, {"weight_decay": 0.1}, "Adam"),
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, "SGD with Nesterov momentum"),
        (torch.optim.RMSprop, {}, "RMSprop"),
    ],
)
def test_rules_without_a_law_are_refused_by_name(optimizer, options, named):
    RULES["other"] = (optimizer, {"lr": 0.01, "weight_decay": 0.0, **options})
    record = walk("other", constant, 60)
    with pytest.raises(ValueError, match=f"expected SGD with or without heavy-ball momentum, AdamW.*got {named}: no"):
        nld.forecast(record, None, 100)


def test_errors_say_what_to_do():
    record = walk("SGD", cosine, 300)
    with pytest.raises(ValueError, match="more steps than it has, got 300 recorded up to step 299 and steps=300"):
        nld.forecast(record, None, 300)
    with pytest.raises(ValueError, match="expected a schedule that agrees with the record"):
        nld.forecast(record, lambda step: 1.0, 600)
    with pytest.raises(ValueError, match="expected a learning rate >= 0 for each of 600 steps"):
        nld.forecast(record, np.ones(5), 600)
    with pytest.raises(ValueError, match="expected a level between 0 and 1"):
        nld.forecast(record, None, 600, level=90)
    with pytest.raises(ValueError, match="record more of the run"):
        nld.forecast(record.isel(step=slice(0, 40)), None, 600)
    with pytest.raises(ValueError, match="at least one scale block"):
        nld.forecast(record.assign_coords(kind=("block", ["rescale"])), None, 600)
    with pytest.raises(ValueError, match="got a data set with"):
        nld.forecast(record.drop_vars("squared_norm"), None, 600)
