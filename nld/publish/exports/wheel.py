"""The package as a wheel, the same bytes each time it is built from the same files."""

import calendar
import importlib.util
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from nld.errors import ToolError


def build_wheel(root: Path, released: date) -> tuple[str, bytes]:
    """Name and content of the wheel of the checkout in ``root``.

    Args:
        root: with pyproject.toml.
        released: the date that all files in it get.

    Raises:
        ToolError: hatchling is not installed, or it fails; the message says why.
    """
    if importlib.util.find_spec("hatchling") is None:
        advice = 'pip install -c constraints.txt -e ".[archive]"'
        raise ToolError(f"expected hatchling, which packs nld, found none; install it: {advice}")
    seconds = calendar.timegm(released.timetuple())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise ToolError(f"hatchling cannot pack nld in {root}: {reason}")
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.name, wheel.read_bytes()
