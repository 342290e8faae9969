"""The page of names lists what can be imported, says what each name is, and links to files that exist."""

import re
from pathlib import Path

import pytest

import nld
from nld import experiment, figures, finder, learning_rules, monitor, theory
from nld.learning_rules import rules
from nld.publish.pages import reference

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module", [nld, finder, monitor, theory, experiment, figures, learning_rules, rules], ids=lambda m: m.__name__
)
def test_every_public_name_has_its_line_and_its_source(module):
    rows = re.findall(r"^- \[`(\w+)`\]\(\S+?/blob/main/(\S+)\): (.*)$", reference.names(module).text, re.MULTILINE)
    values = {name: getattr(module, name) for name in getattr(module, "__all__", [])}
    assert {name for name, value in values.items() if callable(value)} <= {name for name, _, _ in rows}
    for name, path, line in rows:
        assert (ROOT / path).is_file(), name
        assert len(line) > 10, f"{name} needs a first line of documentation"


def test_names_without_a_list_are_those_that_the_module_defines():
    text = reference.names(rules).text
    assert "`heavy_ball`" in text
    assert "`dataclass`" not in text


def test_the_page_shows_every_name_of_the_package():
    page = (ROOT / "book/names.md").read_text("utf-8")
    shown = set(re.findall(r"reference\.names\((\w+)\)", page))
    assert {
        "nld",
        "monitor",
        "learning_rules",
        "finder",
        "symmetry",
        "theory",
        "experiment",
        "figures",
    } <= shown
