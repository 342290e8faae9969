"""Records that no monitor has written: what lacks is named, and books that do not add up are called out."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import nld
from nld.cli import main
from nld.monitor.audit import faults
from nld.monitor.monitor_record import ATTRIBUTES, COORDINATES, FORMAT
from nld.monitor.quantities import QUANTITIES
from nld.publish.exports.report import report
from tests.monitor.zoo import BLOCKS, OPTIMIZERS, loss_of, train, zoo


def watched(name="momentum", steps=12, dtype=torch.float64, **options):
    network, optimizer = zoo(name, dtype)
    with nld.Monitor(network, optimizer, BLOCKS, **options) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


@pytest.fixture
def record():
    return watched()


def written(record, tmp_path, capsys) -> str:
    """What `nld report` says of a record, which it must refuse."""
    path = tmp_path / "record.nc"
    record.to_netcdf(path, engine="h5netcdf")
    assert main(["report", str(path)]) == 1
    return capsys.readouterr().err


def without(record, name):
    """A record without an attribute or a variable."""
    if name not in ATTRIBUTES:
        return record.drop_vars(name)
    cut = record.copy()
    del cut.attrs[name]
    return cut


@pytest.mark.parametrize(
    "name", [*ATTRIBUTES, *(c for c in COORDINATES if c not in ("step", "block", "unit")), "learning_rate"]
)
def test_what_a_record_lacks_is_named(record, name, tmp_path, capsys):
    cut = without(record, name)
    with pytest.raises(ValueError, match=f"{name}; give what monitor.record"):
        nld.monitor.findings(cut)
    with pytest.raises(ValueError, match=f"{name}; give what monitor.record"):
        report(cut, tmp_path / "page.html")


@pytest.mark.parametrize("name", ["model", "kind", "learning_rate"])  # writing and reading takes a second
def test_what_a_file_lacks_is_named_with_what_writes_one(record, name, tmp_path, capsys):
    said = written(without(record, name), tmp_path, capsys)
    assert f"no {'attribute ' if name in ATTRIBUTES else ''}{name}" in said
    assert "nld.monitor.save(monitor.record(), path)" in said


@pytest.mark.parametrize("text", ["not JSON", "3", '["lr"]'])
def test_hyperparameters_that_cannot_be_read_are_named(record, text):
    with pytest.raises(ValueError, match="hyperparameters that are no list of parameter groups in JSON"):
        nld.monitor.findings(record.assign_attrs(hyperparameters=text))


def test_another_format_is_named(record, tmp_path, capsys):
    assert "format 'another'" in written(record.assign_attrs(format="another"), tmp_path, capsys)
    assert f"format '{FORMAT + 1}'" in written(record.assign_attrs(format=FORMAT + 1), tmp_path, capsys)
    assert "no charge" in written(xr.Dataset({"a": 1}), tmp_path, capsys)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_the_books_of_a_monitor_add_up(name):
    assert faults(watched(name, 6)) == {}


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam decay", "rmsprop"])
def test_so_do_those_in_single_precision(name):
    assert faults(watched(name, dtype=torch.float32)) == {}


@pytest.mark.parametrize("options", [{"units": "mean"}, {"every": 3}, {"every": "log"}], ids=str)
def test_so_do_those_of_means_and_of_some_steps(options):
    assert faults(watched("adam", 30, **options)) == {}


@pytest.mark.parametrize("name", ["momentum", "adamw", "rmsprop"])
def test_so_do_those_of_a_training_that_is_interfered_with(name):
    """A momentum that is loaded, one that is changed behind the monitor's back, and steps that leave parameters out."""
    network, optimizer = zoo(name)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 4)
        kept = torch.load(_saved(optimizer.state_dict()), weights_only=True)
        train(network, optimizer, 3, first=4)
        optimizer.load_state_dict(kept)
        for step in range(7, 13):
            optimizer.zero_grad()
            loss_of(network, step).backward()
            if step > 7 and step % 2:
                network.scaled.grad = network.value.grad = None
            optimizer.step()
            for state in optimizer.state.values():
                for key in ("momentum_buffer", "exp_avg"):
                    if step == 9 and state.get(key) is not None:
                        state[key] *= 0.9
    assert faults(monitor.record()) == {}


def _saved(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def forge(record, term, block):
    """More at one place, in the size of the charges."""
    record[term].loc[{"block": block, "step": 5, "unit": 0}] += float(abs(record.charge).max()) + 1.0


@pytest.fixture(scope="module")
def decayed():
    return watched("adam decay")


@pytest.mark.parametrize("block", [block.name for block in BLOCKS])
@pytest.mark.parametrize("term", ["residual", "charge"])
def test_a_forged_term_is_called_out(decayed, block, term):
    """Also one that leaves relative residuals as they were: they are said to be good, and are not."""
    record = decayed.copy(deep=True)
    forge(record, term, block)
    findings = nld.monitor.findings(record)
    (found,) = [f for f in findings if "do not add up" in f.text]
    assert (found.topic, found.block, found.good) == ("books", block, False)
    assert "step 5" in found.text
    assert not any("books balance" in f.text for f in findings)


@pytest.mark.parametrize("term", ["residual", "charge"])
def test_the_report_calls_a_forged_term_out(record, term, tmp_path, unrendered):
    forge(record, term, BLOCKS[0].name)
    page = report(record, tmp_path / "page.html").read_text()
    assert "do not add up" in page
    assert page.count("<td>no</td>") == 1


@pytest.mark.parametrize("term", ["residual", "relative_residual", "charge", "dissipation"])
def test_books_that_are_no_numbers_are_called_out(record, term):
    everywhere = record.copy(deep=True)
    everywhere[term][:] = np.nan
    texts = [f.text for f in nld.monitor.findings(everywhere) if "do not add up" in f.text]
    assert len(texts) == len(BLOCKS)
    record[term].loc[{"block": "relu", "step": 3, "unit": 2}] = np.nan
    (found,) = [f for f in nld.monitor.findings(record) if "do not add up" in f.text]
    assert found.block == "relu"
    assert f"{term} is not a number at step 3" in found.text


def test_weights_that_are_lost_are_no_forgery():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 5)
        with torch.no_grad():
            network.scaled.fill_(float("nan"))
        train(network, optimizer, 5, first=5)
    assert not any("do not add up" in f.text for f in nld.monitor.findings(monitor.record()))


def test_the_names_asked_for_are_those_that_a_monitor_writes(record):
    assert set(COORDINATES) <= set(record.coords)
    assert set(QUANTITIES) <= set(record.data_vars)
    assert isinstance(json.loads(record.attrs["hyperparameters"]), list)
