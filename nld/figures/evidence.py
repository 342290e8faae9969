"""Judging seeds: the per-seed numbers that rule on a figure's stochastic claims.

A figure whose judged runs are too long for each build keeps them in a file, such as "results/evidence/fig-dyt.nc", one
row for each arithmetic (processor and instruction set); they rule as long as the figure's parameters are the registered
ones. With other parameters, or ``NLD_EVIDENCE=live``, a few judging seeds are run on the spot instead.

A sequence may be begun on one processor and go on on another: arithmetics differ by rounding, seeds by chance.
"""

import ast
import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from nld.errors import InvalidInput, Missing
from nld.experiment.runs.fingerprint import arithmetic_name
from nld.inference import FIRST_JUDGING_SEED
from nld.results import stored_results
from nld.results.arithmetic import kept_evidence_counts
from nld.results.dependencies import needed_modules, source_hashes
from nld.results.places import ROOTS
from nld.results.provenance import provenance
from nld.results.store import content_key

PRESENTATION = {"draw", "caption", "alt", "judge", "numbers", "sentences"}
PROSE = [f"nld.figures._data.{path.stem}" for path in sorted(Path(__file__).parent.glob("_data/*_prose.py"))]
# Modules that see numbers only when they are there, or that say how they are kept.
LATER = (
    "nld.inference", "nld.figures._render", "nld.figures.evidence", "nld.figures.recording", "nld.publish", "nld.paper",
    *PROSE,
)  # fmt: skip
KEPT_SEEDS = 32  # that are kept, unless a figure's module says otherwise: what most sequential tests may take
AT_ONCE = 8  # that are run between two writes, and that a replay runs again
LIVE = 8  # judging seeds that are run on the spot
Measure = Callable[[Sequence[int]], xr.Dataset]  # seeds to per-seed numbers along judging_seed


def judged(place: str, measure: Measure, *, seed: int = 0, registered: bool = True, live: int = LIVE) -> xr.Dataset:
    """Per-seed numbers along ``judging_seed``: kept ones, or those of the first ``live`` seeds from 10,000 + ``seed``.

    Args:
        place: of the kept evidence below the root of the checkout, named in the figure's module; "" if none is kept.
        measure: trains the judged settings with the seeds that it is given.
        seed: shifts the block of judging seeds.
        live: how many are run on the spot. 1 where each takes minutes: one decides nothing, so kept ones rule under
            ``NLD_EVIDENCE=live``, too, and it is run for another ``seed`` or other parameters alone.
        registered: whether all other parameters have the values that kept evidence was computed with.
    """
    counts = kept_evidence_counts() or live == 1
    if registered and seed == 0 and kept_path(place) is not None and counts:
        return kept(place, measure.__module__)
    first = FIRST_JUDGING_SEED + seed
    return measure(range(first, first + live)).assign_attrs(judged_on=arithmetic_name())


def kept(place: str, module: str) -> xr.Dataset:
    """Kept per-seed numbers, each seed's of the first arithmetic that has it.

    ``judged_on`` says which arithmetics these are, and whether the module changed since.

    Raises:
        Missing: none are kept.
    """
    path = kept_path(place)
    if path is None:
        raise Missing(f"expected kept evidence in {place}, got no such file; restore it or gather it")
    found = _read(path)
    first = _there(found).argmax(axis=0)  # number of the arithmetic that rules on each seed
    seeds = np.arange(found.sizes["judging_seed"])
    rows = found.isel({"arithmetic": ("judging_seed", first), "judging_seed": ("judging_seed", seeds)})
    stale = found.attrs["sources"] != sources(module)
    origin = _in_words(found, first) + ", by an earlier version of the code" * stale
    return rows.drop_vars("arithmetic").drop_attrs(deep=False).assign_attrs(judged_on=origin)


def _in_words(found: xr.Dataset, first: np.ndarray) -> str:
    """Such as "CPU A, AVX512", or where there are several "CPU A, AVX512 (7 seeds) and CPU A, AVX2 (9 seeds)"."""
    names, counts = np.unique(first, return_counts=True)
    texts = [str(found["arithmetic"].values[name]) for name in names]
    if len(texts) == 1:
        return texts[0]
    return " and ".join(f"{text} ({count} seeds)" for text, count in zip(texts, counts, strict=True))


def kept_path(place: str) -> Path | None:
    """The file of kept evidence, or None."""
    return next((path for root in ROOTS if place and (path := root / place).is_file()), None)


def sources(module: str) -> str:
    """Digest of the source that decides a module's numbers: evidence of another one says so until it is replayed.

    Of the figure's own module what draws, words and judges is left out, and so is what is stored.
    """
    own = importlib.import_module(module)
    tree = ast.parse(Path(own.__file__ or "").read_text("utf-8"))
    tree.body = [node for node in tree.body if not _presents(node)]
    reached = needed_modules(module, without=LATER) - {module}
    hashes = {name: value for name, value in source_hashes(reached).items() if "/" not in name}
    return content_key({**hashes, module: ast.dump(tree)})


def _presents(node: ast.stmt) -> bool:
    """Whether a statement of a figure's module has no part in its numbers: drawing, words, rulings, documentation."""
    if isinstance(node, ast.FunctionDef):
        return node.name in PRESENTATION or node.name.startswith("_draw")
    return isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)


def gather(
    place: str, measure: Measure, count: int, *, at_once: int = AT_ONCE, progress: Callable[[str], None] = print
) -> Path:
    """Run judging seeds that are not kept yet on this arithmetic, and keep them; earlier ones are not run again.

    Seeds are consecutive from 10,000; each ``at_once`` of them are kept when they are done. The first ones come
    first, by which arithmetics are compared, then those that no arithmetic has: the sequence grows; then the others.

    Returns:
        The file in the checkout.

    Raises:
        InvalidInput: what is kept is of an earlier version of the code.
    """
    path, label = ROOTS[0] / place, arithmetic_name()
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        kept = _read(path) if path.exists() else None
        if kept is not None and kept.attrs["sources"] != sources(measure.__module__):
            raise InvalidInput(
                f"expected evidence of this version of the code in {path}, got that of an earlier one: replay it, "
                f"or gather in a checkout of {kept.attrs['commit']}"
            )
        seeds = _missing(kept, label, count, at_once)
        if not seeds:
            return path
        progress(f"{place}: seeds {seeds[0]} to {seeds[-1]} on {label}")
        rows = measure(seeds).drop_attrs(deep=False).expand_dims(arithmetic=[label])
        joined = rows if kept is None else _joined(kept, rows)
        origin = provenance()
        joined.attrs |= {
            "nld_version": origin["nld_version"], "commit": origin["commit"], "torch": origin["packages"]["torch"],
            "sources": sources(measure.__module__),
        }  # fmt: skip
        write(joined, path)


def replay(place: str, measure: Measure, at_once: int = AT_ONCE) -> bool:
    """Whether the first kept seeds come out equal to the bit with today's code; if so, the evidence is that code's too.

    Raises:
        ValueError: nothing is kept of this processor's arithmetic, where alone bits can be equal.
    """
    path, label = ROOTS[0] / place, arithmetic_name()
    kept = _read(path)
    if label not in kept["arithmetic"].values:
        raise InvalidInput(f"expected evidence of {label} in {path}, got {list(kept['arithmetic'].values)}; gather it")
    before = kept.sel(arithmetic=label)
    before = before.isel(judging_seed=_there(kept)[list(kept["arithmetic"].values).index(label)])
    before = before.isel(judging_seed=slice(at_once))
    again = measure([int(seed) for seed in before["judging_seed"].values])
    if not all(np.array_equal(again[name].values, before[name].values, equal_nan=True) for name in again.data_vars):
        return False
    write(kept.assign_attrs(sources=sources(measure.__module__)), path)
    return True


def write(data: xr.Dataset, path: Path) -> None:
    """Write evidence, compressed and whole or not at all."""
    packed = {"zlib": True, "complevel": 9, "shuffle": True}
    temporary = path.with_name(f".{path.name}.part")
    encoding = {n: packed for n, v in data.data_vars.items() if v.ndim and v.dtype.kind in "fiub"}
    try:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    stored_results.note(path)


def _read(path: Path) -> xr.Dataset:
    """Kept evidence, once its checksum was found to hold."""
    return xr.load_dataset(stored_results.whole(path), engine="h5netcdf")


def _missing(kept: xr.Dataset | None, label: str, count: int, at_once: int) -> list[int]:
    """At most ``at_once`` consecutive judging seeds to run next on one arithmetic; none where it has ``count``."""
    every = range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + count)
    rows = {} if kept is None else dict(zip(kept["arithmetic"].values, _there(kept), strict=True))
    seeds = [] if kept is None else kept["judging_seed"].values
    had = {name: {int(seed) for seed in seeds[there]} for name, there in rows.items()}
    own, any_ = had.get(label, set()), set().union(*had.values())
    for wanted in (every[:1], [seed for seed in every if seed not in any_], every):
        todo = [seed for seed in wanted if seed not in own]
        if todo:
            start = todo[0]
            return [seed for seed in range(start, start + at_once) if seed in every and seed not in own]
    return []


def _there(kept: xr.Dataset) -> np.ndarray:
    """Whether an arithmetic has a seed, an array of arithmetics by seeds."""
    first = next(v for v in kept.data_vars.values() if {"arithmetic", "judging_seed"} <= set(v.dims))
    values = first.transpose("arithmetic", "judging_seed", ...).values
    return np.asarray(np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=2))


def _joined(kept: xr.Dataset, rows: xr.Dataset) -> xr.Dataset:
    """Rows added along ``judging_seed`` or as a further arithmetic, the earlier order kept."""
    # As objects: of texts of a fixed length xarray would cut the longer names to that of the shorter.
    kept, rows = (each.assign_coords(arithmetic=each["arithmetic"].astype(object)) for each in (kept, rows))
    order = list(dict.fromkeys([*kept["arithmetic"].values, *rows["arithmetic"].values]))
    return kept.combine_first(rows).sel(arithmetic=order)
