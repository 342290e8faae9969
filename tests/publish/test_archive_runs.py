"""What an archive holds to draw its figures again: the package, and the runs behind them."""

import json
import shutil
import zipfile
from datetime import date

import pytest

from nld.errors import Damaged
from nld.experiment import Experiment, RunStore, run_sweep
from nld.publish.exports.archive import MANIFEST, build_wheel, runs_behind
from tests.publish.scratch import REPOSITORY

RUNS = [Experiment(steps=2, evaluate_every=2, seed=seed) for seed in (0, 1)]
ORIGINS = [
    {"figure": "fig-b", "runs": [{"key": run.key} for run in RUNS]},
    {"figure": "fig-a", "runs": [{"key": RUNS[0].key}]},
    {"figure": "fig-c"},
]


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """A store with both runs. Do not change it."""
    folder = tmp_path_factory.mktemp("store")
    run_sweep(RUNS, store=RunStore(folder / "runs"))
    return folder


def test_each_run_is_kept_once_and_the_manifest_says_for_which_figures(top):
    files = runs_behind(top, ORIGINS)
    names = {f"runs/{run.key}/{file}" for run in RUNS for file in ("spec.json", "record.nc")}
    assert set(files) == names | {MANIFEST}
    for name in names:
        assert files[name] == (top / name).read_bytes()
    manifest = json.loads(files[MANIFEST])
    assert {key: run["figures"] for key, run in manifest["runs"].items()} == {
        RUNS[0].key: ["fig-a", "fig-b"], RUNS[1].key: ["fig-b"],
    }  # fmt: skip
    assert manifest["bytes"] == sum(len(files[name]) for name in names if name.endswith(".nc"))
    assert manifest["records"] == "all here"


def test_runs_that_are_computed_again_are_the_same_bytes(top, tmp_path):
    run_sweep(RUNS, store=RunStore(tmp_path / "runs"))
    assert runs_behind(tmp_path, ORIGINS) == runs_behind(top, list(reversed(ORIGINS)))


def test_records_that_are_too_large_together_stay_out_and_the_manifest_says_so(top):
    total = json.loads(runs_behind(top, ORIGINS)[MANIFEST])["bytes"]
    assert f"runs/{RUNS[0].key}/record.nc" in runs_behind(top, ORIGINS, limit=total)
    files = runs_behind(top, ORIGINS, limit=total - 1)
    assert set(files) == {MANIFEST, *(f"runs/{run.key}/spec.json" for run in RUNS)}
    manifest = json.loads(files[MANIFEST])
    assert manifest["records"].startswith("left out")
    assert manifest["runs"].keys() == {run.key for run in RUNS}


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_a_run_that_is_lost_or_damaged_is_an_error_that_names_its_figures(top, tmp_path, damage):
    shutil.copytree(top / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / RUNS[0].key
    shutil.rmtree(folder) if damage == "removed" else (folder / "record.nc").write_bytes(b"cut")
    with pytest.raises(Damaged, match=rf"{RUNS[0].key}.*a run behind fig-a, fig-b: remove .*fig-a"):
        runs_behind(tmp_path, ORIGINS)


def test_a_wheel_is_the_same_bytes_whenever_it_is_built_and_holds_package_and_results(tmp_path):
    pytest.importorskip("hatchling", reason='needs hatchling: pip install -c constraints.txt -e ".[archive]"')
    copy = tmp_path / "elsewhere"
    for name in ("nld", "results"):
        shutil.copytree(REPOSITORY / name, copy / name, copy_function=shutil.copyfile)  # other times, other modes
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, copy / name)
    released = date(2026, 1, 2)
    one, other = build_wheel(REPOSITORY, released), build_wheel(copy, released)
    assert one == other
    path = tmp_path / one[0]
    path.write_bytes(one[1])
    with zipfile.ZipFile(path) as archive:
        held = {entry.filename: entry for entry in archive.infolist()}
    assert {entry.date_time[:3] for entry in held.values()} == {(2026, 1, 2)}
    sources = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "nld").rglob("*") if p.is_file()}
    assert {name for name in sources if "__pycache__" not in name} <= held.keys()
    assert not [name for name in held if "__pycache__" in name or name.startswith(("tests", "book"))]
    for folder in ("reference", "evidence", "photographs"):
        for file in (REPOSITORY / "results" / folder).glob("*.nc"):
            assert f"nld/shipped/results/{folder}/{file.name}" in held


def test_a_checkout_that_cannot_be_packed_is_an_error_with_its_reason(tmp_path):
    pytest.importorskip("hatchling", reason='needs hatchling: pip install -c constraints.txt -e ".[archive]"')
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with pytest.raises(RuntimeError, match=rf"hatchling cannot pack nld in {tmp_path}: "):
        build_wheel(tmp_path, date(2026, 1, 2))


def test_without_what_packs_it_is_said_how_to_get_that(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r'expected hatchling.*pip install -c constraints.txt -e "\.\[archive\]"'):
        build_wheel(tmp_path, date(2026, 1, 2))
