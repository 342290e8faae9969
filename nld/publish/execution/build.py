"""Build the book: execute what changed, then let Jupyter Book render all pages."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from nld.errors import UsageError, did_you_mean
from nld.publish.execution import chapter_cache, page_cache
from nld.publish.execution.chapter_cache import Plan
from nld.publish.execution.chapters import Chapter, find_chapter, read_chapters
from nld.publish.execution.execute import COLOUR, failure
from nld.publish.execution.pool import Job, run_jobs
from nld.publish.execution.progress import Progress
from nld.results import arithmetic, store

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # it has no __main__
STRICT = ("-W", "--keep-going")  # each warning is an error, and the rest is looked at all the same
LISTED = 8  # reasons that --why names for the pages
# Beyond this time a chapter hangs: on two cores the slowest quick chapter takes about a minute.
TIMEOUT = {"quick": 900.0, "paper": 48 * 3600.0}


@dataclass(frozen=True)
class Options:
    """What `nld book build` was asked for; each field is the option of the same name."""

    profile: str = "quick"
    chapters: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    jobs: int | None = None
    force: bool = False
    why: bool = False
    timeout: float | None = None
    html: bool = True


def build(root: Path, options: Options, out=sys.stdout, then: Callable[[Path], None] | None = None) -> int:
    """Execute and render the book whose `_toc.yml` lies in ``root``: 0 if all is built, 1 if a chapter or page failed.

    ``then`` is done with the built book before another build may change it.

    Raises:
        UsageError: unknown chapter or parameter, malformed `_toc.yml`.
        ParameterError: bad value, malformed cell of parameters.
        OSError: the store cannot be written.
    """
    started = time.monotonic()
    chapters = read_chapters(root)
    plans = make_plans(chapters, options)  # usage errors come before anything is touched
    folder = root / ".nld"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "build.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another build runs in this checkout; waiting until it ends.", file=out, flush=True)
        lock.acquire()
    try:
        failed = execute_plans(root, folder, plans, options, out)
        if options.html:
            failed += not update_pages(root, folder, chapters, failed, options, out)
        if failed:
            print(f"Failed; logs are in {folder / 'logs'}.", file=out)
            return 1
        if options.html:
            page = root / "_build" / "html" / "index.html"
            print(f"The book is in {page} ({time.monotonic() - started:.0f} s).", file=out, flush=True)
        if then is not None:
            then(root)
        return 0
    finally:
        lock.release()


def make_plans(chapters: list[Chapter], options: Options) -> list[Plan]:
    """The chapters to execute with their parameters, checked; raises what `build` raises of them."""
    chosen = [find_chapter(chapters, name) for name in options.chapters] or chapters
    plans = [Plan(chapter) for chapter in dict.fromkeys(chosen) if chapter.cells]
    known = {name: parameter for plan in plans for name, parameter in plan.chapter.parameters.items()}
    for name, text in options.parameters:
        if name not in known:
            raise UsageError(f"unknown parameter {name!r}{did_you_mean(name, known) or '.'}{_listing(plans)}")
        known[name].parse(text)
    wanted = [*options.parameters, *([("profile", options.profile)] if options.profile != "quick" else [])]
    return [replace(plan, changed=_changed(plan.chapter, wanted)) for plan in plans]


def _changed(chapter: Chapter, wanted: list[tuple[str, str]]) -> dict:
    declared = chapter.parameters
    values = {name: declared[name].parse(text) for name, text in wanted if name in declared}
    return {name: value for name, value in values.items() if value != declared[name].default}


def _listing(plans: list[Plan]) -> str:
    lines = [] if plans else [" No code runs in what was chosen, so there is nothing to change."]
    for plan in plans:
        lines.append(f"\n{plan.chapter.label}" + ("" if plan.chapter.parameters else " has no parameters"))
        for name, parameter in plan.chapter.parameters.items():
            lines.append(f"  {name} = {parameter.default!r}   {parameter.range}: {parameter.meaning}")
    return "\n".join(lines)


def execute_plans(root: Path, folder: Path, plans: list[Plan], options: Options, out) -> int:
    """Execute the plans that need it; returns how many failed."""
    for plan in plans:
        chapter_cache.heal(folder, plan)
    said = _told(folder)
    reasons = {plan: ["--force"] if options.force else chapter_cache.why(folder, plan) for plan in plans}
    todo = [plan for plan in plans if reasons[plan]]
    if options.why:
        for plan in plans:
            print(f"{plan.chapter.label}: " + ("; ".join(reasons[plan]) or "nothing changed"), file=out)
    fresh = [plan for plan in plans if not reasons[plan]]
    for plan in fresh:
        chapter_cache.make_current(folder, plan)
    workers = options.jobs or (1 if options.profile == "paper" else min(os.cpu_count() or 1, max(len(todo), 1)))
    timeout = options.timeout or TIMEOUT[options.profile]
    jobs = {_job(root, folder, plan, workers, options.profile, options.force): plan for plan in todo}
    progress = Progress(out, total=len(todo), fresh=len(fresh))
    failed, retried, queue = 0, set(), list(jobs)
    while queue:
        again = []
        with contextlib.closing(run_jobs(queue, workers, timeout, progress.update)) as verdicts:
            for job, verdict in verdicts:
                plan = jobs[job]
                verdict = _check_reach(verdict, plan)
                if verdict["status"] == "done":
                    os.replace(job.output, chapter_cache.notebook_path(folder, plan.key))
                    chapter_cache.make_current(folder, plan)
                    progress.done(job.name, verdict["seconds"])
                elif verdict.get("unstarted") and job not in retried:
                    retried.add(job)  # a kernel can fail to start on a busy machine
                    again.append(job)
                else:
                    failed += 1
                    progress.failed(job.name, verdict, job)
        queue = again
    progress.end()
    for line in _told(folder)[len(said) :]:  # by the chapters, about runs and figures that they met
        print(line, file=out)
    return failed


def _told(folder: Path) -> list[str]:
    """All that was found damaged so far."""
    path = store.told(folder)
    return path.read_text("utf-8", "replace").splitlines() if path.exists() else []


def _check_reach(verdict: dict, plan: Plan) -> dict:
    """Fails a chapter whose cells load what reading them does not show: a change there would not rerun it."""
    unseen = ", ".join(sorted(set(verdict.get("loaded", ())) - plan.modules))
    error = f"HiddenImport: the cells load {unseen}, which reading them does not show; import it by name"
    return failure(error) if unseen else verdict


def _job(root: Path, folder: Path, plan: Plan, workers: int, profile: str, force: bool) -> Job:
    machine = max(1, (os.cpu_count() or 1) // workers)
    environment = {
        "NLD_STORE": str(folder),
        "NLD_FORCE": "1" if force else "",
        # No progress bars in cells: as widgets they would load scripts from the network.
        "NLD_QUIET": "1",
        # One thread, or NLD_THREADS: sums then have one order, so outputs do not depend on --jobs; and for networks of
        # the quick size, two threads on a busy machine were measured to be twenty times slower.
        "OMP_NUM_THREADS": str(arithmetic.threads() if profile == "quick" else machine),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    name = plan.chapter.name
    return Job(
        name=name,
        source=plan.chapter.text,
        parameters=plan.changed,
        output=folder / "executed" / f"{plan.key}.part.ipynb",
        folder=plan.chapter.path.parent,
        environment=environment,
        log=folder / "logs" / f"{name}.log",
    )


def update_pages(root: Path, folder: Path, chapters: list[Chapter], failed: int, options: Options, out) -> bool:
    """Render the pages unless they are what a render would write; returns whether they are good.

    With any chapter that failed just now, the pages are rendered and no record is kept.
    """
    strict = not (options.chapters or failed)
    before = page_cache.ingredients(root, folder, chapters)
    reasons = ["--force"] if options.force else ["a chapter failed"] if failed else page_cache.why(root, before, strict)
    if options.why:
        more = f"; and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
        print("pages: " + ("; ".join(reasons[:LISTED]) + more or "nothing changed"), file=out)
    if not reasons:
        print("The pages are up to date.", file=out)
        return True
    page_cache.forget(root)
    good, warned = render(root, folder, strict, out)
    # What was edited while the pages were rendered may have been read before or after.
    if good and not failed and page_cache.ingredients(root, folder, chapters) == before:
        page_cache.remember(root, before, strict=not warned)
    return good


def render(root: Path, folder: Path, strict: bool, out) -> tuple[bool, bool]:
    """Run Jupyter Book over all pages; whether they are good, and whether there was a warning.

    A page without an executed copy is a warning. When the whole book was asked for, a
    warning is an error; when one chapter was, the others may wait.
    """
    log = folder / "logs" / "jupyter-book.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # Over older pages Sphinx adds checksums to links that it cannot know on the first build, and pages
    # that left the table of contents would stay.
    shutil.rmtree(root / "_build" / "html", ignore_errors=True)
    print("Rendering the pages.", file=out, flush=True)
    good, said = jupyter_book(root, *STRICT if strict else ())
    if not good:
        lines = dict.fromkeys(said.splitlines())
        errors = [line for line in lines if re.search("ERROR|threw an exception|Error: .", line)]
        warnings = [line for line in lines if "WARNING" in line and line not in errors] if strict or not errors else []
        print(*([*errors, *warnings] or list(lines)[-20:])[:40], sep="\n", file=out)
    log.write_text(said, "utf-8")
    if not good:
        print(f"Jupyter Book failed; everything it said is in {log}", file=out)
    return good, "WARNING" in said


def jupyter_book(root: Path, *options: str) -> tuple[bool, str]:
    """Run Jupyter Book over all pages: whether it succeeded, and all that it said."""
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(root), "--all", "-n", *options]
    # Through a pipe: a log on a full disk would lose the very line that says so.
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=root
    )
    return result.returncode == 0, COLOUR.sub("", result.stdout.decode("utf-8", "replace"))
