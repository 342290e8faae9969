"""The forecast of the default run, and what the changed decision does to the norms."""

import pytest

from nld.experiment.studies import monitored
from nld.figures._data import decay_decisions as decisions
from nld.monitor.diagnosis import steps_to_equilibrium

STEPS = 60


@pytest.fixture(scope="module")
def records():
    decided = decisions.decided(steps=STEPS)
    found = [decisions.train(k, steps=STEPS)[0] for k in (decisions.DEFAULT, decided)]
    return [record.sel(block=(record.kind == "scale").values) for record in found]


def test_fig_decision_the_default_is_far_from_equilibrium_and_the_decision_near(records):
    default, decided = (steps_to_equilibrium(record).values for record in records)
    assert (default > 100 * STEPS).all()
    assert (decided < 2 * STEPS).all()


def test_fig_decision_memory_is_a_fifth_of_the_run():
    k = decisions.decided(0.01, 1000)
    assert 1 / (2 * 0.01 * k) == pytest.approx(200, rel=0.5)


def test_fig_decision_filters_only_leaves_the_rest_at_the_default(monkeypatch):
    seen = []
    adamw = monitored.OPTIMIZERS["AdamW"]

    def kept(groups, *numbers):
        seen.append(adamw(groups, *numbers))
        return seen[0]

    monkeypatch.setitem(monitored.OPTIMIZERS, "AdamW", kept)
    decisions.train(3.0, filters_only=True, steps=1)
    filters, others = seen[0].param_groups
    assert filters["weight_decay"] == 3.0
    assert others["weight_decay"] == decisions.DEFAULT
    assert len(filters["params"]) == 3
    assert all(p.ndim == 4 for p in filters["params"])
