"""The judges of the claims about one schedule for all widths, part by part, and the words that depend on the data."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_widths
from nld.figures._data import width_prose as prose
from nld.figures._data.width_contrasts import best_rate, contrasts, power
from nld.inference.verdict import OPPOSITE, PASSES
from tests.figures.judged import outcomes, row
from tests.figures.test_captions import reference

SPHERE, UPDATES = "decay-on-a-sphere-is-second-order", "independent-decay-keeps-relative-updates"
INDEPENDENT, HELD = "independent-decay-transfers-the-rate", "held-norms-transfer-the-rate"
ALIGNMENT, MULTIPLIER = "alignment-holds-briefly", "a-multiplier-carries-the-size"
SCHEMES = ("coupled decay", "independent decay", "held norms")
WIDTHS, RATES = np.array([32, 64, 128]), 2.0 ** -np.array([6, 7.25, 8.5, 9.75, 11])
LOOKS = (0, 4, 8, 500, 700, 900, 1000)


def world(angle=(-0.5, 0, 0), best=(0.5, 0, 0), alignment=(0.5, 0), norm=(0.8, 0), seeds=32) -> xr.Dataset:
    """Judging seeds with these powers of the width by scheme, of the width early and late, and of the wanted size."""
    octaves = np.log2(WIDTHS / 32)

    def powers(mean, deviation=0.01):
        return row(mean, deviation, seeds)[:, None]

    turned = 0.02 * 2.0 ** np.stack([powers(each) * octaves for each in angle], 1)
    vertex = np.stack([-8.5 + powers(each, 0.02 + 0.01 * i) * octaves for i, each in enumerate(best)], 1)
    losses = 2 + 0.02 * (np.log2(RATES) - vertex[..., None]) ** 2
    early, late = (2.0 ** (powers(each) * octaves) for each in alignment)
    seen = np.stack([early if look <= 8 else late for look in LOOKS], -1)
    wanted = np.array([0.25, 1, 4])
    norms = np.stack([2.2 * 2.0 ** (powers(each) * np.log2(wanted)) for each in norm], 1)
    looks = (seeds, 3, 3, len(LOOKS), 5)
    dims = ("judging_seed", "scheme", "width", "look", "rate")
    return xr.Dataset(
        {
            "judged_angle": (dims, np.broadcast_to(turned[..., None, None], looks)),
            "judged_alignment": (dims, np.broadcast_to(seen[:, None, :, :, None], looks)),
            "judged_loss": (("judging_seed", "scheme", "width", "rate"), losses),
            "judged_norm": (("judging_seed", "multiplied", "wanted"), norms),
            "judged_multiplier": (("judging_seed", "multiplied", "wanted"), np.ones_like(norms)),
            "judged_error": (("judging_seed", "multiplied", "wanted"), np.ones_like(norms)),
            "angle_predicted": (dims[1:4], np.full((3, 3, len(LOOKS)), 0.02)),
            "norm_predicted": 2.2,
            "sphere_apart": (("sphere_rule", "sphere_rate"), np.stack([RATES**2, 3 * RATES**2])),
            "sphere_same": ("sphere_rate", np.full(5, 1e-15)),
        },
        coords={
            "judging_seed": np.arange(seeds), "scheme": list(SCHEMES), "width": WIDTHS, "rate": RATES,
            "look": list(LOOKS), "multiplied": ["without", "with"], "wanted": wanted, "sphere_rate": RATES,
            "sphere_rule": ["AdamW", "heavy ball"],
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "part", "changed", "outcome"),
    [
        (UPDATES, "independent", {"angle": (-0.5, -0.2, 0)}, OPPOSITE),
        (UPDATES, "coupled", {"angle": (-0.2, 0, 0)}, OPPOSITE),
        (INDEPENDENT, "best rate", {"best": (0, 0.5, 0)}, OPPOSITE),
        (HELD, "best rate", {"best": (0, 0, 0.5)}, OPPOSITE),
        (HELD, "best rate", {"best": (0, 0, -0.5)}, OPPOSITE),
        (ALIGNMENT, "alignment", {"alignment": (0, 0.5)}, OPPOSITE),
        (MULTIPLIER, "with", {"norm": (0.8, 0.2)}, OPPOSITE),
        (MULTIPLIER, "without", {"norm": (-0.8, 0)}, OPPOSITE),
    ],
)
def test_fig_widths_each_part_turns(claim, part, changed, outcome):
    assert outcomes(fig_widths, world(), claim)[part] == PASSES
    after = outcomes(fig_widths, world(**changed), claim)
    assert after[part] == outcome
    others = {name for name in after if name != part}
    assert {after[name] for name in others} <= {PASSES}


@pytest.mark.parametrize(
    ("part", "variable", "change"),
    [
        ("order", "sphere_apart", lambda apart: apart**0.5),
        ("larger rate", "sphere_same", lambda same: same + 1e-11),
    ],
)
def test_fig_widths_judges_the_sphere(part, variable, change):
    data = world()
    assert set(outcomes(fig_widths, data, SPHERE).values()) == {PASSES}
    turned = outcomes(fig_widths, data.assign({variable: change(data[variable])}), SPHERE)
    assert [name for name, outcome in turned.items() if outcome != PASSES] == [part]


def test_fig_widths_finds_the_vertex_and_the_power():
    x = np.log2(RATES)
    losses = xr.DataArray(2 + 0.3 * (x + 8.7) ** 2, dims="rate", coords={"rate": RATES})
    assert float(best_rate(losses)) == pytest.approx(2**-8.7)
    line = xr.DataArray(5 * WIDTHS**0.7, dims="width", coords={"width": WIDTHS})
    assert float(power(line)) == pytest.approx(0.7)


def test_fig_widths_contrasts_are_the_numbers_that_were_put_in():
    numbers = {name: values.mean() for name, values in contrasts(world()).items()}
    expected = {
        "independent": 0, "coupled": 0, "rate, independent": 0.5, "rate, held": 0.5, "alignment": 0.5, "with": 0,
        "without": 0.8,
    }  # fmt: skip
    # sizes of slopes that scatter around zero are a little above zero
    assert {name: pytest.approx(value, abs=0.04) for name, value in expected.items()} == numbers


def test_fig_widths_sentences_follow_the_data():
    assert prose.message(world()).startswith("Coupled decay moves")
    assert prose.message(world(best=(0.5, 0.4, 0))).startswith("Under all three")
    assert prose.transfer(world(best=(0.1, 0.5, 0.3))) == (
        "It moves least with coupled decay and most with independent decay"
    )
    assert prose.brief(world()).endswith("a matter of the first steps")
    assert prose.brief(world(alignment=(0.5, 0.4))).endswith("does not leave it")
    data = world()
    loss = data["judged_loss"]
    scattered = loss + xr.DataArray(row(0, 0.1), dims="judging_seed")
    assert "no more than" in prose.best_losses(data.assign(judged_loss=scattered))
    apart = data["judged_loss"] + xr.DataArray([0, 1, 2], dims="scheme", coords={"scheme": list(SCHEMES)})
    assert "by more than" in prose.best_losses(data.assign(judged_loss=apart))
    assert prose.errors(data).endswith("lower with it at 0 of 3 sizes")


def test_fig_widths_cost_is_that_of_the_smallest_widths_rate():
    data = world(best=(1.25, 0, 0))  # two rates further at the largest width
    assert float(prose.cost(data).sel(scheme="coupled decay")) == pytest.approx(0.02 * 2.5**2, rel=0.1)
    assert float(prose.cost(data).sel(scheme="held norms")) == pytest.approx(0, abs=1e-3)


def test_fig_widths_follows_its_law_after_the_first_steps():
    data = reference("fig-widths")
    measured = data["judged_angle"].isel(rate=0).mean("judging_seed").sel(look=slice(100, None))
    np.testing.assert_allclose(measured, data["angle_predicted"].sel(look=slice(100, None)), rtol=0.15)
