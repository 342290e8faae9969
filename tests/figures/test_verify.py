"""The drift guard sees what moved, and nothing else: numbers, rounding, intervals over seeds, means of long runs."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nld.figures.verification import reference as references
from nld.figures.verification.verify import DEFAULT, FACTOR, LARGEST, compare_with_reference, moved_verdicts
from nld.inference.verdict import OPEN, OPPOSITE, PASSES, REVERSED, SHIFTED, Finding, Verdict, label_of


def dataset(values, name="loss"):
    return xr.Dataset({name: ("step", np.asarray(values, float))})


def module(*rounding, **parts):
    return SimpleNamespace(__name__="fig_x", ROUNDING=rounding, **parts)


def several(*datasets):
    """A reference of several arithmetics."""
    found = None
    for index, data in enumerate(datasets):
        found = references.joined(found, data, f"arithmetic {index}")
    return found


@given(st.floats(-12, -1))
def test_law_numbers_hold_exactly_up_to_the_default(exponent):
    reference, shift = np.linspace(1, 2, 7), 10.0**exponent
    (moved,) = compare_with_reference(module(), dataset(reference + shift), dataset(reference))
    assert moved.difference == pytest.approx(shift / 2, rel=1e-3, abs=1e-15)
    assert moved.holds == (moved.difference <= DEFAULT)


@given(st.floats(1e-6, LARGEST / FACTOR * 0.99), st.floats(0.1, 30))
def test_law_numbers_may_differ_by_ten_times_what_arithmetics_do(spread, times):
    """Where a rounding twin stays near, so must everybody else."""
    first = np.linspace(1, 2, 50)
    reference = several(dataset(first), dataset(first + 2 * spread))
    moved = {m.variable: m for m in compare_with_reference(module(), dataset(first + 2 * spread * times), reference)}
    assert moved["loss"].how == "numbers"
    assert moved["loss"].holds == (times <= FACTOR * (1 + 1e-6))


def seeds(mean, deviation, n=6, seed=0, elements=20):
    values = np.random.default_rng(seed).normal(mean, deviation, (n, elements))
    return xr.Dataset({"loss": (("seed", "step"), values)}, coords={"seed": np.arange(n)})


@pytest.mark.parametrize(("shift", "holds"), [(0.0, True), (0.3, True), (20.0, False)])
def test_what_training_amplifies_is_compared_by_intervals_over_seeds(shift, holds):
    reference = several(seeds(2, 1), seeds(2, 1, seed=1))
    rows = {m.variable: m for m in compare_with_reference(module(), seeds(2 + shift, 1, seed=2), reference)}
    assert rows["loss"].how == "intervals over seeds"
    assert rows["loss"].holds == holds


def test_law_intervals_seldom_disagree_by_chance_and_see_three_deviations():
    reference = several(seeds(2, 1), seeds(2, 1, seed=1))
    wrong = sum(not compare_with_reference(module(), seeds(2, 1, seed=s), reference)[0].holds for s in range(10, 110))
    assert wrong <= 5
    shifted = seeds(2, 1, seed=200)
    shifted["loss"][:, 7] += 6
    assert not compare_with_reference(module(), shifted, reference)[0].holds


def test_a_table_of_runs_is_compared_setting_by_setting():
    def table(means, seed):
        draw, rows = np.random.default_rng(seed), [(m, s) for m in range(len(means)) for s in range(4)]
        values = [draw.normal(means[m], 0.5) for m, _ in rows]
        return xr.Dataset(
            {"loss": ("run", values)},
            coords={"setting": ("run", [m for m, _ in rows]), "seed": ("run", [s for _, s in rows])},
        )

    reference = several(table([1, 5, 9], 0), table([1, 5, 9], 1))
    good, bad = (compare_with_reference(module(), table(m, 3), reference)[0] for m in ([1, 5, 9], [1, 9, 9]))
    assert (good.how, good.holds, bad.holds) == ("intervals over seeds", True, False)


def test_more_judging_seeds_than_the_reference_are_compared_and_other_shapes_are_not():
    def judged(n, mean=1.0):
        values = np.random.default_rng(n).normal(mean, 1, (n, 3))
        return xr.Dataset({"judged": (("judging_seed", "setting"), values)}, coords={"judging_seed": np.arange(n)})

    rows = compare_with_reference(module(), judged(8), judged(32).expand_dims(arithmetic=["a"]))
    assert [row.how for row in rows if row.variable == "judged"] == ["intervals over seeds"]
    assert all(row.holds for row in rows)
    assert not compare_with_reference(module(), judged(8, 9.0), judged(32).expand_dims(arithmetic=["a"]))[0].holds
    assert not compare_with_reference(module(), seeds(1, 1, n=5), several(seeds(1, 1), seeds(1, 1)))[0].holds


def test_one_long_run_is_compared_by_its_means_over_tenths():
    def run(seed, drift=0.0):
        noise = np.random.default_rng(seed).normal(0, 1, 400)
        return dataset(np.linspace(5, 1, 400) + noise + drift * (np.arange(400) > 200))

    reference = several(run(0), run(1))
    good, bad = (compare_with_reference(module(), each, reference)[0] for each in (run(2), run(2, 8.0)))
    assert (good.how, good.holds, bad.holds) == ("means over tenths", True, False)


@pytest.mark.parametrize(("grown", "holds"), [(0.1, True), (9.0, True), (11.0, False)])
def test_what_is_rounding_may_grow_tenfold(grown, holds):
    first = 1e-14 * np.random.default_rng(0).normal(size=9)
    reference = several(dataset(first, "residual"), dataset(first[::-1], "residual"))
    (moved,) = compare_with_reference(module("residual"), dataset(grown * first, "residual"), reference)
    assert (moved.how, moved.holds) == ("rounding", holds)


def test_rounding_of_nothing_is_refused():
    with pytest.raises(ValueError, match="ROUNDING to name variables"):
        compare_with_reference(module("los"), dataset([1.0]), dataset([1.0]))


@pytest.mark.parametrize("new", [[1.0, 2.0], [1.0, 2.0, np.nan], [1.0, 2.0, np.inf]])
def test_verify_sees_shape_and_divergence(new):
    (moved,) = compare_with_reference(module(), dataset(new), dataset([1.0, 2.0, 3.0]))
    assert not moved.holds


@pytest.mark.parametrize(("new", "holds"), [(np.inf, True), (-np.inf, False), (np.nan, False)])
def test_verify_tells_the_infinities_and_nan_apart(new, holds):
    (moved,) = compare_with_reference(module(), dataset([1.0, new]), dataset([1.0, np.inf]))
    assert moved.holds == holds


def test_verify_sees_a_coordinate_that_moved():
    before, after = (dataset([1.0, 2.0]).assign_coords(step=[0, last]) for last in (10, 20))
    rows = compare_with_reference(module(), after, before)
    assert {row.variable: row.holds for row in rows} == {"loss": True, "step": False}


def test_verify_reports_variables_that_came_or_went():
    rows = compare_with_reference(module(), dataset([1.0], "new"), dataset([1.0], "old"))
    assert {row.variable for row in rows if not row.holds} == {"new", "old"}


def test_law_a_reference_gives_back_the_data_of_each_arithmetic(tmp_path):
    alike, apart = np.arange(4.0), np.array([[1.0, 2.0], [1.5, 2.5]])
    data = [xr.Dataset({"same": ("x", alike), "other": ("y", row)}, attrs={"a": 1}) for row in apart]
    kept = several(*data)
    assert kept["same"].dims == ("x",)
    assert kept["other"].dims == ("arithmetic", "y")
    references.write(kept, tmp_path / "fig.nc")
    for name, one in references.split(xr.load_dataset(tmp_path / "fig.nc", engine="h5netcdf")).items():
        xr.testing.assert_allclose(one, data[int(name[-1])])
    again = references.joined(kept, data[1], "arithmetic 0")  # of one name, the new data replace the old
    assert list(again["arithmetic"].values) == ["arithmetic 0", "arithmetic 1"]
    np.testing.assert_array_equal(references.split(again)["arithmetic 0"]["other"], apart[1])
    with pytest.raises(ValueError, match="expected data of the form of the reference"):
        references.joined(kept, data[1].isel(y=[0]), "arithmetic 2")


def verdict(outcome):
    findings = (Finding("part", outcome),)
    return Verdict("it-learns", label_of(findings), "", findings, "toy")


def test_verify_sees_a_verdict_that_is_reversed_and_lists_one_that_is_open():
    def judge(data):
        last = float(data["loss"][-1])
        return [verdict(PASSES if last < 1 else OPPOSITE if last > 2 else OPEN)]

    figure, low, middle, high = module(judge=judge), dataset([2.0, 0.5]), dataset([2.0, 1.5]), dataset([2.0, 2.5])
    assert moved_verdicts(figure, low, low) == []
    assert moved_verdicts(figure, high, low) == [(REVERSED, "it-learns (toy): reproduced -> not reproduced")]
    assert moved_verdicts(figure, middle, low) == [(SHIFTED, "it-learns (toy): reproduced -> undecided")]
    assert moved_verdicts(module(), high, low) == []


def test_verify_tells_of_a_reference_of_another_form_without_ruling_on_it():
    figure = module(judge=lambda data: data["loss"].sel(seed=0))
    new, old = dataset([2.0, 0.5]).expand_dims(seed=[0]), dataset([2.0, 0.5])
    assert [row.variable for row in compare_with_reference(figure, new, old) if not row.holds] == ["loss", "seed"]
    assert moved_verdicts(figure, new, old) == []


def test_a_run_that_is_amplified_here_alone_is_compared_by_intervals_and_a_shift_of_all_seeds_is_seen():
    calm = seeds(2, 1)
    reference = several(calm, calm + 1e-5, calm - 1e-5)
    one = calm.copy(deep=True)
    one["loss"][3, 4] += 1.5  # one seed goes another way
    found = {m.variable: m for m in compare_with_reference(module(), one, reference)}
    assert (found["loss"].how, found["loss"].holds) == ("intervals over seeds", True)
    all_of_them = calm.copy(deep=True)
    all_of_them["loss"][:, 4] += 8
    found = {m.variable: m for m in compare_with_reference(module(), all_of_them, reference)}
    assert (found["loss"].holds, found["seed"].holds) == (False, True)
    others = compare_with_reference(module(), calm.assign_coords(seed=calm["seed"] + 1), reference)
    assert [m.variable for m in others if not m.holds] == ["seed"]  # other seeds are other runs
