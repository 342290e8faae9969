"""A judging seed run again is compared with the other kept ones: like them inside, unlike them named."""

import numpy as np
import pytest
import xarray as xr

from nld.cli import main
from nld.errors import InvalidInput
from nld.figures import evidence, fig_dyt, repeated

SEEDS = np.arange(10_000, 10_016)


@pytest.fixture
def stored(monkeypatch):
    """Sixteen kept seeds of two settings; `measure` gives a seed back, moved where it is told."""
    values = np.random.default_rng(1).normal(size=(len(SEEDS), 2))
    data = xr.Dataset(
        {"judged_accuracy": (("judging_seed", "setting"), values)},
        coords={"judging_seed": SEEDS, "setting": ["low", "high"]},
    )
    monkeypatch.setattr(repeated, "kept", lambda place, module: data)
    return data


@pytest.mark.parametrize(("moved", "inside"), [(0.0, True), (20.0, False), (-20.0, False)])
def test_a_repeated_seed_is_inside_unless_it_is_unlike_the_others(stored, moved, inside):
    def measure(seeds):
        return stored.sel(judging_seed=list(seeds)) + xr.DataArray([moved, 0.0], dims="setting")

    low, high = repeated.repeat("results/x.nc", measure)
    assert (low.inside, high.inside) == (inside, True)
    assert low.kept == pytest.approx(low.here - moved)
    assert low.name == "judged_accuracy: low"


def test_law_the_interval_holds_a_further_seed_as_often_as_it_says(monkeypatch):
    """Coverage over 400 draws of normal seeds: at least 99 %, up to three binomial errors."""
    generator, outside = np.random.default_rng(2), 0
    for _ in range(400):
        values = generator.normal(size=(len(SEEDS), 5))
        data = xr.Dataset(
            {"a": (("judging_seed", "setting"), values)}, coords={"judging_seed": SEEDS, "setting": list("vwxyz")}
        )
        monkeypatch.setattr(repeated, "kept", lambda place, module, data=data: data)
        rows = repeated.repeat("x", lambda seeds, data=data: data.sel(judging_seed=list(seeds)))
        outside += any(not row.inside for row in rows)
    assert outside <= 400 * repeated.ALPHA + 3 * np.sqrt(400 * repeated.ALPHA)


def test_too_few_kept_seeds_are_refused(stored, monkeypatch):
    monkeypatch.setattr(repeated, "kept", lambda place, module: stored.isel(judging_seed=slice(3)))
    with pytest.raises(InvalidInput, match="at least three other kept seeds"):
        repeated.repeat("x", lambda seeds: stored)


def test_the_command_prints_every_number_and_ends_with_1_if_one_is_outside(stored, monkeypatch, capsys):
    monkeypatch.setattr(fig_dyt, "measure", lambda seeds: stored.sel(judging_seed=list(seeds)) + 20)
    assert main(["claims", "--repeat", "fig-dyt"]) == 1
    said = capsys.readouterr().out
    assert said.count("OUTSIDE") == 2
    assert "0 of 2 numbers" in said
    assert main(["claims", "--repeat", "fig-1"]) == 2


def test_kept_evidence_that_is_not_there_says_so():
    with pytest.raises(FileNotFoundError, match="restore it or gather it"):
        evidence.kept("results/evidence/none.nc", __name__)
