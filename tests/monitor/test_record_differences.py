"""What differs between two records: planted differences are named, and nothing else."""

import numpy as np
import pytest

import nld
from nld.cli import main
from nld.errors import InvalidInput
from nld.monitor import differences
from tests.monitor.zoo import BLOCKS, train, zoo


def recorded(steps=12, blocks=BLOCKS, **settings):
    network, optimizer = zoo("momentum")
    for group in optimizer.param_groups:
        group.update(settings)
    with nld.Monitor(network, optimizer, blocks) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


@pytest.fixture(scope="module")
def record():
    return recorded()


def topics(first, second, **options):
    return {(difference.topic, difference.block) for difference in differences(first, second, **options)}


def test_a_record_does_not_differ_from_itself_nor_from_a_repetition(record):
    assert differences(record, record) == []
    assert differences(record, recorded()) == []


def test_another_learning_rate_is_named_with_what_follows_from_it(record):
    other = recorded(lr=record.learning_rate.values[0, 0] * 1.5)
    found = differences(record, other)
    assert [difference.text.split(":")[0] for difference in found if difference.topic == "run"] == ["lr"]
    rates = {difference.block for difference in found if difference.topic == "rates"}
    assert rates == set(record.block.values)
    assert all("(+" in difference.text for difference in found if difference.topic == "rates")


@pytest.mark.parametrize(("share", "seen"), [(0.005, False), (0.03, True)])
def test_numbers_count_from_the_share_that_is_given(record, share, seen):
    other = record.copy(deep=True)
    name = str(record.block.values[0])
    other.squared_norm.loc[{"block": name}] *= (1 + share) ** 2
    assert topics(record, other) == ({("norms", name)} if seen else set())
    assert topics(record, other, within=0.05) == set()


def test_blocks_and_steps_of_one_record_only(record):
    fewer = recorded(steps=8, blocks=BLOCKS[1:])
    found = {(topic, block) for topic, block in topics(record, fewer) if topic in ("run", "blocks")}
    assert found == {("run", ""), ("blocks", BLOCKS[0].name)}
    (text,) = (d.text for d in differences(record, fewer) if d.topic == "run")
    assert text == "steps: 12 from 0 to 11, 8 from 0 to 7; 8 in common"


def test_a_block_of_another_size(record):
    other = record.copy(deep=True)
    name = str(record.block.values[0])
    other["units"] = other.units.where(other.block != name, 2)
    (difference,) = differences(record, other)
    assert (difference.topic, difference.block) == ("blocks", name)
    assert difference.text.endswith(" of 2 units")


def test_books_that_balance_in_one_record_only(record):
    other = record.copy(deep=True)
    name = str(record.block.values[0])
    place = {"block": name, "step": 3}
    other.residual.loc[place] += 0.1 * abs(other.charge.loc[place])
    other.relative_residual.loc[place] = 0.1
    other.violation.loc[place] = 0.1
    found = topics(record, other)
    assert ("residuals", name) in found
    assert {block for topic, block in found if topic == "findings"} >= {name}


def test_records_without_common_steps_are_compared_at_their_ends(record):
    later = record.assign_coords(step=record.step + 100)
    (difference,) = differences(record, later)
    assert difference.text.endswith("none in common")
    with pytest.raises(InvalidInput, match="at least one step"):
        differences(record, record.isel(step=slice(0, 0)))


def test_the_command(record, tmp_path, capsys):
    other = record.copy(deep=True)
    other["squared_norm"] = 4 * other.squared_norm
    for name, one in {"a.nc": record, "b.nc": other}.items():
        nld.monitor.save(one, tmp_path / name)
    a, b = str(tmp_path / "a.nc"), str(tmp_path / "b.nc")
    assert main(["compare", a, a]) == 0
    assert "Nothing differs by more than 0.01." in capsys.readouterr().out
    assert main(["compare", a, b]) == 1
    said = capsys.readouterr().out
    assert said.startswith("norms:\n")
    assert said.count("(+100.0%)") == np.sum(record.squared_norm.mean(["step", "unit"]) > 0)
    assert main(["compare", a, str(tmp_path / "c.nc")]) == 1
    assert "nothing there" in capsys.readouterr().err
