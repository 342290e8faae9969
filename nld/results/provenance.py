"""Where a result comes from: version, commit, packages and machine."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from nld import __version__
from nld.results.places import PACKAGE

PACKAGES = ("numpy", "scipy", "sympy", "torch", "xarray", "scikit-learn", "matplotlib")


def provenance() -> dict:
    """Version and commit of nld, versions of what it computes with, and the processor."""
    return {
        "nld_version": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": packages(),
        "device": device(),
    }


@cache
def packages() -> dict[str, str]:
    """The installed version of each package that nld computes and draws with."""
    return {name: metadata.version(name) for name in PACKAGES}


@cache
def commit() -> str:
    """Commit of the checkout that nld runs from, with "+changes" when files differ; "" outside a checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        top = Path(git("rev-parse", "--show-toplevel"))
        if top != PACKAGE.parent.resolve():
            return ""  # installed inside somebody else's checkout
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "nld") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


@cache
def device() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"CPU {model}"
