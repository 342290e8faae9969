"""`nld store`: damage is listed, what is out of date goes, what is current stays, and reading needs no writing."""

import errno
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from nld import figures
from nld.cli import main
from nld.experiment import Experiment, RunStore, run_sweep
from nld.experiment.runs import origin
from nld.figures.recording import figure_record
from nld.publish import inventory
from nld.publish.execution import chapter_cache
from nld.results import seals, store
from tests.figures.test_record import line

RUN = Experiment(steps=2, evaluate_every=2)


@pytest.fixture
def top(tmp_path, monkeypatch) -> Path:
    """The store of an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLD_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("NLD_FORCE", raising=False)
    monkeypatch.setattr(figure_record, "save", lambda draw, data, folder: (folder / "figure.svg").write_text("<svg>"))
    monkeypatch.setattr(figures, "names", lambda: ["fig-1", "fig-2"])  # asking the sources of all takes seconds
    return tmp_path / "store"


def figure(**parameters) -> Path:
    # Its source is that of the module that it names: fig-1.
    return figure_record.record_figure("fig-1", line(), "quick", parameters).folder


def old(path: Path) -> Path:
    """The path, as if all in it had been written two hours ago."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(each, (time.time() - 7200,) * 2)
    return path


def test_damage_is_listed_set_aside_and_gone(top, capsys):
    folder = figure()
    assert main(["store", "check"]) == 0
    (folder / "data.csv").write_text("cut")
    assert main(["store", "check"]) == 1
    said = "".join(capsys.readouterr())
    assert f"{folder / 'data.csv'} was altered or cut off" in said
    assert "1 damaged; 1 entries" in said
    assert main(["store", "repair"]) == 0
    aside = top / "damaged" / folder.relative_to(top)
    assert str(aside) in capsys.readouterr().err
    assert (aside / "data.csv").read_text() == "cut"
    assert main(["store", "check"]) == 0
    assert main(["store", "path"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(top)


def test_only_what_nothing_needs_is_removed(top, monkeypatch, capsys):
    def stale_figure():
        with monkeypatch.context() as patch:
            patch.setattr(figure_record, "packages", lambda: {"numpy": "0.1"})
            return figure(seed=1)

    def stale_run():
        with monkeypatch.context() as patch:
            patch.setattr(origin, "_sources", lambda monitored: "other")
            run_sweep([RUN.replace(seed=1)])
        return RunStore.default().path(RUN.replace(seed=1))

    def other_arithmetic(make):
        with monkeypatch.context() as patch:
            patch.setenv("NLD_THREADS", "2")
            return make()

    def written(name: str, text: str = "x") -> Path:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def copy(key: str, shown: list[Path]) -> Path:
        named = [path.relative_to(top).as_posix() for path in shown]
        blank = {"metadata": {"nld": {"figures": named, seals.MEMBER: seals.BLANK}}}
        return written(f"executed/{key}.ipynb", seals.seal_text(json.dumps(blank)))

    run_sweep([RUN])
    other_arithmetic(lambda: run_sweep([RUN]))
    shown = stale_figure()  # a page shows it, so it stays although its source changed
    store.write_sealed(top / "current" / "one.json", {"key": "shown", "changed": {}, "ingredients": {}})
    stays = [
        figure(),
        figure(slope=3.0),
        other_arithmetic(figure),
        shown,
        copy("shown", [shown]),
        top / "current" / "one.json",
        *(RunStore.default().folder.glob("*")),
        written("logs/one.log"),
        written("figures/fig-1/.new.abc/data.nc").parent,
        old(written("runs/.lock")),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(figure_record, "packages", lambda: {"numpy": "0.2"})
        superseded = figure(seed=2)
    goes = [
        superseded,
        stale_run(),
        copy("superseded", []),
        old(written("figures/fig-1/.key.abc/data.nc").parent),
        old(written("runs/.key.abc/figure_record.nc").parent),
        old(written("executed/.one.abc")),
        old(written("executed/k.part.ipynb")),
        written("damaged/figures/x").parent,
    ]
    assert main(["store", "gc", "--dry-run"]) == 0
    listed = capsys.readouterr().out
    for path in goes:
        assert path.exists()
        assert str(path.relative_to(top)) in listed
    assert len(listed.splitlines()) == len(goes) + 1
    assert main(["store", "gc"]) == 0
    assert [path for path in goes if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []
    assert main(["store", "gc"]) == 0
    assert "           0 bytes were removed" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.slow
def test_a_copy_that_a_plain_build_would_show_stays(book, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(book.store))
    canonical = chapter_cache.notebook_path(book.store, book.current("plain")["key"])
    assert book.build("--no-html", "--chapter", "plain", "-p", "seed", "5").returncode == 0
    rerun = chapter_cache.notebook_path(book.store, book.current("plain")["key"])
    removed = {each.path for each in inventory.stale(book.store, book.root)}
    assert canonical != rerun
    assert not removed & {canonical, rerun}


def test_a_killed_write_is_cleared_by_the_next_one_to_that_folder(top):
    young, dead = (top / "figures" / "fig-1" / name for name in (".young.abc", ".dead.abc"))
    for path in (young, dead):
        path.mkdir(parents=True)
        (path / "data.nc").touch()
    old(dead)
    figure()
    assert young.exists()
    assert not dead.exists()


@pytest.fixture
def read_only(tmp_path):
    """Make a folder a file system of its own, with what it holds, that cannot be written; root could write others."""
    mounted = []

    def freeze(folder: Path):
        shutil.move(folder, tmp_path / "aside")
        folder.mkdir()
        for command in (["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs"], ["mount", "-o", "remount,ro"]):
            result = subprocess.run([*command, folder], capture_output=True, text=True)
            if result.returncode:
                pytest.skip(f"needs root to mount a file system: {result.stderr.strip()}")
            if not mounted:
                mounted.append(folder)
                shutil.copytree(tmp_path / "aside", folder, dirs_exist_ok=True)

    yield freeze
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_a_store_that_cannot_be_written_shows_cites_exports_and_gathers(top, read_only, monkeypatch, capsys, request):
    monkeypatch.setattr(figures, "load", lambda name: line())
    root = str(request.config.rootpath)
    sweep = top.parent / "sweep.toml"
    sweep.write_text("[base]\nsteps = 2\nevaluate_every = 2\n[vary]\nseed = [0]\n")
    commands = [
        ["figure", "show", "fig-2"],
        ["figure", "cite", "fig-2", "--root", root],
        ["figure", "export", "fig-2", "--to", str(top.parent / "out")],
        ["sweep", "run", str(sweep)],
        ["sweep", "gather", str(sweep), "--output", str(top.parent / "out.nc")],
        ["sweep", "status", str(sweep)],
        ["store", "check", "--root", str(top.parent)],
        ["store", "gc", "--dry-run"],
    ]
    said = {}
    for where in ("writable", "read-only"):
        if where == "read-only":
            read_only(top)
            with pytest.raises(OSError, match="Read-only"):
                (top / "probe").touch()
        assert [main(command) for command in commands] == [0] * len(commands)
        said[where] = capsys.readouterr().out
    assert said["writable"] == said["read-only"]
    unheld = ["figure", "show", "fig-2", "-p", "learning_rate", "0.03"]  # so it would have to be written
    assert main(unheld) == 1
    advice = "make it writable, or name a folder that is, with NLD_STORE"
    assert f"Read-only file system; {advice}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space there"),
        (errno.EDQUOT, "free space there"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "make it writable"),
        (errno.ENOTDIR, "move it away"),
        (errno.EIO, "the disk fails"),
    ],
)
def test_each_failure_of_a_disk_has_its_own_advice(number, advice):
    said = store.failure(OSError(number, os.strerror(number), "/place"))
    assert said.startswith(f"cannot write /place: {os.strerror(number)}; ")
    assert advice in said


@pytest.mark.parametrize("target", ["n" * 300, "/".join(["deep"] * 1000)])
def test_a_name_that_is_too_long_is_told(top, monkeypatch, capsys, target):
    monkeypatch.setattr(figures, "load", lambda name: line())
    assert main(["figure", "export", "fig-1", "--to", target]) == 1
    assert "File name too long; choose a shorter name" in capsys.readouterr().err
    monkeypatch.setenv("NLD_STORE", f"{top}/{target}")
    assert main(["figure", "show", "fig-1"]) == 1
    assert "File name too long; choose a shorter name" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["check", "--all"], ["gc", "now"], [], ["mend"]])
def test_wrong_usage_of_the_store_has_status_two(top, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["store", *arguments])
    assert stopped.value.code == 2


@pytest.mark.parametrize("action", ["check", "repair", "gc", "path"])
def test_each_action_has_an_example(action, capsys):
    with pytest.raises(SystemExit):
        main(["store", action, "--help"])
    assert f"example:\n  nld store {action}" in capsys.readouterr().out
