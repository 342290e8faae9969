"""Builds that are interrupted, killed, or run side by side: nothing is lost or corrupted, no kernel is left."""

import json
import os
import signal

import psutil
import pytest
from filelock import FileLock, Timeout

from nld.cli import main
from nld.publish.execution import build
from nld.publish.exports import archive, pdf
from tests.publish.scratch import DEADLINE, GATE, Scratch, printed, wait_for

PARAMETER = "seed = 0  # from 0 to 9: seed"


@pytest.fixture
def gated(tmp_path) -> Scratch:
    """A book of a quick chapter and one that waits until the file `go` is there."""
    return Scratch(tmp_path / "book").make(
        {"quick": [PARAMETER, "print('quick is done')"], "gate": [PARAMETER, GATE, "print('went on')"]}
    )


def running(scratch: Scratch, chapters: int) -> list[int]:
    """The kernels, once so many chapters have begun."""
    return wait_for(lambda: len(found := scratch.kernels()) == chapters and found, f"{chapters} chapters to begin")


def check_store(scratch: Scratch) -> None:
    """Every finished entry is whole, and what the pages show exists."""
    for path in (scratch.store / "executed").glob("*.ipynb"):
        if not path.name.endswith((".part.ipynb", ".input.ipynb")):
            assert json.loads(path.read_text())["cells"]
    for path in (scratch.store / "current").glob("*.json"):
        assert scratch.executed(path.stem)["cells"]


def interrupt_parent(process):
    process.send_signal(signal.SIGINT)


def interrupt_group(process):
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does


def terminate(process):
    process.terminate()


def kill(process):
    process.kill()


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (interrupt_parent, 130),
        pytest.param(kill, -signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(interrupt_group, 130, marks=pytest.mark.slow),
        pytest.param(terminate, -signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_build_leaves_no_kernel_and_the_next_resumes(gated, stop, status):
    process = gated.start("--no-html", "--jobs", "1", start_new_session=True)
    kernels = running(gated, 2)
    stop(process)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == status
    if status == 130:
        assert "Interrupted. What was finished is kept" in said
        assert "Traceback" not in said
    wait_for(lambda: not any(psutil.pid_exists(kernel) for kernel in kernels), "the kernels to end")
    check_store(gated)
    assert gated.ran() == ["quick", "gate"]

    (gated.root / "go").touch()
    result = gated.build("--no-html")
    assert result.returncode == 0, result.stdout
    assert gated.ran() == ["gate"]
    assert printed(gated.executed("quick")) == "quick is done\n"
    assert printed(gated.executed("gate")) == "went on\n"


@pytest.mark.slow
def test_of_two_builds_one_waits_and_says_so(gated):
    first = gated.start("--no-html", "--jobs", "2")
    running(gated, 2)
    second = gated.start("--no-html", "--jobs", "2")
    assert second.stdout.readline() == "Another build runs in this checkout; waiting until it ends.\n"
    assert first.poll() is None
    (gated.root / "go").touch()
    said, _ = first.communicate(timeout=DEADLINE)
    assert first.returncode == 0, said
    said, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0, said
    assert "0 chapters to run, 2 unchanged" in said
    assert sorted(gated.ran()) == ["gate", "quick"]
    check_store(gated)


@pytest.mark.slow
def test_a_waiting_build_can_be_interrupted(gated):
    first = gated.start("--no-html", "--jobs", "2")
    running(gated, 2)
    second = gated.start("--no-html")
    assert "waiting" in second.stdout.readline()
    second.send_signal(signal.SIGINT)
    said, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 130, said
    (gated.root / "go").touch()
    said, _ = first.communicate(timeout=DEADLINE)
    assert first.returncode == 0, said


@pytest.mark.parametrize("action", ["pdf", "archive"])
def test_no_other_build_changes_the_book_while_it_is_printed_or_packed(tmp_path, monkeypatch, action):
    scratch = Scratch(tmp_path / "book").make({})

    def print_book(root, path):
        with pytest.raises(Timeout):
            FileLock(root / ".nld" / "build.lock").acquire(timeout=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("printed")

    monkeypatch.setattr(build, "update_pages", lambda *_: True)
    monkeypatch.setattr(pdf, "print_book", print_book)
    monkeypatch.setattr(archive, "write_archive", lambda root, book, path: print_book(root, path))
    monkeypatch.chdir(scratch.root)
    assert main(["book", action, "--to", "out"]) == 0
    assert (scratch.root / "out").exists()
    FileLock(scratch.store / "build.lock").acquire(timeout=0)
