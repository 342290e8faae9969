"""Said before a command begins: what the paper's scale asks for, and which chapters a parameter leaves alone."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from nld import figures
from nld.publish.execution.chapters import Chapter
from nld.results import store
from nld.results.dependencies import needed_modules
from nld.results.places import PACKAGE

FIGURE = re.compile(r"""["'](fig-[\w-]+)["']""")
ON_GPU = 'device="cuda"'  # how an experiment of a figure asks for a GPU
LISTED = 6  # chapters that are named; more are counted
OTHER_SIZE = re.compile(r'"paper": (?!")')  # a size of its own, not the name of a stored result


def paper_scale(names: Iterable[str], top: Path | None = None) -> str:
    """What the profile "paper" will run, about how long, on what, and whether that is here.

    Args:
        names: the figures that will be computed; others have no scale.
        top: the store that runs and figures go to, if it is not the usual one.
    """
    top = top or store.root()
    sources = {name: _sources(name) for name in sorted(set(names) & set(figures.names()))}
    heavy = [name for name, text in sources.items() if ON_GPU in text]
    larger = [name for name, text in sources.items() if name not in heavy and OTHER_SIZE.search(text)]
    said = ["The paper profile:"]
    if heavy:
        said.append(f"{', '.join(heavy)} trains on a GPU, for hours{_before(heavy, top)};")
    if larger:
        said.append(f"{', '.join(larger)} runs larger on the processor, for minutes to an hour{_before(larger, top)};")
    rest = len(sources) - len(heavy) - len(larger)
    said.append(f"{rest} other figures are as in the quick profile." if rest else "nothing else.")
    if heavy:
        from nld.experiment.runs.fingerprint import gpu

        missing = (
            f"There is no GPU that this PyTorch can use: {', '.join(heavy)} will fail, unless all its runs are in "
            f"{top} already. Install a PyTorch with CUDA on a machine with a GPU, or leave out --profile paper."
        )
        said.append(f"The GPU is {device}." if (device := gpu()) else missing)
    return " ".join(said)


def _sources(name: str) -> str:
    """The text of a figure's module, and of the modules of data that it takes its runs from."""
    own = f"nld.figures.{name.replace('-', '_')}"
    read = needed_modules(own, within="nld.figures._data") - {"nld.figures._data"}
    paths = (PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py") for module in sorted(read))
    return "".join(path.read_text("utf-8") for path in paths)


def _before(names: list[str], top: Path) -> str:
    """How long they took at this scale when they were last computed here."""
    seconds = {}
    for name in names:
        for path in (top / "figures" / name).glob("*/provenance.json"):
            origin = json.loads(path.read_text("utf-8"))
            if origin.get("profile") == "paper":
                seconds[name] = float(origin["wall_seconds"])
    if not seconds:
        return " (never timed here)"
    return f" ({', '.join(f'{name} took {value:,.0f} s' for name, value in seconds.items())} here)"


def figures_of(chapters: Iterable[Chapter]) -> list[str]:
    """The figures that chapters with a parameter `profile` show."""
    cells = [source for chapter in chapters if "profile" in chapter.parameters for source, _ in chapter.cells]
    return sorted({name for source in cells for name in FIGURE.findall(source)})


def left_alone(chapters: Sequence[Chapter], names: Iterable[str]) -> list[str]:
    """For each parameter that some of these chapters with code do not have: a sentence that says which change."""
    said = []
    for name in dict.fromkeys(names):
        has = [chapter.label for chapter in chapters if name in chapter.parameters]
        lacks = [chapter.label for chapter in chapters if name not in chapter.parameters]
        if has and lacks:
            others = ", ".join(lacks) if len(lacks) <= LISTED else f"{len(lacks)} other chapters"
            which = ", ".join(has) if len(has) <= LISTED else f"{len(has)} chapters"
            said.append(f"{name} changes {which}; it is no parameter of {others}, which stay as they are.")
    return said
