"""A declared parameter accepts what is in its range, of its type, and nothing else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nld.errors import ParameterError
from nld.publish.execution.parameters import read_parameters

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).map(lambda name: f"p_{name}")


def declared(name, default, rule):
    return read_parameters(f"{name} = {default!r}  # {rule}: meaning", "chapter.md")[name]


@given(names, st.lists(finite, min_size=3, max_size=3, unique=True).map(sorted), st.floats())
def test_floats(name, ends, value):
    low, default, high = ends
    parameter = declared(name, default, f"from {low!r} to {high!r}, w²/ℓ")
    if low <= value <= high:
        assert parameter.parse(repr(value)) == value
    else:
        with pytest.raises(ParameterError, match=name):
            parameter.parse(repr(value))


@given(names, st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=3).map(sorted), st.integers())
def test_integers(name, ends, value):
    low, default, high = ends
    parameter = declared(name, default, f"from {low} to {high}")
    if low <= value <= high:
        parsed = parameter.parse(str(value))
        assert parsed == value
        assert type(parsed) is int
    else:
        with pytest.raises(ParameterError, match=name):
            parameter.parse(str(value))


@given(names, st.text())
def test_any_text_is_parsed_or_refused_by_name(name, text):
    for default, rule in ((3, "from 0 to 9"), (0.5, "from 0 to 1"), ("a", "one of a, b"), (True, "true or false")):
        parameter = declared(name, default, rule)
        message = None
        try:
            value = parameter.parse(text)
        except ParameterError as error:
            message = str(error)
        if message is not None:
            assert name in message
            assert parameter.range in message
        else:
            assert type(value) is type(default)
            assert not isinstance(value, float) or math.isfinite(value)
            assert parameter.parse(str(value)) == value  # what was accepted is accepted again, unchanged


@pytest.mark.parametrize(
    ("default", "rule", "accepted", "refused"),
    [
        ("a", "one of a, b c", {"a": "a", "b c": "b c"}, ["c", "A", ""]),
        (2, "one of 2, 4, 8", {"4": 4}, ["3", "4.0", "two"]),
        (0.5, "one of 0.5, 0.9", {"0.90": 0.9}, ["0.8", "nan"]),
        (True, "true or false", {"true": True, "False": False}, ["1", "yes", ""]),
    ],
)
def test_choices(default, rule, accepted, refused):
    parameter = declared("choice", default, rule)
    for text, value in accepted.items():
        parsed = parameter.parse(text)
        assert parsed == value
        assert type(parsed) is type(value)
    for text in refused:
        with pytest.raises(ParameterError, match="choice"):
            parameter.parse(text)


@pytest.mark.parametrize(
    ("default", "rule", "example"),
    [
        (0, "from 0 to 9999", "7"),
        (0.1, "from 0.001 to 1", "0.2"),
        (0.0, "from 0 to 0.1", "0.1"),
        (0.9, "from 0 to 0.9", "0"),
        (-0.5, "from -1 to 1", "-1"),
        (-1.0, "from -1 to 1", "1"),
        (600000, "from 1 to 9999999", "1200000"),
        (8, "one of 4, 8, 16", "4"),
        (4, "one of 4, 8, 16", "8"),
        (True, "true or false", "False"),
        ("a", "one of a, b", "b"),
        (3, "from 3 to 3", "3"),
    ],
)
def test_the_example_of_a_chapters_command_is_admissible_and_changes_something(default, rule, example):
    parameter = declared("p", default, rule)
    assert parameter.example == example
    parameter.parse(example)


def test_a_cell_declares_several_in_order_and_skips_comments():
    source = "# a comment\n\nb = 1  # from 0 to 2: b\na = -0.5  # from -1 to 1, w: a # with a hash\n"
    parameters = read_parameters(source, "chapter.md")
    assert list(parameters) == ["b", "a"]
    assert (parameters["a"].unit, parameters["a"].meaning) == ("w", "a # with a hash")
