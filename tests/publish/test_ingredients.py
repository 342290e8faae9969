"""Whatever can change the outputs of a chapter or of a figure is in the name under which they are kept."""

import pytest

from nld.publish.execution.chapter_cache import Plan, differences
from nld.publish.execution.chapters import Chapter
from nld.results import provenance
from tests.publish.scratch import HEADER

CELLS = (
    "seed = 0  # from 0 to 9: seed",
    "%time\nfrom pathlib import Path\n\nprint(Path('../tests'), Path('../notes.txt'))",
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book of one chapter that names a folder and a file beside it; packages are looked up anew."""
    files = {"tests/laws/test_a.py": "def test_a(): ...\n", "notes.txt": "one", "unnamed.txt": "one"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    cells = "".join(f"\n```{{code-cell}} ipython3\n{cell}\n```\n" for cell in CELLS)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "names.md").write_text(HEADER.format(title="Names") + cells)
    provenance.packages.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    provenance.packages.cache_clear()


def newer_torch(root, monkeypatch):
    version = provenance.metadata.version
    monkeypatch.setattr(provenance.metadata, "version", lambda name: "99" if name == "torch" else version(name))
    provenance.packages.cache_clear()


CHANGES = {
    "a test that was edited": (lambda root, _: (root / "tests/laws/test_a.py").write_text("x"), "files of ../tests"),
    "a test that moved": (lambda root, _: (root / "tests/laws").rename(root / "tests/rules"), "files of ../tests"),
    "a file": (lambda root, _: (root / "notes.txt").write_text("two"), "files of ../notes.txt"),
    "a package": (newer_torch, "package torch"),
    "a file that no cell names": (lambda root, _: (root / "unnamed.txt").write_text("two"), None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_chapter_runs_again_when_what_it_names_or_computes_with_changes(root, monkeypatch, change):
    before = Plan(Chapter("book/names", 1, root))
    assert before.key
    act, name = CHANGES[change]
    act(root, monkeypatch)
    after = Plan(Chapter("book/names", 1, root))
    assert differences(before.ingredients, after.ingredients) == ([f"{name} changed"] if name else [])
    assert (before.key != after.key) == bool(name)
