"""pyproject.toml says what is needed, constraints.txt which versions, environment.yml installs it: all agree."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
INSTALLED = ["book", "test", "browser", "slurm", "archive", "fast"]  # the extras that the Makefile installs
DECLARED = [
    Requirement(text)
    for text in [*PROJECT["dependencies"], *(text for name in EXTRAS for text in EXTRAS[name])]
    if not text.startswith("nld[")
]


def pins() -> dict[str, str]:
    """Name to version in constraints.txt."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    found = {}
    for line in filter(None, lines):
        requirement = Requirement(line)
        assert re.fullmatch(r"==[^*,+]+", str(requirement.specifier)), f"expected NAME==VERSION, got {line!r}"
        found[canonicalize_name(requirement.name)] = str(requirement.specifier)[2:]
    return found


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_each_requirement_is_pinned_within_its_range(requirement):
    version = pins().get(canonicalize_name(requirement.name))
    assert version, f"constraints.txt does not pin {requirement.name}"
    assert requirement.specifier.contains(version)


packages = cache(metadata.packages_distributions)  # reads every file list: once is enough


@pytest.mark.parametrize("folder", ["nld", "tests", "benchmarks"])
def test_whatever_is_imported_is_declared(folder):
    """Not merely installed because something else needs it."""
    provided = packages()
    declared = {canonicalize_name(requirement.name) for requirement in DECLARED}
    ours = {"nld", "tests", "benchmarks", *sys.stdlib_module_names, *(path.stem for path in ROOT.glob("tests/**/*.py"))}
    undeclared = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {name.split(".")[0] for name in names} - ours:
                # What is not installed, as an extra may be, goes by its own name.
                if not declared & set(map(canonicalize_name, provided.get(name, (name,)))):
                    undeclared.setdefault(name, str(path.relative_to(ROOT)))
    assert undeclared == {}


def test_pins_are_sorted_and_named_once():
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    names = [line.split("==")[0].lower() for line in lines if line]
    assert len(set(names)) == len(names)
    assert names == sorted(names)


def installed() -> dict[str, metadata.Distribution]:
    # Whoever imports setuptools puts its private copies of other packages on sys.path.
    path = [folder for folder in sys.path if not folder.endswith("_vendor")]
    return {canonicalize_name(found.metadata["Name"]): found for found in metadata.distributions(path=path)}


def test_the_running_environment_holds_the_pinned_versions():
    """Local suffixes such as +cpu are left out, so that CPU and CUDA share one file."""
    here = {name: found.version.split("+")[0] for name, found in installed().items()}
    needed = needs("nld", INSTALLED)
    pinned = pins()
    others = {
        name: (here[name], pinned[name]) for name in needed & here.keys() & pinned.keys() if here[name] != pinned[name]
    }
    assert others == {}, "installed, pinned; run: make book, or use an environment of its own"


def test_constraints_pin_everything_that_is_installed_with_the_project():
    # Torch's CUDA packages come with its GPU build only.
    optional = re.compile(r"nvidia-.*|cuda-.*|triton|nld|pip|setuptools|wheel")
    missing = {name for name in needs("nld", INSTALLED) if not optional.fullmatch(name)}
    assert missing - pins().keys() == set()


def needs(name: str, extras: list[str]) -> set[str]:
    """Names of all installed distributions that a distribution needs, at any depth."""
    distributions, found, queue = installed(), set(), [(canonicalize_name(name), frozenset(extras))]
    while queue:
        current, chosen = queue.pop()
        if current not in distributions or (current, chosen) in found:
            continue
        found.add((current, chosen))
        for text in distributions[current].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in [*chosen, ""]
            ):
                queue.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {current for current, _ in found}


def test_environment_file_installs_the_package_with_the_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    python, pip, rest = environment["dependencies"]
    assert python == f"python{PROJECT['requires-python']}"
    assert pip == "pip"
    constraint, package = rest["pip"]
    assert constraint == "-c constraints.txt"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (extras,) = re.findall(r'--constraint constraints.txt --editable "\.\[(.*)\]"', makefile)
    assert package == f"-e .[{extras}]"
    assert set(extras.split(",")) <= EXTRAS.keys()


def test_versions_of_python_agree():
    supported = SpecifierSet(PROJECT["requires-python"])
    listed = [text.rsplit(" ", 1)[1] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert [version for version in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14") if version in supported] == listed
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in listed
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == listed
    makefile = (ROOT / "Makefile").read_text("utf-8")
    ends = [".".join(found) for found in re.findall(r"\((\d), (\d+)\)", makefile)]
    assert PROJECT["requires-python"] == ">={},<{}".format(*ends)


def run(root: Path, *command: str, **stubs: str) -> subprocess.CompletedProcess:
    """Run a command in ``root``; ``stubs`` are shell scripts that stand in for programs."""
    (root / "bin").mkdir()
    for name, script in stubs.items():
        program = root / "bin" / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    ours = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    environment = {**ours, "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make: apt-get install make")


@needs_make
@pytest.mark.parametrize(("version", "accepted"), [((3, 10, 2), False), ((3, 11, 0), True), ((3, 14, 0), False)])
def test_make_refuses_a_python_that_is_not_supported_before_it_makes_an_environment(tmp_path, version, accepted):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    asked = f"""case "$1" in -c) exec {sys.executable} -c "import sys; sys.version_info = {version}; $2";; esac
echo asked for "$@"; exit 1"""
    made = run(tmp_path, "make", "book", "PYTHON=old", old=asked)
    assert made.returncode
    assert ("asked for -m venv .venv" in made.stdout) == accepted
    assert ("name another, such as: make book PYTHON=" in made.stderr) != accepted


@needs_make
def test_make_finishes_an_environment_that_was_left_without_pip(tmp_path):
    """As Debian's Python leaves it where the package python3-venv is missing."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(str(shutil.which("false")))
    made = run(tmp_path, "make", "book", "PYTHON=ours", ours="echo asked for $1 $2 $3; test $1 = -c")
    assert "asked for -m venv .venv" in made.stdout


def test_binder_installs_what_jupyterlab_can_live_with(tmp_path):
    for name in ("constraints.txt", "binder/postBuild"):
        shutil.copy(ROOT / name, tmp_path)
    stub = 'echo "$@" > asked; while [ "$1" != --constraint ]; do shift; done; cp "$2" given'
    done = run(tmp_path, "bash", "postBuild", python=stub, jupytext_config="echo $1 > viewer")
    assert done.returncode == 0, done.stderr
    extras = re.findall(r"--editable \.\[(.*?)\]", (tmp_path / "asked").read_text())
    assert extras == ["book"]
    assert set(extras) <= EXTRAS.keys()
    left_out = set((tmp_path / "constraints.txt").read_text().split()) - set((tmp_path / "given").read_text().split())
    assert {pin.split("==")[0] for pin in left_out} == {"jsonschema"}
    assert (tmp_path / "viewer").read_text() == "set-default-viewer\n"


def test_the_version_is_said_once_and_repeated_right():
    import nld

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert str(citation["version"]) == nld.__version__
    assert f"## {nld.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
