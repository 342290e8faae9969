"""A formula and the punctuation behind it stay on one line; nothing else is touched."""

import pytest

from nld.publish.pages.page_heads import keep_punctuation

FORMULA = '<span class="math notranslate nohighlight">\\(a_{%s}\\)</span>'


@pytest.mark.parametrize("mark", [",", ".", ";", ":", ").", "”,"])
def test_punctuation_stays_with_its_formula(mark):
    formula = FORMULA % "n"
    assert keep_punctuation(f"so {formula}{mark} then") == f'so <span class="nld-keep">{formula}{mark}</span> then'


def test_text_between_two_formulas_may_be_broken():
    first, second = FORMULA % "1", FORMULA % "2"
    page = f"{first} and much more text until {second}."
    assert keep_punctuation(page) == f'{first} and much more text until <span class="nld-keep">{second}.</span>'


@pytest.mark.parametrize("after", [" then", "-axis", "<em>.</em>", ""])
def test_what_may_be_broken_is_left(after):
    page = f"<p>{FORMULA % 'n'}{after}</p>"
    assert keep_punctuation(page) == page


def test_two_formulas_are_kept_one_by_one():
    first, second = FORMULA % "1", FORMULA % "2"
    kept = keep_punctuation(f"{first}, {second}.")
    assert kept == f'<span class="nld-keep">{first},</span> <span class="nld-keep">{second}.</span>'
