"""Chapters that fail: each is named with its cell and its error, its remains are kept, the others finish."""

import contextlib
import io
import json
import re
import resource
import shutil
import subprocess

import psutil
import pytest

from nld.cli import main
from nld.publish.execution import build
from nld.publish.execution.execute import execute
from nld.publish.exports import pdf
from tests.publish.scratch import GATE, HEADER, Scratch, printed, wait_for

PARAMETER = "seed = 0  # from 0 to 9: seed"
BEFORE = "print('before')"
# name -> the cell after two good ones, the error that is shown
BROKEN = {
    "raises": ("def deep():\n    raise ValueError('no such luck')\n\ndeep()", "ValueError: no such luck"),
    "syntax": ("x = = 3", "SyntaxError: invalid syntax"),
    "dies": ("import os, signal\n\nos.kill(os.getpid(), signal.SIGKILL)", "KernelDied"),
    "leaves": ("import os\n\nos._exit(0)", "KernelDied"),
    "exits": ("import sys\n\nsys.exit(0)", "SystemExit"),
}


OFTEN = ("raises", "dies")  # the ways to fail that are tried each time


def book_of(names, once):
    """A book with one good chapter and one for each way to fail; with what the build said."""

    def make(root):
        chapters = {name: [PARAMETER, BEFORE, BROKEN[name][0], "print('after')"] for name in names}
        chapters["last"] = [PARAMETER, BEFORE, "import sys\n\nsys.exit(0)"]
        chapters["good"] = [PARAMETER, "print('fine')"]
        result = Scratch(root).make(chapters).build("--jobs", "2", "--no-html")
        assert result.returncode == 1, result.stdout
        return result.stdout

    root, said = once(f"failed-{len(names)}", make)
    return Scratch(root), said


@pytest.fixture(scope="session")
def failed(once):
    return book_of(OFTEN, once)


@pytest.fixture(scope="session")
def all_failed(once):
    return book_of(tuple(BROKEN), once)


def paragraph(said: str, name: str) -> str:
    """What the build said of one chapter."""
    (found,) = re.findall(rf"^\[\d/\d\] {name}.*\n(?: .*\n)*", said, re.MULTILINE)
    return found


def partial(said: str, name: str) -> dict:
    """The partial notebook that the report names."""
    (path,) = re.findall(r"partial notebook: (.*)", paragraph(said, name))
    with open(path) as file:
        return json.load(file)


BOOKS = {"failed": OFTEN, "all_failed": tuple(BROKEN)}
LATE = {"failed": (), "all_failed": pytest.mark.slow}
both = pytest.mark.parametrize(("book", "names"), [pytest.param(*each, marks=LATE[each[0]]) for each in BOOKS.items()])


@pytest.mark.parametrize(
    ("book", "name"),
    [pytest.param(book, name, marks=LATE[book]) for book, names in BOOKS.items() for name in (*names, "last")],
)
def test_a_failure_names_chapter_cell_and_error_and_keeps_the_remains(request, book, name):
    _, said = request.getfixturevalue(book)
    cell, error = BROKEN.get(name, ("import sys\n\nsys.exit(0)", "SystemExit"))
    report = paragraph(said, name)
    # cells 1 to 3 are the parameters, the trace and `before`
    assert report.splitlines()[0].split("] ")[1].startswith(f"{name}, cell 4: {error}")
    assert cell.splitlines()[0] in report
    text = printed(partial(said, name))
    assert text.startswith("before\n")
    assert "after" not in text
    (log,) = re.findall(r"log: (.*)", report)
    assert log.endswith(f"{name}.log")


def test_a_failure_shows_the_last_lines_of_the_traceback(failed):
    report = paragraph(failed[1], "raises")
    assert "    | ValueError: no such luck" in report
    assert "deep()" in report
    assert "\x1b" not in report


@both
def test_the_other_chapters_finish(request, book, names):
    scratch, said = request.getfixturevalue(book)
    assert printed(scratch.executed("good")) == "fine\n"
    assert "Failed; logs are in" in said
    for name in [*names, "last"]:
        assert not (scratch.store / "current" / f"{name}.json").exists()


@both
def test_no_kernel_is_left(request, book, names):
    scratch, _ = request.getfixturevalue(book)
    assert len(scratch.kernels()) == len(names) + 2
    wait_for(lambda: not any(map(psutil.pid_exists, scratch.kernels())), "the kernels to end")


@pytest.mark.slow
def test_a_mended_chapter_runs_alone(failed, tmp_path):
    scratch = failed[0].copy(tmp_path / "book")
    scratch.write("raises", PARAMETER, BEFORE, "print('mended')")
    scratch.contents("raises", "good")
    result = scratch.build("--no-html")
    assert result.returncode == 0, result.stdout
    assert scratch.ran() == ["raises"]
    assert printed(scratch.executed("raises")) == "before\nmended\n"


@pytest.mark.slow
def test_a_chapter_that_hangs_is_ended_with_its_kernel(tmp_path):
    scratch = Scratch(tmp_path / "book").make({"hangs": [PARAMETER, GATE]})
    result = scratch.build("--no-html", "--timeout", "3")
    assert result.returncode == 1
    assert re.search(
        r"\[1/1\] hangs(, cell \d)?: Timeout: the chapter ran for \d+ s, longer than --timeout 3\n", result.stdout
    )
    wait_for(lambda: not any(map(psutil.pid_exists, scratch.kernels())), "the kernel to end")


@contextlib.contextmanager
def small_disk(folder):
    """A file system of half a megabyte at ``folder``."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs root to mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def full_disk(tmp_path):
    """A store on a file system of half a megabyte."""
    with small_disk(tmp_path / "book" / ".nld") as store:
        yield store


@pytest.mark.slow
def test_full_disk_under_the_pages(tmp_path):
    scratch = Scratch(tmp_path / "book").make({})
    with small_disk(scratch.root / "_build"):
        result = scratch.build()
    assert result.returncode == 1
    assert "No space left on device" in result.stdout


def test_full_disk_in_a_chapter(full_disk, tmp_path):
    scratch = Scratch(tmp_path / "book")
    source = Scratch(tmp_path / "source").make(
        {"large": [PARAMETER, "print('x' * 1_000_000)"], "small": [PARAMETER, "print('fine')"]}
    )
    shutil.copytree(source.root, scratch.root, dirs_exist_ok=True)
    result = scratch.build("--no-html", "--jobs", "1")
    assert result.returncode == 1
    assert "large" in result.stdout
    assert "No space left on device" in result.stdout
    assert printed(scratch.executed("small")) == "fine\n"


@pytest.mark.slow
def test_full_disk_before_anything_runs(full_disk, tmp_path):
    source = Scratch(tmp_path / "source").make({"small": [PARAMETER, "print('fine')"]})
    scratch = Scratch(tmp_path / "book")
    shutil.copytree(source.root, scratch.root, dirs_exist_ok=True)
    filler = full_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    result = scratch.build("--no-html")
    assert result.returncode == 1
    assert "No space left on device" in result.stdout
    assert "Traceback" not in result.stdout
    filler.unlink()
    assert scratch.build("--no-html").returncode == 0
    assert printed(scratch.executed("small")) == "fine\n"


@pytest.mark.slow
def test_a_limit_on_file_size_is_reported_like_a_full_disk(tmp_path):
    scratch = Scratch(tmp_path / "book").make({"large": [PARAMETER, "print('x' * 1_000_000)"]})

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    result = scratch.build("--no-html", preexec_fn=limit)
    assert result.returncode == 1
    assert "large" in result.stdout
    assert "File too large" in result.stdout
    assert scratch.build("--no-html").returncode == 0


@pytest.mark.parametrize(
    "place",
    [".nld", *(pytest.param(f".nld/{name}", marks=pytest.mark.slow) for name in ("executed", "logs", "current"))],
)
def test_a_store_that_cannot_be_written(tmp_path, place):
    scratch = Scratch(tmp_path / "book").make({"small": [PARAMETER, "print('fine')"]})
    (scratch.root / place).parent.mkdir(exist_ok=True)
    (scratch.root / place).write_text("a file where a folder belongs")
    result = scratch.build("--no-html")
    assert result.returncode == 1
    assert "cannot write" in result.stdout
    assert str(scratch.root / place) in result.stdout
    assert "Traceback" not in result.stdout
    (scratch.root / place).unlink()
    assert scratch.build("--no-html").returncode == 0


@pytest.mark.slow
def test_pages_are_built_also_when_a_chapter_failed(tmp_path):
    scratch = Scratch(tmp_path / "book").make(
        {"good": [PARAMETER, "print('fine')"], "bad": [PARAMETER, "raise ValueError('no such luck')"]}
    )
    assert scratch.build().returncode == 1
    assert "fine" in scratch.page("good")
    assert "ValueError: no such luck" not in scratch.page("bad")


def test_a_kernel_that_does_not_start_is_told_apart_from_a_cell_that_fails(tmp_path, monkeypatch):
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    described = {"argv": ["false", "{connection_file}"], "display_name": "Dead", "language": "python"}
    source = HEADER.format(title="A") + "\n```{code-cell} ipython3\nraise RuntimeError('Kernel died')\n```\n"

    def verdict():
        return execute(source, {}, tmp_path / "out.ipynb", tmp_path)

    assert (verdict()["error"], verdict()["unstarted"]) == ("RuntimeError: Kernel died", False)
    (kernel / "kernel.json").write_text(json.dumps(described))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    assert verdict()["unstarted"] is True


def test_a_kernel_that_did_not_start_is_tried_once_more(tmp_path, monkeypatch):
    scratch = Scratch(tmp_path / "book").make({"slow": [PARAMETER], "dead": [PARAMETER], "broken": [PARAMETER]})
    said = "no kernel"
    failed = {"status": "failed", "cell": None, "source": "", "error": f"RuntimeError: {said}", "traceback": []}
    tried = []

    def run_jobs(jobs, *_):
        for job in jobs:
            tried.append(job.name)
            job.output.parent.mkdir(parents=True, exist_ok=True)
            job.output.write_text("{}")
            up = job.name == "slow" and tried.count("slow") == 2
            yield job, {"status": "done", "seconds": 1.0} if up else {**failed, "unstarted": job.name != "broken"}

    monkeypatch.setattr(build, "run_jobs", run_jobs)
    out = io.StringIO()
    assert build.build(scratch.root, build.Options(html=False), out) == 1
    assert tried == ["slow", "dead", "broken", "slow", "dead"]
    assert "slow: 1.0 s" in out.getvalue()
    assert f"dead: RuntimeError: {said}" in out.getvalue()


def test_a_browser_that_does_not_start_is_told(tmp_path, monkeypatch, capsys):
    pytest.importorskip("playwright", reason='needs playwright: pip install -c constraints.txt -e ".[browser]"')
    scratch = Scratch(tmp_path / "book").make({})
    (scratch.root / "print.html").write_text("<html><head></head><body></body></html>")
    monkeypatch.setattr(pdf, "PROGRAMS", ("false",))
    monkeypatch.setattr(pdf, "_one_page", lambda root: root / "print.html")
    assert main(["book", "pdf", "--root", str(scratch.root), "--to", str(tmp_path / "book.pdf")]) == 1
    out, said = capsys.readouterr()
    assert re.match("nld book pdf: .*false could not print .*print.html", said), said
    assert "Traceback" not in out + said
