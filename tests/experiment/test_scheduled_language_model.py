"""The runs that forecasts are judged on: their schedules, and what each rule's record holds."""

import numpy as np
import pytest

from nld.experiment.studies.scheduled_language_model import RULES, SCHEDULES, cosine, scale_record, stable_then_decay

STEPS = 12


@pytest.mark.parametrize("schedule", SCHEDULES.values())
def test_schedules_warm_up_and_end_at_nothing(schedule):
    rates = np.array([schedule(step, 1000) for step in range(1000)])
    assert rates[:50] == pytest.approx(np.arange(1, 51) / 50)
    assert rates.max() == 1
    assert 0 < rates[-1] < 0.01
    assert (np.diff(rates[50:]) <= 0).all()


def test_schedules_are_a_cosine_and_a_constant_that_falls_in_the_last_fifth():
    assert cosine(525, 1000) == pytest.approx(0.5)
    assert [stable_then_decay(step, 1000) for step in (100, 800, 900)] == [1, 1, 0.5]


@pytest.mark.parametrize("rule", RULES)
def test_records_hold_each_scale_symmetry_that_the_rule_moves(rule):
    record = scale_record(rule, "cosine", 0, STEPS)
    heads = 2 * 2 * [4]  # queries and keys of two layers
    assert sorted(record.units.values) == sorted(heads if rule == "Muon" else [1, *heads])
    assert record.sizes["step"] == STEPS
    rates = record.learning_rate.values[:, 0]
    assert rates / rates.max() == pytest.approx([cosine(n, STEPS) / max(cosine(m, STEPS) for m in range(STEPS))
                                                for n in range(STEPS)], rel=1e-6)  # fmt: skip


def test_a_record_follows_from_its_seed():
    record, again, other = (scale_record("SGD", "cosine", seed, STEPS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(record.squared_norm, again.squared_norm)
    assert not np.array_equal(record.squared_norm, other.squared_norm)
