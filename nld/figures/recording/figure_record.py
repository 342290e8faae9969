"""Record a figure: its vector and pixel files, its data, and where it comes from."""

import inspect
import json
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType

import xarray as xr
from filelock import FileLock

from nld.errors import InvalidInput
from nld.figures._render.style import save
from nld.figures.recording import data_package
from nld.figures.recording.long_table import long_table
from nld.results import arithmetic, lineage, seals, store
from nld.results.dependencies import reached_modules, source_hashes
from nld.results.provenance import packages, provenance

MIME = "application/vnd.nld.figure+json"
PROFILES = ("quick", "paper")
# What a parameter takes, by the type of its default.
KINDS = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
}


@dataclass(frozen=True)
class Shown:
    """A recorded figure. A notebook displays its picture; the book makes a numbered figure of it.

    Args:
        name: such as "fig-1".
        folder: where its files lie, below the root of the store.
    """

    name: str
    folder: Path

    @property
    def data(self) -> xr.Dataset:
        """The data that the picture shows."""
        return xr.load_dataset(self.folder / "data.nc", engine="h5netcdf")

    @property
    def provenance(self) -> dict:
        """Spec, code version, source hash, packages, device and wall time."""
        return json.loads((self.folder / "provenance.json").read_text("utf-8"))

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        text = self.provenance
        described = {"name": self.name, "folder": self.folder.relative_to(store.root()).as_posix()}
        return {
            MIME: {**described, "caption": text["caption"], "alt": text["alt"]},
            "image/svg+xml": (self.folder / "figure.svg").read_text("utf-8"),
            "text/plain": text["alt"],
        }


def record_figure(name: str, module: ModuleType, profile: str, parameters: dict) -> Shown:
    """Compute, draw and write a figure into the store, unless it is there already, whole."""
    parameters = _check(name, module, profile, parameters)
    sources = source_hash(module.__name__)
    spec = {"figure": name, "profile": profile, "parameters": parameters, "source_hash": sources}
    shown = Shown(name, store.root() / "figures" / name / key(spec, packages(), arithmetic.identity()))
    force, whole = bool(os.environ.get("NLD_FORCE")), shown.folder.is_dir() and not seals.flaw(shown.folder)
    if force or not whole:  # what is whole is shown without a lock, also where nothing can be written
        shown.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(shown.folder.with_suffix(".lock")):  # two chapters that show one figure compute it once
            if not store.heal(shown.folder) or force:
                _compute_and_write(shown.folder, module, spec)
    for run in shown.provenance.get("runs", ()):  # what a figure rests on, whoever takes its data rests on too
        lineage.note(run["key"], run)
    return shown


def source_hash(module: str) -> str:
    """Hash of all source and stored results that the numbers and the drawing of a figure's module depend on."""
    return store.content_key(source_hashes(reached_modules(f"import {module}\n")))


def key(origin: dict, versions: dict, settings: dict) -> str:
    """Name of a figure's entry in the store.

    With another version of a package, or in another arithmetic, the same source may give other numbers.

    Args:
        origin: figure, profile, parameters and source_hash, as in a figure's provenance.
        versions: of the packages.
        settings: of the arithmetic.
    """
    spec = {name: origin[name] for name in ("figure", "profile", "parameters")}
    return store.content_key({**spec, "sources": origin["source_hash"], "packages": versions, "arithmetic": settings})


def _compute_and_write(folder: Path, module: ModuleType, spec: dict) -> None:
    started = time.perf_counter()
    # In the paper profile the sweeps of a GPU decide, and the rest takes what threads the machine has.
    limited = arithmetic.limited_threads(arithmetic.threads()) if spec["profile"] == "quick" else nullcontext()
    with lineage.collected() as runs, limited:
        data = module.compute(spec["profile"], **spec["parameters"])
        threads = arithmetic.threads_now()
    seconds = time.perf_counter() - started
    texts = {"caption": module.caption(data), "alt": module.alt(data)}
    for part, text in texts.items():
        if not text.strip():
            raise InvalidInput(f"{module.__name__}.{part}: expected a description of the figure, got an empty text")
    with store.new_entry(folder) as temporary:
        data.to_netcdf(temporary / "data.nc", engine="h5netcdf")
        (temporary / "data.csv").write_text(long_table(data), "utf-8")
        save(module.draw, data, temporary)
        own = {claim.name: {"statement": claim.statement} for claim in getattr(module, "CLAIMS", ())}
        judge = getattr(module, "judge", None)
        where = {"processor": data.attrs.get("judged_on") or provenance()["device"]}
        verdicts = [asdict(verdict) | where | own.get(verdict.claim, {}) for verdict in judge(data)] if judge else []
        origin = {**spec, **texts, "verdicts": verdicts, "wall_seconds": round(seconds, 3), **provenance()}
        origin |= {"arithmetic": arithmetic.identity(), "threads": threads, "runs": lineage.listed(runs)}
        (temporary / "provenance.json").write_text(json.dumps(origin, indent=1, ensure_ascii=False), "utf-8")
        data_package.write(data, temporary, origin)


def _check(name: str, module: ModuleType, profile: str, parameters: dict) -> dict:
    """All parameters of ``compute`` with the given values filled in."""
    if profile not in PROFILES:
        raise InvalidInput(f"expected a profile in {PROFILES}, got {profile!r}")
    signature = list(inspect.signature(module.compute).parameters.values())[1:]
    defaults = {parameter.name: parameter.default for parameter in signature}
    unknown = sorted(parameters.keys() - defaults.keys())
    if unknown:
        known = f"parameters of {name} among {sorted(defaults)}" if defaults else f"no parameters, as {name} has none"
        raise InvalidInput(f"expected {known}, got {unknown}")
    for parameter, value in parameters.items():
        default = defaults[parameter]
        kind, expected = KINDS.get(type(default), (object, ""))
        if not isinstance(value, kind):
            raise InvalidInput(f"expected {parameter} of {name} to be {expected}, such as {default!r}, got {value!r}")
    return {**defaults, **parameters}
