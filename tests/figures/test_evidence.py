"""Kept judging seeds: they rule at the registered parameters, grow without losing any, and say whose code they are."""

import numpy as np
import pytest
import xarray as xr

from nld import figures
from nld.figures import evidence
from nld.inference import FIRST_JUDGING_SEED
from nld.results.dependencies import needed_modules

PLACE = "results/evidence/fig-x.nc"


def measure(seeds):
    """A number a seed, the same whenever it is asked for."""
    values = [np.random.default_rng(seed).normal() for seed in seeds]
    return xr.Dataset({"judged": ("judging_seed", values)}, coords={"judging_seed": list(seeds)})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "ROOTS", (tmp_path,))
    monkeypatch.setattr(evidence, "sources", lambda module: "today")
    monkeypatch.setattr(evidence, "arithmetic_name", lambda: "this one")
    monkeypatch.delenv("NLD_EVIDENCE", raising=False)
    return tmp_path


def test_without_kept_seeds_a_few_are_run_from_the_registered_first_one(checkout):
    found = evidence.judged(PLACE, measure, live=5)
    assert list(found["judging_seed"].values) == list(range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + 5))
    assert evidence.judged(PLACE, measure, seed=7, live=2)["judging_seed"][0] == FIRST_JUDGING_SEED + 7


def test_kept_seeds_rule_unless_a_parameter_changed_or_live_ones_are_asked_for(checkout, monkeypatch):
    evidence.gather(PLACE, measure, 12, at_once=5, progress=lambda text: None)
    kept = evidence.judged(PLACE, measure)
    assert kept.sizes["judging_seed"] == 12
    assert kept.attrs["judged_on"] == "this one"
    for other in (evidence.judged(PLACE, measure, registered=False), evidence.judged(PLACE, measure, seed=1)):
        assert other.sizes["judging_seed"] == evidence.LIVE
    monkeypatch.setenv("NLD_EVIDENCE", "live")
    assert evidence.judged(PLACE, measure).sizes["judging_seed"] == evidence.LIVE
    assert evidence.judged(PLACE, measure, live=1).sizes["judging_seed"] == 12  # each would take minutes
    assert evidence.judged(PLACE, measure, seed=3, live=1)["judging_seed"].values.tolist() == [FIRST_JUDGING_SEED + 3]
    monkeypatch.setenv("NLD_EVIDENCE", "perhaps")
    with pytest.raises(ValueError, match="kept or live"):
        evidence.judged(PLACE, measure)


def test_law_a_sequence_grows_and_no_seed_is_run_twice_or_lost(checkout, monkeypatch):
    asked = []

    def counting(seeds):
        asked.extend(seeds)
        return measure(seeds)

    for count in (3, 3, 10):
        evidence.gather(PLACE, counting, count, at_once=4, progress=lambda text: None)
    monkeypatch.setattr(evidence, "arithmetic_name", lambda: "another one, of a longer name")
    evidence.gather(PLACE, counting, 6, at_once=4, progress=lambda text: None)
    first = list(range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + 10))
    assert asked == first + first[:6]
    kept = xr.load_dataset(checkout / PLACE, engine="h5netcdf")
    assert list(kept["arithmetic"].values) == ["this one", "another one, of a longer name"]  # the first one rules
    np.testing.assert_array_equal(kept["judged"][0], measure(first)["judged"])
    np.testing.assert_array_equal(np.isnan(kept["judged"][1]), np.arange(10) >= 6)


@pytest.mark.parametrize(
    ("at_once", "expected"), [(1, [0, 3, 4, 5, 1, 2]), (2, [0, 1, 3, 4, 5, 2]), (8, [0, 1, 2, 3, 4, 5])]
)
def test_law_a_sequence_goes_on_elsewhere_after_a_look_at_seeds_that_are_there(
    checkout, monkeypatch, at_once, expected
):
    """The first seeds compare the arithmetics, then come those that nobody has, then the others."""
    evidence.gather(PLACE, measure, 3, progress=lambda text: None)
    monkeypatch.setattr(evidence, "arithmetic_name", lambda: "another one")
    asked = []

    def elsewhere(seeds):
        asked.extend(seed - FIRST_JUDGING_SEED for seed in seeds)
        return measure(seeds) + 0.5

    evidence.gather(PLACE, elsewhere, 6, at_once=at_once, progress=lambda text: None)
    assert asked == expected
    kept = evidence.judged(PLACE, measure)
    all_seeds = range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + 6)
    np.testing.assert_array_equal(kept["judged"], measure(all_seeds)["judged"] + 0.5 * (np.arange(6) >= 3))
    assert kept["judged"].dims == ("judging_seed",)
    assert kept.attrs["judged_on"] == "this one (3 seeds) and another one (3 seeds)"


def test_seeds_of_other_code_are_not_added_to_a_sequence(checkout, monkeypatch):
    evidence.gather(PLACE, measure, 3, progress=lambda text: None)
    monkeypatch.setattr(evidence, "sources", lambda module: "tomorrow")
    before = (checkout / PLACE).read_bytes()
    with pytest.raises(ValueError, match="that of an earlier one: replay it, or gather in a checkout of"):
        evidence.gather(PLACE, measure, 4, progress=lambda text: None)
    assert (checkout / PLACE).read_bytes() == before


def test_evidence_of_other_code_says_so_until_it_is_replayed_to_the_bit(checkout, monkeypatch):
    evidence.gather(PLACE, measure, 9, progress=lambda text: None)
    monkeypatch.setattr(evidence, "sources", lambda module: "tomorrow")
    assert evidence.judged(PLACE, measure).attrs["judged_on"] == "this one, by an earlier version of the code"
    assert not evidence.replay(PLACE, lambda seeds: measure(seeds) + 1e-15)
    assert "earlier" in evidence.judged(PLACE, measure).attrs["judged_on"]
    assert evidence.replay(PLACE, measure)
    assert evidence.judged(PLACE, measure).attrs["judged_on"] == "this one"
    monkeypatch.setattr(evidence, "arithmetic_name", lambda: "elsewhere")
    with pytest.raises(ValueError, match="expected evidence of elsewhere"):
        evidence.replay(PLACE, measure)


KEEPING = [name for name in figures.names() if evidence.kept_path(getattr(figures.load(name), "EVIDENCE", ""))]
# Whose sequences still go on: the first seeds stand there, and an entry goes when its figure is whole.
UNFINISHED = {"fig-photographs"}


def test_every_figure_that_runs_here_keeps_its_evidence():
    asked = [name for name in figures.names() if hasattr(figures.load(name), "EVIDENCE")]
    assert {name for name in asked if not hasattr(figures.load(name), "DATASET")} <= set(KEEPING)


@pytest.mark.parametrize("name", KEEPING)
def test_the_kept_evidence_of_a_figure_is_small_whole_and_of_fresh_seeds(name):
    module = figures.load(name)
    path = evidence.kept_path(module.EVIDENCE)
    assert path is not None
    assert path.stat().st_size < 1e6
    kept = xr.load_dataset(path, engine="h5netcdf")
    count = getattr(module, "KEPT_SEEDS", evidence.KEPT_SEEDS)
    seeds = list(range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + count))
    assert list(kept["judging_seed"].values) == seeds[: kept.sizes["judging_seed"]]
    ruling = evidence.kept(module.EVIDENCE, module.measure.__module__)
    assert all(np.isfinite(variable).all() for variable in ruling.data_vars.values())
    whole = kept.sizes["judging_seed"] == count and kept.sizes["arithmetic"] >= 2
    assert whole == (name not in UNFINISHED)
    assert {"nld_version", "commit", "torch", "sources"} <= set(kept.attrs)


@pytest.mark.parametrize("name", [n for n in figures.names() if hasattr(figures.load(n), "EVIDENCE")])
def test_the_digest_follows_what_computes_and_not_what_words_or_draws(name):
    reached = needed_modules(figures.load(name).measure.__module__, without=evidence.LATER)
    shared = {module.rsplit(".", 1)[-1] for module in reached if module.startswith("nld.figures._data.")}
    assert shared
    assert not [module for module in shared if module.endswith("_prose")]
    assert not [module for module in reached if module.startswith(("nld.figures._render", "matplotlib"))]
    assert any(module.startswith("nld.experiment.studies.") for module in reached) or name == "fig-experiments"


def test_the_digest_of_sources_sees_what_decides_numbers_and_not_what_words_them(tmp_path, monkeypatch):
    import sys

    path = tmp_path / "fig_made_up.py"
    before = 'RATE = 1\n\n\ndef measure(seeds):\n    return RATE\n\n\ndef caption(data):\n    return "one"\n'
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(evidence, "needed_modules", lambda module, without: frozenset())
    found = {}
    for name, text in {
        "as it is": before, "other words": before.replace('"one"', '"two"'), "other rate": before.replace("= 1", "= 2"),
        "other measure": before.replace("return RATE", "return 2 * RATE"), "a comment": before + "# why\n",
    }.items():  # fmt: skip
        path.write_text(text)
        sys.modules.pop("fig_made_up", None)
        found[name] = evidence.sources("fig_made_up")
    assert found["as it is"] == found["other words"] == found["a comment"]
    assert len({found["as it is"], found["other rate"], found["other measure"]}) == 3
