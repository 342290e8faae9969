"""When a report advises a larger learning rate: made-up turns, and runs that follow the advice."""

import numpy as np
import pytest
import torch

import nld
from nld.finder import Block, Member
from nld.monitor.turn_findings import LEAST, MOST, RIGHT_ANGLE, SHORTEST, rate_factor, turn, typical_turn
from tests.monitor.test_block_findings import driven, noise, said

BLOCKS = [Block("scale", name, (Member("w", (1, 4), narrow=((0, row, 1),)),)) for row, name in enumerate("abc")]
ADVICE = "In these"


@pytest.fixture(scope="module")
def run():
    """A record of 150 steps of three blocks."""
    return driven(noise, "SGD", lr=1e-3, steps=150, blocks=BLOCKS)[0]


def turned(record, angles):
    """The record, with blocks that turn by these angles, all steps added up."""
    each = np.asarray(angles, float) / record.sizes["step"]
    return record.assign(angular_step=record.angular_step * 0 + each[:, None])


def changed(name, value, block="c"):
    """What sets a quantity of one block at all steps."""
    return lambda record: record.assign({name: record[name].where(record.block != block, value)})


def translations(record):
    return record.assign_coords(kind=record.kind.where(record.block != "c", "translation"))


def frozen(record):
    for name in ("squared_gradient", "squared_step", "angular_step"):
        record = changed(name, 0.0)(record)
    return record


# Three quarters of the way from the least to the largest of three is half-way between the upper two.
SPEAKS = {
    "hardly": ([0.2, 0.4, 0.6], None, RIGHT_ANGLE / 0.5),
    "not at all far": ([0.01, 0.02, 0.03], None, MOST),
    "just": ([0.75, 0.76, 0.8], None, LEAST),
    "one block apart": ([0.1, 0.3, 0.5], None, RIGHT_ANGLE / 0.4),
    "a translation far": ([0.4, 0.4, 9.0], translations, RIGHT_ANGLE / 0.4),
    "a frozen block": ([0.4, 0.4, 0.0], frozen, RIGHT_ANGLE / 0.4),
    "a block that began at zero": ([0.4, 0.4, 9.0], changed("angular_step", np.nan), RIGHT_ANGLE / 0.4),
}
SILENT = {
    "far": ([1.0, 1.2, 1.6], None),
    "by a right angle": ([RIGHT_ANGLE] * 3, None),
    "less than twofold": ([0.5, 0.8, 0.9], None),
    "long steps": ([0.2, 0.4, 0.6], changed("squared_step", 100.0)),
    "a short run": ([0.1, 0.1, 0.1], lambda record: record.isel(step=slice(SHORTEST - 1))),
    "nothing trained": ([0.0, 0.0, 0.0], lambda record: frozen(record).isel(block=[2])),
}


@pytest.mark.parametrize("name", SPEAKS)
def test_a_run_that_hardly_turned_is_told_by_how_much_to_raise_its_rate(run, name):
    angles, change, expected = SPEAKS[name]
    record = turned(run, angles)
    record = change(record) if change else record
    assert rate_factor(record) == pytest.approx(expected, rel=0.03)
    (finding,) = said(record, "rate", ADVICE)
    assert (finding.good, finding.block) == (False, "")
    assert f"less than {typical_turn(record):.2g} rad" in finding.text
    assert finding.text.endswith(f"raise the learning rate {rate_factor(record):.2g}-fold.")


@pytest.mark.parametrize("name", SILENT)
def test_a_report_is_silent_where_a_larger_rate_would_not_help(run, name):
    angles, change = SILENT[name]
    record = turned(run, angles)
    record = change(record) if change else record
    assert rate_factor(record) is None
    assert not said(record, "rate", ADVICE)


@pytest.mark.parametrize("steps", [range(0, 150, 10), np.unique(np.geomspace(1, 150, 30).astype(int)) - 1])
def test_steps_that_were_not_recorded_count_as_their_neighbours(run, steps):
    record = turned(run, [0.2, 0.4, 0.6])
    kept = record.isel(step=list(steps))
    length = int(kept.step[-1] - kept.step[0]) + 1
    np.testing.assert_allclose(turn(kept), turn(record) * length / 150, rtol=1e-12)


def test_law_a_turn_is_at_least_the_angle_between_start_and_end():
    record, weights = driven(noise, "AdamW", lr=3e-3, steps=150, blocks=BLOCKS)
    ends = torch.nn.functional.cosine_similarity(weights[0], weights[-1], dim=1).arccos()
    assert (turn(record).values >= ends.numpy() - 1e-9).all()
    by_hand = torch.nn.functional.cosine_similarity(weights[1:], weights[:-1], dim=2).arccos().sum(0)
    np.testing.assert_allclose(turn(record), by_hand, rtol=1e-4)


@pytest.mark.parametrize(("kind", "rate"), [("SGD", 4e-4), ("AdamW", 3e-4), ("AdamW", 1e-4)])
def test_advice_that_is_followed_comes_to_an_end_at_a_right_angle(kind, rate):
    angles, factor = [], 1.0
    while factor and len(angles) < 5:
        rate *= factor
        record, _ = driven(noise, kind, lr=rate, steps=150, blocks=BLOCKS, weight_decay=0.0)
        angles.append(typical_turn(record))
        factor = rate_factor(record)
    assert not factor
    assert 1 < len(angles) < 5
    assert RIGHT_ANGLE / LEAST < angles[-1] < 1.2 * RIGHT_ANGLE


def test_one_number_a_block_gives_the_same_advice():
    whole, means = (driven(noise, "SGD", lr=4e-4, steps=150, units=units)[0] for units in ("all", "mean"))
    assert rate_factor(whole) == rate_factor(means) > LEAST
    assert nld.monitor.findings(means)
