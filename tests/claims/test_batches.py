"""Further judging seeds as records: what they hold follows from their numbers, and nothing altered is merged."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nld.claims import batches
from nld.errors import InvalidInput, ToolError
from nld.figures import evidence
from nld.inference import Evidence, registrations, rule
from nld.inference.registration import FIRST_JUDGING_SEED

CLAIM = "norm-closed-form"
PARTS = [part.name for part in registrations()[CLAIM].parts]
KEPT = 4


def measure(seeds):
    rows = [[np.random.default_rng([seed, place]).normal(1.0) for place in range(len(PARTS))] for seed in seeds]
    return xr.Dataset({"judged": (("judging_seed", "part"), rows)}, coords={"judging_seed": list(seeds)})


def judge(data):
    return rule([Evidence(CLAIM, "", {part: data["judged"].values[:, place] for place, part in enumerate(PARTS)})])


@pytest.fixture(autouse=True)
def copy(tmp_path, monkeypatch):
    """A copy of the project of its own, in which fig-1 keeps four judging seeds of a registration."""
    module = SimpleNamespace(EVIDENCE="results/evidence/fig-1.nc", KEPT_SEEDS=KEPT, measure=measure, judge=judge)
    kept = measure(range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + KEPT))
    monkeypatch.setattr(batches.figures, "load", lambda name: module)
    monkeypatch.setattr(batches.figures, "show", lambda name: SimpleNamespace(data=kept))
    monkeypatch.setattr(batches, "kept_seeds", lambda figure: set(kept["judging_seed"].values.tolist()))
    monkeypatch.setattr(evidence, "sources", lambda module: "0" * 16)
    monkeypatch.setattr(batches, "ROOTS", (tmp_path,))
    return tmp_path


def written(path, record):
    path.write_text(batches.text(record), "utf-8")
    return path


def test_a_record_holds_every_part_at_every_seed_and_is_read_back(copy):
    record = batches.measured("fig-1", 3)
    assert record["seeds"] == [FIRST_JUDGING_SEED + KEPT + place for place in range(3)]
    assert sorted(record["claims"][CLAIM]["parts"]) == sorted(PARTS)
    fresh = measure(record["seeds"])["judged"].values
    for place, part in enumerate(PARTS):
        assert record["claims"][CLAIM]["parts"][part]["samples"] == fresh[:, place].tolist()
    again = batches.read(written(copy / "record.json", record))
    assert {**record, "hash": batches.content_hash(record)} == again


def test_seeds_go_on_where_those_that_were_merged_end(copy):
    batches.merge(written(copy / "record.json", batches.measured("fig-1", 3)))
    assert batches.first_free_seed("fig-1") == FIRST_JUDGING_SEED + KEPT + 3
    with pytest.raises(InvalidInput, match=f"from {FIRST_JUDGING_SEED + KEPT + 3}"):
        batches.measured("fig-1", 1, first=FIRST_JUDGING_SEED)


def changed(record, how):
    """The record after a change, with a new hash where the change was meant to pass for whole."""
    record = json.loads(json.dumps(record))
    part = record["claims"][CLAIM]["parts"]
    if how == "a number, by hand":
        content = batches.text(record).replace(repr(part[PARTS[0]]["samples"][0]), "9.5")
        return content
    if how == "a number":
        part[PARTS[0]]["samples"][0] = 9.5
    elif how == "an e-value":
        part[PARTS[0]]["e_value"] *= 10
    elif how == "a seed left out":
        record["seeds"].pop(1)
        for numbers in part.values():
            numbers["samples"].pop(1)
    elif how == "a number left out":
        part[PARTS[0]]["samples"].pop()
    elif how == "a part left out":
        del part[PARTS[0]]
    elif how == "selection seeds":
        record["seeds"] = [0, 1, 2]
    elif how == "a later format":
        record["format"] = 99
    elif how == "a field left out":
        del record["arithmetic"]
    return batches.text(record)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a number, by hand", "not that of its hash"),
        ("a number", "do not follow"),
        ("an e-value", "do not follow"),
        ("a seed left out", "not consecutive"),
        ("a number left out", "2 numbers for 3 seeds|do not follow"),
        ("a part left out", "registered are"),
        ("selection seeds", "not consecutive from 10000"),
        ("a later format", "update nld"),
        ("a field left out", "lacks arithmetic"),
    ],
)
def test_what_was_altered_is_refused_and_not_merged(copy, how, message):
    path = copy / "record.json"
    path.write_text(changed(batches.measured("fig-1", 3), how), "utf-8")
    with pytest.raises(InvalidInput, match=message):
        batches.merge(path)
    assert batches.merged() == []


def test_a_record_of_another_registration_is_refused(copy):
    record = batches.measured("fig-1", 2)
    record["claims"][CLAIM]["registration"] = "f" * 16
    with pytest.raises(InvalidInput, match="run for another question"):
        batches.merge(written(copy / "record.json", record))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"hash": 1}', "not JSON"])
def test_what_is_no_record_is_refused(copy, content):
    (copy / "record.json").write_text(content)
    with pytest.raises(InvalidInput, match="add-evidence"):
        batches.read(copy / "record.json")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_a_signature_holds_for_its_content_alone(copy):
    key = copy / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    one, other = batches.measured("fig-1", 2), batches.measured("fig-1", 3)
    signed = batches.signed(one, key)
    assert batches.content_hash(signed) == batches.content_hash(one)
    batches.merge(written(copy / "signed.json", signed))
    with pytest.raises(InvalidInput, match="signature does not hold"):
        batches.read(written(copy / "stolen.json", {**other, "signature": signed["signature"]}))
    with pytest.raises(ToolError):
        batches.signed(one, copy / "no-key")
