"""Captions and alternative texts say what the data show, also where a reader has changed a parameter."""

import re

import pytest

from nld import figures
from nld.inference.verdict import PASSES
from tests.figures.judged import outcomes
from tests.figures.stored import whole_reference
from tests.test_chapters import CHAPTERS

SHOWN = {
    name
    for chapter in CHAPTERS
    for source, _ in chapter.cells
    for name in re.findall(r"""figures\.show\(\s*["'](fig-[\w-]+)""", source)
}
NUMBER = r"(?<![\w-])\d+(?:\.\d+)?(?![\w-])"  # one of the data, not part of a name such as 2-Adam


def reference(name):
    stored = whole_reference(name)
    return stored.isel(arithmetic=0, drop=True) if "arithmetic" in stored.dims else stored


@pytest.mark.parametrize("name", figures.names())
def test_texts_of_the_reference_are_sentences_with_finite_numbers(name):
    module, data = figures.load(name), reference(name)
    for text in (module.caption(data), module.alt(data)):
        assert re.match(r"[A-Z0-9]", text)
        assert text.endswith(".")
        assert not re.search(r"\b(nan|inf|None)\b|  |[(\s]-0[\s,.]*(?![.\d])", text)
        assert "array(" not in text


@pytest.mark.parametrize("name", figures.names())
def test_an_alternative_text_tells_a_number_of_the_data(name):
    assert re.search(NUMBER, figures.load(name).alt(reference(name)))


@pytest.mark.parametrize(("text", "told"), [("It ends at 3.", 1), ("0.25 of it", 1), ("2-Adam and beta2 of fig-1", 0)])
def test_what_counts_as_a_number_in_an_alternative_text(text, told):
    assert len(re.findall(NUMBER, text)) == told


def test_each_figure_stands_in_a_chapter():
    assert sorted(SHOWN) == figures.names()


def test_fig_1_is_reproduced_whichever_start_is_ahead():
    module, data = figures.load("fig-1"), reference("fig-1")
    start = data["loss"].isel(step=0, drop=True).mean()
    swapped = data.assign(loss=data["loss"].copy(data=data["loss"].values[::-1]))
    same = data.assign(loss=data["loss"] * 0 + start)
    claim = "loss-symmetry-is-not-learning-symmetry"
    found = [outcomes(module, each, claim)["losses part"] for each in (data, swapped, same)]
    assert [outcome == PASSES for outcome in found] == [True, True, False]


def test_fig_2_counts_the_charges_that_fall_again():
    module, data = figures.load("fig-2"), reference("fig-2")
    assert "3 of the 4 fall again" in module.alt(data)
    first = data["scale"].values.copy()
    first[0, -1] = 0
    assert "4 of the 4 fall again" in module.alt(data.assign(scale=(data["scale"].dims, first)))
    slow = data.assign_coords(relaxation=data["relaxation"] / 10)
    assert "from 2 w²/ℓ at" in module.caption(slow)


def test_fig_answer_says_where_rounding_grows():
    module, data = figures.load("fig-answer"), reference("fig-answer")
    assert "covers the latter" in module.alt(data)
    assert "rounding" not in module.caption(data)
    loss = data["loss"].values.copy()
    loss[2, :, -1] *= 3
    apart = data.assign(loss=(data["loss"].dims, loss))
    assert "leaves the latter and ends at" in module.alt(apart)
    assert "amplifies rounding" in module.caption(apart)


def test_fig_decision_does_not_call_a_worse_network_better():
    module, data = figures.load("fig-decision"), reference("fig-decision")
    assert "network is better" in module.caption(data)
    accuracy = data["accuracy"].copy()
    accuracy.loc[{"weight_decay": data["decision"].values[0], "seed": data["seed"].values[0]}] = 0.99
    assert "network is not clearly better" in module.caption(data.assign(accuracy=accuracy))


def test_fig_effective_rates_says_what_weight_decay_does_and_who_is_lost():
    module, data = figures.load("fig-effective-rates"), reference("fig-effective-rates")
    assert "decay raises" in module.caption(data)
    assert "before their norms had grown" in module.caption(data)
    level = data.assign(half_rate=data["half_rate"] * 0 + 1, half_loss=data["half_loss"] * 0 + 0.1)
    assert "decay changes" in module.caption(level)
    assert "0 lie near it or above: none was lost" in module.caption(level)
    assert "of the 0 runs with rates above ten 0 guess" in module.alt(level)


def test_fig_schedules_without_momentum_has_no_buffer_to_match():
    module, data = figures.load("fig-schedules"), reference("fig-schedules")
    assert "if the buffer is left at zero" in module.caption(data)
    assert "no buffer to match" in module.caption(data.assign_attrs(momentum=0.0))


def test_fig_equilibrium_says_how_far_from_their_lines_the_curves_are():
    module, data = figures.load("fig-equilibrium"), reference("fig-equilibrium")
    far = data.assign(squared_angle=data["squared_angle"] * 0 + 0.39 * data["predicted"])
    assert "at 0.39, 0.39, 0.39, 0.39 times their lines" in module.alt(far)
    assert "settle" not in module.alt(far)


def test_fig_dictionary_gives_a_small_difference_its_digits():
    module, data = figures.load("fig-dictionary"), reference("fig-dictionary")
    near = data.assign(eq17=data["squared_norm"] * (1 + 2e-5))
    assert "at most 0.0021 %" in module.caption(near)


def test_fig_meta_adaptive_names_the_rates_at_which_2_adam_is_ahead():
    module, data = figures.load("fig-meta-adaptive"), reference("fig-meta-adaptive")
    data["method_loss"][{"method": 0}] = 1.0
    data["method_loss"][{"method": 1}] = 2.0
    assert "loss at 0 of 6." in module.judge(data)[2].numbers
    data["method_loss"][{"method": 1, "rate": 5}] = 0.5
    assert f"loss at 1 of 6: {float(data['rate'][5]):g} w." in module.judge(data)[2].numbers
