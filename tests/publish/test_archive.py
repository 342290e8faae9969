"""The archive: complete, described, checksummed, and the same bytes each time."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml

from nld.publish.execution.execute import make_reproducible
from nld.publish.exports.archive import collect, differences, write_archive
from tests.publish.scratch import REPOSITORY, Scratch

ADVICE = 'needs {0}: pip install -c constraints.txt -e ".[archive]"'
rocrate = pytest.importorskip("rocrate.rocrate", reason=ADVICE.format("rocrate"))
pytest.importorskip("hatchling", reason=ADVICE.format("hatchling"))


@pytest.fixture(scope="module")
def pdf(tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    path.write_bytes(b"%PDF-1.4 a stand-in")
    return path


def release(scratch: Scratch) -> Scratch:
    """Add to a book what a release has and a build does not need."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(REPOSITORY / name, scratch.root)
    shutil.copytree(REPOSITORY / "results", scratch.root / "results")
    return scratch


@pytest.fixture(scope="module")
def released(built, tmp_path_factory):
    """The built book with its pages, to be packed. Do not change it."""
    root = tmp_path_factory.mktemp("released") / "book"
    shutil.copytree(built.root, root, ignore=shutil.ignore_patterns("__pycache__", "trace"))
    return release(Scratch(root, package=True))


@pytest.fixture(scope="module")
def packed(released, pdf, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "nld-test.zip"
    write_archive(released.root, pdf, path)
    return path


@pytest.fixture(scope="module")
def opened(packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder / "nld-test"


def test_two_archives_are_the_same_bytes_whatever_the_runs_took(released, pdf, packed, tmp_path):
    folder = next((released.store / "figures" / "fig-toy").glob("*/provenance.json")).parent
    page = released.root / "_build" / "html" / "figures" / "fig-toy"
    before = {file: (page / file).read_text() for file in ("provenance.json", "provenance.js")}
    origin = json.loads((folder / "provenance.json").read_text())
    slower = json.dumps({**origin, "wall_seconds": 1e4}, indent=1, ensure_ascii=False)
    seconds = json.loads(before["provenance.js"].rpartition("] = ")[2].rstrip(";\n"))["wall_seconds"]
    try:
        (page / "provenance.json").write_text(slower)
        (page / "provenance.js").write_text(before["provenance.js"].replace(seconds, "9.9 s"))
        again = tmp_path / "nld-test.zip"
        write_archive(released.root, pdf, again)
    finally:
        for file, text in before.items():
            (page / file).write_text(text)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(packed.read_bytes()).digest()


@pytest.mark.slow
def test_two_archives_are_the_same_bytes_though_all_was_executed_again_elsewhere(built, pdf, packed, tmp_path):
    again = built.copy(tmp_path / "elsewhere")
    for folder in ("executed", "figures", "current"):
        shutil.rmtree(again.store / folder)
    assert again.build("--jobs", "1").returncode == 0
    assert sorted(again.ran()) == ["picture", "plain", "reaching"]
    write_archive(release(again).root, pdf, tmp_path / "nld-test.zip")
    assert differences(packed, tmp_path / "nld-test.zip") == []
    assert (tmp_path / "nld-test.zip").read_bytes() == packed.read_bytes()


def test_what_differs_between_two_archives_is_named(packed, tmp_path):
    other = tmp_path / "nld-test.zip"
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(other, "w") as target:
        for entry in source.infolist():
            if entry.filename != "nld-test/LICENSE" and not entry.filename.endswith("index.html"):
                target.writestr(entry, source.read(entry))
        target.writestr("nld-test/index.html", "another")
        target.writestr("nld-test/added", "")
    with zipfile.ZipFile(packed) as source:
        gone = {name for name in source.namelist() if name.endswith(("index.html", "/LICENSE"))}
    assert differences(packed, other) == sorted(gone | {"nld-test/added"})
    assert differences(packed, packed) == []


def test_an_executed_notebook_keeps_no_time_and_no_random_identifier():
    """Two runs of the same cells on machines that are unequally busy."""

    def ran(second: int, pieces: list[str]):
        stamp = f"2026-01-01T00:00:{second:02d}"
        before, after = (
            [nbformat.v4.new_output("stream", name="stdout", text=piece) for piece in pieces] for _ in range(2)
        )
        warning = nbformat.v4.new_output("stream", name="stderr", text="a warning")
        shown = nbformat.v4.new_output("display_data", {"text/plain": "a figure"})
        code = nbformat.v4.new_code_cell(
            "print()",
            outputs=[*before, warning, shown, *after],
            metadata={"tags": ["kept"], "papermill": {"start_time": stamp}, "execution": {"iopub.status.busy": stamp}},
        )
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), code])

    one, other = ran(1, ["first\nsecond\n"]), ran(2, ["first\n", "sec", "ond\n"])
    assert nbformat.writes(one) != nbformat.writes(other)
    other.nbformat_minor = 4  # older, without identifiers
    for cell in other.cells:
        del cell["id"]
    make_reproducible(one)
    make_reproducible(other)
    assert nbformat.writes(one) == nbformat.writes(other)
    nbformat.validate(other)
    assert other.cells[1].metadata == {"tags": ["kept"]}
    kinds = [(output.output_type, output.get("text")) for output in other.cells[1].outputs]
    assert kinds == [
        ("stream", "first\nsecond\n"), ("stream", "a warning"), ("display_data", None), ("stream", "first\nsecond\n"),
    ]  # fmt: skip


def test_it_holds_what_a_reader_and_a_librarian_need(opened):
    for name in (
        "index.html",
        "book.pdf",
        "CITATION.cff",
        "README.txt",
        "constraints.txt",
        "results/reference/fig-1.nc",
        "results/photographs/photographs-momentum.nc",
        "results/bench/book.csv",
        "runs/manifest.json",
        "html/figures/fig-toy/datapackage.json",
        ".zenodo.json",
        "ro-crate-metadata.json",
        "notebooks/picture.ipynb",
        "html/book/picture.html",
        "html/figures/fig-toy/data.nc",
        "html/figures/fig-toy/data.csv",
        "html/_static/mathjax/tex-chtml.js",
    ):
        assert (opened / name).stat().st_size > 0, name
    assert 'url=html/book/index.html"' in (opened / "index.html").read_text()


def test_every_file_has_its_checksum_and_they_hold(opened):
    lines = (opened / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    files = {path.relative_to(opened).as_posix() for path in opened.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert sums.keys() == files
    assert list(sums) == sorted(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((opened / name).read_bytes()).hexdigest() == digest, name


def test_the_crate_is_valid_and_describes_every_figure(opened):
    crate = rocrate.ROCrate(opened)
    assert crate.metadata.id == "ro-crate-metadata.json"
    root = crate.root_dataset
    for required in ("name", "description", "datePublished", "license"):  # RO-Crate 1.1, "Root Data Entity"
        assert root[required], required
    described = json.loads((opened / "ro-crate-metadata.json").read_text())
    assert described["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    graph = {entity["@id"]: entity for entity in described["@graph"]}
    assert max(Counter(entity["@id"] for entity in described["@graph"]).values()) == 1
    assert graph["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    assert {"book.pdf", "html/figures/fig-toy/data.nc", "notebooks/picture.ipynb"} <= parts
    for name in parts:
        content = (opened / name).read_bytes()
        assert graph[name]["@type"] == "File"
        assert graph[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert graph[name]["contentSize"] == str(len(content))
    run = graph["#run-fig-toy"]
    assert run["@type"] == "CreateAction"
    assert {"@id": "html/figures/fig-toy/data.nc"} in run["result"]
    for entity in described["@graph"]:  # whatever is pointed to inside the crate is in it
        for value in entity.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and "@id" in item and not item["@id"].startswith("http"):
                    assert item["@id"] in graph


def test_zenodo_gets_the_citation(opened):
    record = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    zenodo = json.loads((opened / ".zenodo.json").read_text())
    assert zenodo["title"] == record["title"]
    assert zenodo["version"] == str(record["version"])
    assert any(item["identifier"] == "arXiv:2105.02716" for item in zenodo["related_identifiers"])


def test_hidden_files_and_locks_stay_out(released, pdf):
    record = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    names = collect(released.root, pdf, record)
    assert not [name for name in names if name.endswith((".lock", ".buildinfo", ".part.ipynb"))]


def test_a_missing_file_leaves_the_earlier_archive_as_it_was(released, pdf, packed, tmp_path):
    root, path = tmp_path / "book", tmp_path / "nld-test.zip"
    shutil.copytree(released.root, root)
    shutil.copy(packed, path)
    before = path.read_bytes()
    for lost in ("LICENSE", "results/reference/fig-1.nc", "_build/html/figures/fig-toy/datapackage.json"):
        (root / lost).rename(tmp_path / "aside")
        with pytest.raises((FileNotFoundError, RuntimeError), match=lost.rpartition("/")[2]):
            write_archive(root, pdf, path)
        (tmp_path / "aside").rename(root / lost)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if "zip" in file.name] == ["nld-test.zip"]


def test_a_write_that_fails_leaves_the_earlier_archive_as_it_was(released, pdf, tmp_path, monkeypatch):
    path = tmp_path / "nld-test.zip"
    path.write_bytes(b"the earlier one")
    write, written = zipfile.ZipFile.writestr, []

    def fail_in_the_middle(self, *arguments):
        if len(written) == 20:
            raise OSError(28, "No space left on device")
        written.append(arguments)
        write(self, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail_in_the_middle)
    with pytest.raises(OSError, match="No space left"):
        write_archive(released.root, pdf, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("nld-test.zip", b"the earlier one")]


@pytest.mark.slow
def test_the_package_in_it_draws_the_same_figures_far_from_the_checkout(opened, tmp_path):
    """As its README.txt says, but for the downloads: the packages that nld needs are those of the running Python."""
    (wheel,) = opened.glob("nld-*.whl")
    assert f'pip install -c constraints.txt "./{wheel.name}[fast]"' in (opened / "README.txt").read_text("utf-8")
    builder = venv.EnvBuilder(with_pip=False, symlinks=True)
    builder.create(tmp_path / "v")
    python = tmp_path / "v" / "bin" / "python"
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *install], check=True)
    (there,) = tmp_path.glob("v/lib/python*/site-packages")
    (there / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    clean = {n: text for n, text in os.environ.items() if not n.startswith(("NLD_", "PYTHON", "PYTEST"))}
    (tmp_path / "empty").mkdir()

    def ran(command, folder, **settings):
        done = subprocess.run(command, cwd=folder, env={**clean, **settings}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    place = ran([python, "-c", "import nld; print(nld.__file__)"], tmp_path / "empty").strip()
    assert place == str(there / "nld" / "__init__.py")
    names = ["fig-toy", "fig-orders", "fig-amplification"]  # the last reads judging seeds that the package carries
    shown = dict(
        line.split(": ")
        for line in ran([python.with_name("nld"), "figure", "show", *names], tmp_path / "empty").splitlines()
    )
    folders = {name: opened / "html" / "figures" / name for name in names[:1]}
    command = [sys.executable, "-m", "nld.cli", "figure", "show", *names[1:]]
    said = ran(command, REPOSITORY, NLD_STORE=str(tmp_path / "store"), PYTHONPATH=str(REPOSITORY))
    folders |= {name: Path(folder) for name, folder in (line.split(": ") for line in said.splitlines())}
    for name in names:
        assert shown[name].startswith(str(tmp_path / "empty" / ".nld"))
        for file in ("data.nc", "data.csv", "datapackage.json", "figure.svg"):
            assert (folders[name] / file).read_bytes() == (Path(shown[name]) / file).read_bytes(), (name, file)
    for name in names[1:]:  # the same source, as far as a name says it
        assert folders[name].name == Path(shown[name]).name
    assert "fig-orders: agrees" in ran([python.with_name("nld"), "figure", "verify", "fig-orders"], opened)
