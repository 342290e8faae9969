"""Damage of every kind to every kind of entry: each is noticed, none is shown, and the next command heals it.

What cannot be computed again, a stored result, is restored from the checkout or named as lost.
"""

import io
import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nld.cli import main
from nld.errors import Damaged
from nld.experiment import Experiment, RunStore, run_sweep
from nld.figures.recording import figure_record
from nld.publish import inventory
from nld.publish.execution import build, chapter_cache
from nld.publish.execution.build import Options
from nld.publish.execution.chapter_cache import Plan
from nld.publish.execution.chapters import read_chapters
from nld.results import seals, store, stored_results
from tests.figures.test_record import line
from tests.publish.scratch import Scratch

RUN = Experiment(steps=4, evaluate_every=2)


class Figure:
    """A recorded figure."""

    def __init__(self, top: Path, monkeypatch):
        def save(draw, data, folder):  # drawing takes half a second
            for name in ("figure.svg", "figure-dark.svg", "figure.pdf", "figure.png", "thumbnail.webp"):
                (folder / name).write_text(f"{name} of {float(data['y'].sum())}")

        monkeypatch.setattr(figure_record, "save", save)
        monkeypatch.delenv("NLD_FORCE", raising=False)
        self.top = top
        self.files = sorted(self.shown().folder.iterdir())

    def shown(self):
        return figure_record.record_figure("fig-line", line(), "quick", {"slope": 3.0})

    def show(self):
        shown = self.shown()
        origin = {**shown.provenance, "wall_seconds": None}
        drawn = {file.name: file.read_bytes() for file in shown.folder.glob("[ft]*")}
        return shown.data.load().to_dict(), origin, (shown.folder / "data.csv").read_text(), drawn


class Run:
    """A stored run, read as a sweep reads it."""

    def __init__(self, top: Path, monkeypatch):
        self.top = top
        self.show()
        self.files = sorted(RunStore.default().path(RUN).iterdir())

    def show(self):
        runs = RunStore.default()
        gathered = run_sweep([RUN])
        gathered.attrs["run_seconds"] = None
        return gathered.to_dict(), next(iter(runs)), runs.load(RUN).to_dict()


class Chapter:
    """An executed chapter and the record that it is current."""

    def __init__(self, top: Path, monkeypatch):
        self.top, self.root = top, top.parent
        Scratch(self.root).make({"plain": ["seed = 0  # from 0 to 9: seed", "print(3)"]})
        (self.plan,) = (Plan(chapter) for chapter in read_chapters(self.root) if chapter.cells)

        def run_jobs(jobs, *_):
            for job in jobs:
                job.output.parent.mkdir(parents=True, exist_ok=True)
                outputs = [{"text": ["a number: 0.12345\n"]}]
                metadata = {"nld": {"figures": [], seals.MEMBER: seals.BLANK}}
                text = json.dumps({"cells": [{"outputs": outputs}], "metadata": metadata}, indent=1)
                job.output.write_text(seals.seal_text(text))
                yield job, {"status": "done", "seconds": 1.0}

        monkeypatch.setattr(build, "run_jobs", run_jobs)
        self.show()
        self.files = [chapter_cache.notebook_path(top, self.plan.key), chapter_cache.current_path(top, "plain")]

    def show(self):
        assert build.build(self.root, Options(html=False, chapters=("plain",))) == 0
        assert chapter_cache.why(self.top, self.plan) == []
        current = chapter_cache.current(self.top, self.plan.chapter)
        return current, chapter_cache.notebook_path(self.top, current["key"]).read_text()


class Evidence:
    """A stored result in a checkout; the command that heals it is `nld store repair`."""

    def __init__(self, top: Path, monkeypatch):
        self.top, self.root = top, top.parent
        folder = self.root / "results"
        (folder / "paper").mkdir(parents=True)
        xr.Dataset({"y": ("x", np.arange(9.0))}).to_netcdf(folder / "paper" / "one.nc", engine="h5netcdf")
        (folder / "paper" / "two.nc").write_bytes(bytes(range(256)))
        stored_results.list_again(folder)
        monkeypatch.setattr(stored_results, "ROOTS", (self.root,))
        for command in ("init -q", "add .", "-c user.name=n -c user.email=e commit -qm results"):
            subprocess.run(["git", *command.split()], cwd=self.root, check=True)
        self.files = [folder / "paper" / "one.nc", folder / "paper" / "two.nc", folder / seals.SUMS]

    def read(self):
        return [path.read_bytes() for path in stored_results.matching(self.root, "results/paper/*.nc")]

    def show(self):
        if not stored_results.flaws(self.root / "results"):
            return self.read()
        with pytest.raises(Damaged, match=r"git checkout -- results/"):
            self.read()
        assert main(["store", "repair", "--root", str(self.root)]) == 0
        return self.read()


KINDS = {"figure": Figure, "run": Run, "chapter": Chapter, "evidence": Evidence}


def damage(file: Path, draw: random.Random) -> str:
    """Flip a bit, cut the file off, or remove it."""
    content = file.read_bytes()
    how = draw.choice(("flip", "flip", "cut", "remove")) if content else "remove"
    if how == "remove":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: draw.randrange(len(content))])
    else:
        bit = draw.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
    return how


def known_damage(kind, file: Path) -> bool:
    """Whether something would not be shown as it is; a single file that is gone is not there to be shown."""
    found = [*inventory.damaged(kind.top)]
    if isinstance(kind, Evidence):
        found += stored_results.flaws(kind.root / "results")
    return bool(found) or (isinstance(kind, Chapter) and not file.exists())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_all_damage_is_noticed_none_is_shown_and_all_is_healed(tmp_path, monkeypatch, capsys, name, count):
    top = tmp_path / "book" / ".nld"
    monkeypatch.setenv("NLD_STORE", str(top))
    monkeypatch.delenv("NLD_QUIET", raising=False)
    kind, draw = KINDS[name](top, monkeypatch), random.Random(count)
    whole = kind.show()
    noticed, wrong, healed, named = 0, 0, 0, 0
    for _ in range(count):
        file = draw.choice(kind.files)
        how = damage(file, draw)
        noticed += known_damage(kind, file)
        capsys.readouterr()
        wrong += kind.show() != whole
        said = "".join(capsys.readouterr())
        named += str(file) in said or (name == "chapter" and how == "remove")
        healed += not known_damage(kind, file)
    assert (noticed, wrong, healed, named) == (count, 0, count, count)


def test_a_chapter_does_not_publish_what_it_met_and_the_build_says_it(tmp_path, monkeypatch, capsys):
    top = tmp_path / "book" / ".nld"
    monkeypatch.setenv("NLD_STORE", str(top))
    kind, run_jobs = Chapter(top, monkeypatch), build.run_jobs
    said = []

    def meet(jobs, *arguments):
        monkeypatch.setenv("NLD_QUIET", "1")  # as in a kernel
        store.tell("a run that was altered", top)
        monkeypatch.delenv("NLD_QUIET")
        said.append("".join(capsys.readouterr()))
        return run_jobs(jobs, *arguments)

    monkeypatch.delenv("NLD_QUIET", raising=False)
    monkeypatch.setattr(build, "run_jobs", meet)
    kind.files[0].unlink()
    out = io.StringIO()
    assert build.build(kind.root, Options(html=False), out) == 0
    assert "a run" not in said[0]
    assert out.getvalue().count("a run that was altered") == 1


def test_what_no_checkout_holds_is_named_as_lost(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NLD_STORE", str(tmp_path / "book" / ".nld"))
    kind = Evidence(tmp_path / "book" / ".nld", monkeypatch)
    kind.files[1].unlink()
    (kind.root / ".git").rename(tmp_path / "elsewhere")
    assert main(["store", "check", "--root", str(kind.root)]) == 1
    assert main(["store", "repair", "--root", str(kind.root)]) == 1
    assert f"{kind.files[1]} is lost" in capsys.readouterr().out


def test_results_of_this_checkout_are_what_their_checksums_say(request):
    folder = request.config.rootpath / "results"
    assert stored_results.flaws(folder) == [], "on purpose? then: python -m nld.results.stored_results"
    listed = seals.read_sums(folder / seals.SUMS)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.nc")} <= set(listed)
    assert not [name for name in listed if name.startswith("bench/")]  # each `make bench` writes them anew


def test_timings_are_not_listed(tmp_path):
    folder = tmp_path / "results"
    (folder / "bench").mkdir(parents=True)
    (folder / "kept").mkdir()
    (folder / seals.SUMS).write_text(seals.sums(()))
    for path in (folder / "bench" / "some.csv", folder / "kept" / "some.csv"):
        path.write_text("a,b\n1,2\n")
        stored_results.note(path)
    assert set(seals.read_sums(folder / seals.SUMS)) == {"kept/some.csv"}
    assert stored_results.flaws(folder) == []


def test_a_new_result_is_listed_when_it_is_written_and_an_unlisted_one_is_refused(tmp_path, monkeypatch):
    kind = Evidence(tmp_path / "book" / ".nld", monkeypatch)
    new = kind.root / "results" / "evidence" / "three.nc"
    new.parent.mkdir()
    new.write_bytes(b"3")
    with pytest.raises(Damaged, match="not listed"):
        stored_results.whole(new)
    stored_results.note(new)
    assert stored_results.whole(new) == new
    with pytest.raises(FileNotFoundError):
        stored_results.whole(new.with_name("four.nc"))
    monkeypatch.setattr(stored_results, "ROOTS", ())
    (kind.root / "results" / seals.SUMS).unlink()  # somebody's own folder
    assert stored_results.whole(new) == new


def test_a_sealed_text_is_known_by_any_bit(tmp_path):
    path = tmp_path / "one.json"
    store.write_sealed(path, {"value": 1.5, "text": f'"{seals.MEMBER}": "{"a" * 64}"'})
    content = path.read_bytes()
    assert seals.flaw(path) == ""
    assert json.loads(content)["value"] == 1.5
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert seals.flaw(path)
    path.write_bytes(content)
    assert seals.flaw(path) == ""


def test_the_checksums_of_a_folder_are_those_of_sha256sum(tmp_path):
    with store.new_entry(tmp_path / "entry") as folder:
        (folder / "data").write_bytes(b"data")
        (folder / "empty").touch()
    checked = subprocess.run(["sha256sum", "--strict", "-c", seals.SUMS], cwd=tmp_path / "entry", capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert [file.name for file in seals.sealed_files(tmp_path / "entry")] == ["data", "empty"]
