"""What is seen while chapters run: a live line on a terminal, plain lines elsewhere."""

import contextlib
import os
import pty

from tests.publish.scratch import DEADLINE, GATE, Scratch, wait_for

PARAMETER = "seed = 0  # from 0 to 9: seed"


def test_plain_lines_without_a_terminal(built):
    said = built.build("--no-html").stdout
    assert "\r" not in said
    assert "\x1b" not in said
    assert said.splitlines() == ["0 chapters to run, 3 unchanged."]


def test_a_live_line_on_a_terminal(tmp_path):
    scratch = Scratch(tmp_path / "book").make({"gate": [PARAMETER, GATE]})
    ours, theirs = pty.openpty()
    process = scratch.start("--no-html", stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""

    def read(wanted: bytes) -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):  # the other end was closed
            seen += os.read(ours, 4096)
        return wanted in seen

    wait_for(lambda: read(b"\r\x1b[K[....................] 0/1  gate "), "the live line")
    wait_for(scratch.kernels, "the chapter to begin")
    (scratch.root / "go").touch()
    wait_for(lambda: read(b"[1/1] gate: "), "the chapter to end")
    assert process.wait(timeout=DEADLINE) == 0
    while True:
        try:
            if not (more := os.read(ours, 4096)):
                break
            seen += more
        except OSError:
            break
    os.close(ours)
    # what stays on the screen is what stands after the last erasure of each line
    lines = [line.split("\x1b[K")[-1].strip("\r") for line in seen.decode().split("\n")]
    assert lines[0] == "1 chapter to run, 0 unchanged."
    assert lines[1].startswith("[1/1] gate: ")
    assert lines[2:] == [""]
