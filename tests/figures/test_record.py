"""A recorded figure: all files, equal bytes for equal data, and a citation that points at its data."""

import csv
import hashlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nld import figures
from nld.cli import main
from nld.figures import catalogue, load, names, show
from nld.figures._render.style import new_figure
from nld.figures.recording import figure_record
from nld.publish.pages.card import rerun_command
from nld.publish.pages.citation import citation

FILES = {
    "figure.svg", "figure-dark.svg", "figure.pdf", "figure.png", "thumbnail.webp", "data.nc", "data.csv",
    "datapackage.json", "provenance.json", "SHA256SUMS",
}  # fmt: skip


def compute(profile, *, seed=0, slope=2.0):
    x = np.arange(4.0)
    return xr.Dataset({"y": ("x", slope * x + seed, {"units": "w"})}, coords={"x": x, "name": "line"})


def draw(data):
    figure, axes = new_figure()
    axes.plot(data["x"], data["y"])
    axes.set(xlabel="position $x$ [1]", ylabel="weight $y$ [w]")
    return figure


def line(alt="A line."):
    return SimpleNamespace(
        __name__="nld.figures.fig_1",
        compute=compute,
        draw=draw,
        caption=lambda d: "A line. It rises.",
        alt=lambda d: alt,
    )


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    monkeypatch.delenv("NLD_FORCE", raising=False)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch):
    """Drawing takes half a second."""
    monkeypatch.setattr(figure_record, "save", lambda draw, data, folder: (folder / "figure.svg").write_text("<svg>"))


def test_every_file_is_written_and_data_come_back_equal(store):
    shown = figure_record.record_figure("fig-line", line(), "quick", {"slope": 3.0})
    assert {path.name for path in shown.folder.iterdir()} == FILES
    xr.testing.assert_identical(shown.data.load(), compute("quick", slope=3.0))
    assert shown.provenance["parameters"] == {"seed": 0, "slope": 3.0}
    rows = list(csv.DictReader(io.StringIO((shown.folder / "data.csv").read_text())))
    assert [float(row["value"]) for row in rows] == [0.0, 3.0, 6.0, 9.0]
    assert {row["unit"] for row in rows} == {"w"}


def test_equal_data_give_equal_bytes(store, monkeypatch):
    shown = figure_record.record_figure("fig-line", line(), "quick", {})
    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in shown.folder.iterdir()}
    monkeypatch.setenv("NLD_FORCE", "1")
    again = figure_record.record_figure("fig-line", line(), "quick", {})
    after = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in again.folder.iterdir()}
    assert again.folder == shown.folder
    assert {name for name in FILES if before[name] != after[name]} <= {"provenance.json", "SHA256SUMS"}  # the wall time


def test_other_parameters_are_another_entry(store, undrawn):
    one, two = (figure_record.record_figure("fig-line", line(), "quick", {"seed": seed}) for seed in (0, 1))
    assert one.folder != two.folder
    assert not one.data.equals(two.data)


def test_another_version_of_a_package_is_another_entry(store, undrawn, monkeypatch):
    one = figure_record.record_figure("fig-line", line(), "quick", {})
    monkeypatch.setattr(figure_record, "packages", lambda: {"numpy": "99"})
    two = figure_record.record_figure("fig-line", line(), "quick", {})
    assert one.folder != two.folder
    assert one.provenance["source_hash"] == two.provenance["source_hash"]


def test_dark_drawing_differs_in_the_colours_of_text_and_blue_only(store):
    folder = figure_record.record_figure("fig-line", line(), "quick", {}).folder
    # Identifiers are hashes of what they name, colour included.
    light, dark = (re.sub(r"\bn[0-9a-f]{5}\b", "", (folder / f).read_text()) for f in ("figure.svg", "figure-dark.svg"))
    assert light != dark
    assert dark.replace("#d8d8d8", "#222222").replace("#4d88ea", "#0072b2") == light


@pytest.mark.parametrize(
    ("profile", "parameters", "alt", "message"),
    [
        ("paper-ish", {}, "A line.", "expected a profile in"),
        ("quick", {"slop": 1.0}, "A line.", r"among \['seed', 'slope'\], got \['slop'\]"),
        ("quick", {}, "  ", "alt: expected a description"),
    ],
)
def test_bad_figure_is_refused_and_leaves_nothing(store, profile, parameters, alt, message):
    with pytest.raises(ValueError, match=message):
        figure_record.record_figure("fig-line", line(alt), profile, parameters)
    assert not list(store.rglob("provenance.json"))


def test_unknown_figure_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'fig-answer'"):
        show("fig-anser")


@pytest.mark.parametrize("name", names())
def test_every_figure_defines_its_parts(name):
    module = load(name)
    assert (module.__doc__ or "").strip(), "the first line of the description is the figure's title in lists"


def test_the_cards_command_asks_for_the_same_figure_again(store, undrawn, monkeypatch, capsys):
    shown = figure_record.record_figure("fig-line", line(), "quick", {"seed": 3, "slope": 1e-5})
    program, *arguments = rerun_command(shown.provenance).split()
    assert program == ".venv/bin/nld"
    for place in (figures, catalogue):
        monkeypatch.setattr(place, "load", lambda name: line())
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"fig-line: {shown.folder}\n"


def test_citation_names_version_permalink_and_data(store, undrawn, request):
    folder = figure_record.record_figure("fig-line", line(), "quick", {}).folder
    found = citation(request.config.rootpath, folder, "book/index")
    digest = hashlib.sha256((folder / "data.nc").read_bytes()).hexdigest()[:32]
    assert found.title == "A line"
    for text in (found.bibtex, found.csl, found.text):
        assert "book/index.html#fig-line" in text
        assert digest in text
    (item,) = json.loads(found.csl)
    assert item["issued"] == {"date-parts": [[found.year]]}
    assert found.bibtex.count("{") == found.bibtex.count("}")
