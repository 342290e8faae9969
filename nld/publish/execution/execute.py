"""Execute one chapter in a process of its own: jupytext, papermill, and the checks papermill leaves out.

Run as ``python -m nld.publish.execution.execute`` by `nld.publish.execution.pool`, which writes one line of JSON to
its standard input, keeps that open while it lives, and reads one line of JSON from its standard
output. No file is needed for this, so that a full disk is reported too.
"""

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from nld.results import seals

FIGURE_MIME = "application/vnd.nld.figure+json"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
LOADED = "print(*(name for name in __import__('sys').modules if name.partition('.')[0] == 'nld'))"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def execute(source: str, parameters: dict, output: Path, folder: Path) -> dict:
    """Run the code cells of a MyST text notebook and write the executed notebook to ``output``.

    Returns:
        ``{"status": "done", "loaded"}`` with the modules of nld that the kernel held at the end, or
        ``{"status": "failed", "cell", "source", "error", "traceback", "unstarted"}``
        with the number of the code cell as the author counts it, and whether the kernel did not even start.
    """
    import jupytext
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    notebook = jupytext.reads(source, fmt="md:myst")
    notebook.metadata["kernelspec"] = KERNEL
    # Papermill counts cells that never ran, after sys.exit in a cell for one, as done. A last cell of
    # ours, which must have run, tells the difference.
    notebook.cells.append(nbformat.v4.new_code_cell(LOADED, metadata={"tags": ["nld-end"]}))
    # Papermill wants a file: of a notebook node it would copy the whole input into the metadata.
    plain = output.with_name(output.name + ".input.ipynb")
    config = Config()
    for manager in ("KernelManager", "AsyncKernelManager"):
        config[manager].transport_encryption = "auto"  # without it every kernel warns about plain TCP
    error, lines, unstarted = None, [], False
    try:
        plain.write_text(nbformat.writes(notebook), "utf-8")
        papermill.execute_notebook(
            str(plain),
            str(output),
            parameters=parameters,
            cwd=str(folder),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=60,  # takes a second or two; `nld.publish.execution.build` tries again
            config=config,
        )
    except PapermillExecutionError as raised:
        error, lines = f"{raised.ename}: {raised.evalue}", list(raised.traceback)
    except SystemExit:  # the signal of `main`: keep what ran
        error = "Ended: the build was stopped"
    except DeadKernelError:
        error = "KernelDied: the kernel's process ended while this cell ran; out of memory, a crash or a kill"
    except OSError as raised:  # a full disk
        error = f"{type(raised).__name__}: {raised}"
    except Exception as raised:  # a kernel that does not start: reported by name
        unstarted = True
        error, lines = f"{type(raised).__name__}: {raised}", traceback.format_exc().splitlines()
    finally:
        plain.unlink(missing_ok=True)
    return _verdict(output, error, lines, unstarted)


def _verdict(output: Path, error: str | None, lines: list[str], unstarted: bool) -> dict:
    """What became of a run, read from the notebook it left, which is then stripped to what is published."""
    import nbformat

    try:
        notebook = nbformat.read(output, as_version=4)
    except Exception as raised:  # the disk was full, or the kernel did not start
        output.unlink(missing_ok=True)  # cut off, of no use, and in the way of other chapters
        return failure(error or f"{type(raised).__name__}: {raised}", lines=lines, unstarted=unstarted)
    code = authored(notebook)
    if error is None and any(cell.get("execution_count") is None for cell in code):
        error = "SystemExit: a cell left the kernel, so that the cells after it never ran; remove the sys.exit"
    started = [n for n, cell in enumerate(code, 1) if cell.metadata.get("papermill", {}).get("start_time")]
    number = min(started[-1] if started else 1, len(code) - 1)
    loaded = "".join(out.get("text", "") for out in code[-1].outputs).split()
    notebook.cells = [cell for cell in notebook.cells if "nld-end" not in cell.metadata.get("tags", ())]
    notebook.metadata.pop("papermill", None)
    shown = (out.get("data", {}).get(FIGURE_MIME) for cell in notebook.cells for out in cell.get("outputs", ()))
    figures = sorted({figure["folder"] for figure in shown if figure})
    notebook.metadata["nld"] = {"figures": figures, seals.MEMBER: seals.BLANK}
    make_reproducible(notebook)
    try:
        output.write_text(seals.seal_text(nbformat.writes(notebook) + "\n"), "utf-8")
    except OSError as raised:
        error = error or f"{type(raised).__name__}: {raised}"
    if error:
        return failure(error, number, code[number - 1].source, lines, unstarted=unstarted and not started)
    return {"status": "done", "loaded": loaded}


def authored(notebook) -> list:
    """The code cells of a notebook that say something, without those that papermill put between them."""
    skip = {"injected-parameters", "papermill-error-cell-tag"}
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and not skip & set(cell.metadata.get("tags", ()))
    ]


def make_reproducible(notebook) -> None:
    """Leave in an executed notebook only what the next run will write again: no random identifier and no time.

    What a cell printed is joined: in how many pieces it arrived depends on how busy the machine was.
    """
    notebook.nbformat_minor = 5  # the first format whose cells have identifiers
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        outputs = []
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs


def failure(error: str, cell: int | None = None, source: str = "", lines: Sequence[str] = (), **more) -> dict:
    """The verdict on a chapter that failed, short enough for a pipe."""
    lines = [COLOUR.sub("", line)[:500] for chunk in lines for line in chunk.splitlines()]
    source = "\n".join(line[:500] for line in source.splitlines()[:12])
    error = COLOUR.sub("", error)[:2000]
    return {"status": "failed", "cell": cell, "source": source, "error": error, "traceback": lines[-12:], **more}


def main() -> None:
    """Carry out the job on standard input and answer on standard output."""
    job = json.loads(sys.stdin.buffer.readline())
    answer = os.dup(1)
    os.dup2(2, 1)  # what papermill and kernels print goes to the log
    # A terminated process still runs papermill's `finally`, which shuts the kernel down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    result = execute(job["source"], job["parameters"], Path(job["output"]), Path(job["folder"]))
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        json.dump(result, file)


def _end_with_parent() -> None:
    """Wait until the parent closes its end of standard input, as it does when it is killed."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
