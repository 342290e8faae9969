"""Figures under other arithmetics: what counts as one, what the table says, and one real figure computed again."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nld.figures.verification import under
from nld.figures.verification.under import Seen, table, verify_under
from nld.inference.verdict import REVERSED, SHIFTED
from nld.results import arithmetic
from tests.test_chapters import ROOT


def test_an_arithmetic_that_changes_no_bit_is_passed_over_and_nothing_else_is_no_test(monkeypatch):
    monkeypatch.setattr(under, "_fingerprint", lambda environment: "same")
    with pytest.raises(ValueError, match="expected an arithmetic that changes the bits of reference computations"):
        verify_under(["avx2", "two-threads"], ["fig-2"], ROOT)
    with pytest.raises(ValueError, match="expected an arithmetic among avx2, baseline"):
        verify_under(["abacus"], ["fig-2"], ROOT)
    monkeypatch.setattr(under, "_fingerprint", lambda environment: "other" if "NLD_THREADS" in environment else "same")
    ran, said = [], []

    def run(environment, arguments):
        ran.append(environment)
        return SimpleNamespace(returncode=0, stdout="")

    monkeypatch.setattr(under, "_run", run)
    (seen,) = verify_under(["avx2", "two-threads"], ["fig-2"], ROOT, show=said.append)
    assert (seen.arithmetic, seen.fingerprint, seen.good) == ("two-threads", "other", True)
    assert [environment["NLD_EVIDENCE"] for environment in ran] == ["kept"]
    assert said[0].startswith("avx2: passed over")
    monkeypatch.setattr(under, "_fingerprint", lambda environment: str(environment))
    verify_under(["baseline"], ["fig-2"], ROOT, show=said.append)
    assert ran[-1]["NLD_EVIDENCE"] == "live"


def test_law_every_figure_is_computed_once_an_arithmetic_and_one_failure_is_one_of_all(monkeypatch):
    names = [f"fig-{number}" for number in range(23)]
    ran = []

    def run(environment, arguments):
        group = arguments[4 : arguments.index("--root")]
        ran.append((environment["NLD_STORE"].rpartition("/")[2], group))
        Path(arguments[-1]).write_text(json.dumps({name: {"moved": [], "verdicts": []} for name in group}))
        failed = "fig-7" in group and "NLD_THREADS" in environment
        return SimpleNamespace(returncode=-9 * failed, stdout="killed" if failed else "agrees")

    monkeypatch.setattr(under, "_fingerprint", str)
    monkeypatch.setattr(under, "_run", run)
    first, second = verify_under(["baseline", "two-threads"], names, ROOT, show=lambda text: None)
    for seen in (first, second):
        computed = [name for store, group in ran if store == seen.arithmetic for name in group]
        assert sorted(computed) == sorted(seen.figures) == sorted(names)
    assert (first.good, second.good) == (True, False)
    assert "    killed" in table([second]).splitlines()


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_as_many_processes_compute_at_once_as_were_asked_for_and_idle_threads_sleep(jobs, monkeypatch):
    lock, running, most = threading.Lock(), 0, 0

    def run(environment, arguments):
        nonlocal running, most
        assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return SimpleNamespace(returncode=0, stdout="")

    monkeypatch.setattr(under, "_fingerprint", str)
    monkeypatch.setattr(under, "_run", run)
    names = [f"fig-{number}" for number in range(23)]
    verify_under(["baseline", "two-threads"], names, ROOT, jobs=jobs, show=lambda text: None)
    assert most == jobs


@pytest.mark.parametrize("name", arithmetic.NAMED)
def test_a_named_arithmetic_sets_only_what_results_are_named_by(name):
    chosen = arithmetic.named(name)
    assert chosen
    assert set(chosen) <= set(arithmetic.SETTINGS)


def test_the_table_names_what_moved_what_reversed_and_what_one_side_decided():
    calm = {"moved": [], "verdicts": []}
    loud = {"moved": ["loss by 3"], "verdicts": [(REVERSED, "a: b -> c"), (SHIFTED, "d: e -> f")]}
    text = table([
        Seen("avx2", "00", 0, {"fig-a": calm, "fig-b": calm}, "fig-a: agrees"),
        Seen("baseline", "11", 1, {"fig-a": loud}, "fig-a: moved"),
        Seen("two-threads", "22", 1, {}, "Traceback\nBoom"),
    ])  # fmt: skip
    first, second, *rest = text.splitlines()
    assert first == "avx2 (00): 2 figures, 0 variables moved, 0 verdicts reversed, 0 decided on one side only"
    assert second == "baseline (11): 1 figures, 1 variables moved, 1 verdicts reversed, 1 decided on one side only"
    assert "    fig-a: loss by 3" in rest
    assert f"    fig-a: verdict {REVERSED}: a: b -> c" in rest
    assert "    Boom" in rest  # a figure that could not be computed is not passed over


@pytest.mark.slow
def test_a_figure_agrees_under_other_instructions_and_with_two_threads():
    seen = verify_under(["baseline", "two-threads"], ["fig-landscape", "fig-amplification"], ROOT)
    assert [each.good for each in seen] == [True, True]
    assert all(set(each.figures) == {"fig-landscape", "fig-amplification"} for each in seen)
    assert len({each.fingerprint for each in seen}) == 2
