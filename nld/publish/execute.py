"""Execute one chapter in a process of its own: jupytext, papermill, and the checks papermill leaves out.

Run as ``python -m nld.publish.execute JOB.json``; the parent (`nld.publish.pool`) reads the
result file, kills on timeout, and tells a dead process from a failed cell.
"""

import json
import os
import re
import signal
import sys
import traceback
from pathlib import Path

FIGURE_MIME = "application/vnd.nld.figure+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def execute(source: str, parameters: dict, output: Path, folder: Path) -> dict:
    """Run the code cells of a MyST text notebook and write the executed notebook to ``output``.

    Returns:
        ``{"status": "done"}``, or ``{"status": "failed", "cell", "source", "error", "traceback"}``
        with the number of the code cell as the author counts it.
    """
    import jupytext
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    notebook = jupytext.reads(source, fmt="md:myst")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    # Papermill counts cells that never ran, after sys.exit in a cell for one, as done. A last cell of
    # ours, which must have run, tells the difference.
    notebook.cells.append(nbformat.v4.new_code_cell("None", metadata={"tags": ["nld-end"]}))
    # Papermill wants a file: of a notebook node it would copy the whole input into the metadata.
    plain = output.with_name(output.name + ".input.ipynb")
    plain.write_text(nbformat.writes(notebook), "utf-8")
    config = Config()
    for manager in ("KernelManager", "AsyncKernelManager"):
        config[manager].transport_encryption = "auto"  # without it every kernel warns about plain TCP
    error, lines = None, []
    try:
        papermill.execute_notebook(
            str(plain),
            str(output),
            parameters=parameters,
            cwd=str(folder),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=120,
            config=config,
        )
    except PapermillExecutionError as raised:
        error, lines = f"{raised.ename}: {raised.evalue}", list(raised.traceback)
    except DeadKernelError:
        error = "KernelDied: the kernel's process ended while this cell ran; out of memory, a crash or a kill"
    except Exception as raised:  # a full disk, a kernel that does not start: reported by name
        error, lines = f"{type(raised).__name__}: {raised}", traceback.format_exc().splitlines()
    finally:
        plain.unlink(missing_ok=True)
    return _verdict(output, error, lines)


def _verdict(output: Path, error: str | None, lines: list[str]) -> dict:
    """What became of a run, read from the notebook it left, which is then stripped to what is published."""
    import nbformat

    if not output.exists():
        return _failure(None, "", error or "no notebook was written", lines)
    notebook = nbformat.read(output, as_version=4)
    skip = {"injected-parameters", "papermill-error-cell-tag"}
    code = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and not skip & set(cell.metadata.get("tags", ()))
    ]
    ran = [cell for cell in code if cell.get("execution_count") is not None]
    if error is None and len(ran) < len(code):
        error = "SystemExit: a cell left the kernel, so that the cells after it never ran; remove the sys.exit"
    number = len(ran) if ran and "SystemExit" in (error or "") else min(len(ran) + 1, len(code) - 1)
    if error and ran and any(out.output_type == "error" for out in ran[-1].outputs):
        number = len(ran)
    notebook.cells = [cell for cell in notebook.cells if "nld-end" not in cell.metadata.get("tags", ())]
    notebook.metadata.pop("papermill", None)
    notebook.metadata["nld"] = {"figures": sorted({figure["folder"] for figure in _figures(notebook)})}
    for cell in notebook.cells:  # times of execution would make two equal runs differ
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    nbformat.write(notebook, output)
    return _failure(number, code[number - 1].source, error, lines) if error else {"status": "done"}


def _figures(notebook) -> list[dict]:
    """The descriptions of the figures that the notebook's outputs show."""
    bundles = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", ())]
    return [bundle[FIGURE_MIME] for bundle in bundles if FIGURE_MIME in bundle]


def _failure(cell: int | None, source: str, error: str, lines: list[str]) -> dict:
    lines = [_ANSI.sub("", line) for chunk in lines for line in chunk.splitlines()]
    return {"status": "failed", "cell": cell, "source": source, "error": _ANSI.sub("", error), "traceback": lines[-12:]}


def main(job_file: str) -> None:
    job = json.loads(Path(job_file).read_text("utf-8"))
    # A terminated process still runs papermill's `finally`, which shuts the kernel down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(job["environment"])
    result = execute(job["source"], job["parameters"], Path(job["output"]), Path(job["folder"]))
    Path(job["result"]).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
