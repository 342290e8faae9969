"""What a release needs, prepared and checked: nothing is signed, tagged or sent.

``python -m nld.publish.exports.release``, or ``make release``, after the book is built and its tests pass.
"""

import datetime
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

import yaml

from nld import __version__
from nld.errors import NldError, ToolError
from nld.results import seals, store

INSIDE = ("nld/__init__.py", "nld/py.typed", "nld/paper/registrations.toml", "nld/shipped/results/SHA256SUMS")
TRIAL = """
import nld, torch
model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
symmetries = nld.find_symmetries(model, torch.randn(8, 4))
assert any(block.kind == "scale" for block in symmetries), symmetries
print(nld.__version__, nld.__file__)
"""


def contradictions(root: Path) -> list[str]:
    """What the records of the version say against each other, or against git, in words; none if all is well."""
    record = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    released = str(record["date-released"])
    heading = next(re.finditer(r"^## (\S+) \((.+)\)$", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE))
    found = []
    if str(record["version"]) != __version__:
        found.append(f"CITATION.cff has version {record['version']}, the package {__version__}")
    if heading[1] != __version__:
        found.append(f"CHANGELOG.md begins with {heading[1]}, the package is {__version__}")
    if heading[2] != released:
        found.append(f"CHANGELOG.md says {heading[2]!r} of {heading[1]}, CITATION.cff was released on {released}")
    if datetime.date.fromisoformat(released) > datetime.date.today():
        found.append(f"CITATION.cff is released on {released}, which is yet to come")
    if changed := _git(root, "status", "--porcelain"):
        found.append(f"git has changes that are not committed: {', '.join(changed.split()[1::2])}")
    if f"v{__version__}" in _git(root, "tag").split():
        found.append(f"git has the tag v{__version__} already; choose the next version")
    return found


def pack(root: Path, folder: Path) -> list[Path]:
    """Build source distribution and wheel into ``folder`` and check what is in them.

    Raises:
        ToolError: hatchling fails, or leaves out a file that the package needs.
    """
    done = _run(sys.executable, "-m", "hatchling", "build", "--directory", str(folder), cwd=root)
    if done.returncode:
        raise ToolError(f"hatchling cannot pack nld: {(done.stderr or done.stdout).strip()[-500:]}")
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    if missing := [name for name in INSIDE if name not in names]:
        raise ToolError(f"expected {', '.join(missing)} in {wheel.name}; see [tool.hatch] in pyproject.toml")
    with tarfile.open(source) as archive:
        stray = [name for name in archive.getnames() if re.search(r"/(_build|\.nld|dist|\.venv)/", name)]
    if stray:
        raise ToolError(f"expected no built files in {source.name}, got {stray[:3]}; clean them or exclude them")
    return [wheel, source]


def try_out(wheel: Path) -> str:
    """Install the wheel where nothing of the checkout is seen, and find a symmetry with it; what it printed.

    Raises:
        ToolError: it does not work.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.EnvBuilder(with_pip=True, system_site_packages=False).create(place / "env")
        python = place / "env" / "bin" / "python"
        # What nld needs is taken from the environment that is running; nld itself from the wheel alone.
        paths = [path for path in sys.path if path.endswith("site-packages")]
        done = _run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel.absolute()), cwd=place)
        if done.returncode == 0:
            prelude = f"import sys; sys.path += {paths!r}\n"
            done = _run(str(python), "-c", prelude + TRIAL, cwd=place)
        if done.returncode or str(place) not in done.stdout:
            raise ToolError(f"{wheel.name} does not work where it was installed: {(done.stderr or done.stdout)[-500:]}")
        return done.stdout.strip()


def prepare(root: Path) -> list[str]:
    """Pack, try out, write checksums into ``dist/``, and say what is left to do by hand; a line each.

    Raises:
        NldError: something contradicts something; the message lists it all.
    """
    if found := contradictions(root):
        raise NldError("this is not ready to be released:\n" + "\n".join(f"- {each}" for each in found))
    folder = root / "dist"
    archive = folder / f"nld-{__version__}.zip"
    if not archive.exists():
        raise NldError(f"expected the book's archive at {archive}, found none; make archive")
    for old in [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]:
        old.unlink()
    packed = pack(root, folder)
    said = try_out(packed[0])
    files = [archive, *packed]
    store.write_atomically(folder / seals.SUMS, "".join(f"{seals.digest(each)}  {each.name}\n" for each in files))
    return [
        *(f"{each.relative_to(root)}: {each.stat().st_size:,} bytes" for each in files),
        f"The wheel works alone: {said.split()[0]}.",
        f"Left to do by hand: git tag -s v{__version__}; upload the wheel and the source distribution to the package "
        "index, the zip to the archive of records, and the pages to the site.",
    ]


def _git(root: Path, *arguments: str) -> str:
    done = _run("git", *arguments, cwd=root)
    if done.returncode:
        raise ToolError(f"git {' '.join(arguments)} failed in {root}: {done.stderr.strip()}")
    return done.stdout.strip()


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error}") from error


if __name__ == "__main__":
    try:
        print("\n".join(prepare(Path.cwd())))
    except NldError as error:
        sys.exit(f"release: {error}")
