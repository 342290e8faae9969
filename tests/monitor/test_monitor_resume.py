"""Trainings that are rewound or resumed, and streams that are read while they grow."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import nld
from nld.errors import InvalidInput

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def start():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)).double()
    return model, torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


BLOCKS = nld.find_symmetries(start()[0], X)


def train(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(X).square().sum().backward()
        optimizer.step()


def uninterrupted(steps):
    model, optimizer = start()
    with nld.Monitor(model, optimizer, BLOCKS) as monitor:
        train(model, optimizer, steps)
    return monitor.record()


@pytest.mark.parametrize("first", ["model", "optimizer"])
def test_rewinding_is_no_step(first):
    model, optimizer = start()
    with nld.Monitor(model, optimizer, BLOCKS) as monitor:
        train(model, optimizer, 4)
        states = copy.deepcopy([model.state_dict(), optimizer.state_dict()])
        train(model, optimizer, 4)
        loads = [lambda: model.load_state_dict(states[0]), lambda: optimizer.load_state_dict(states[1])]
        for load in loads if first == "model" else loads[::-1]:
            load()
        train(model, optimizer, 4)
    record, plain = monitor.record(), uninterrupted(8)
    assert record.step.values.tolist() == list(range(12))
    for name in ("squared_step", "squared_norm", "charge"):
        expected = np.concatenate([plain[name].values, plain[name].values[4:]])
        assert np.allclose(record[name].values, expected, rtol=1e-12, atol=1e-13, equal_nan=True), name
    assert float(record.relative_residual.max()) < 1e-3  # the layer norm's epsilon


def test_a_resumed_record_goes_on_where_the_first_ended():
    model, optimizer = start()
    records = []
    for first_step in (0, 6):
        with nld.Monitor(model, optimizer, BLOCKS, every=2, first_step=first_step) as monitor:
            train(model, optimizer, 6)
        records.append(monitor.record())
    assert records[1].step.values.tolist() == [6, 8, 10]
    plain = uninterrupted(12).sel(step=records[1].step)
    assert np.allclose(plain.squared_step, records[1].squared_step, rtol=1e-12, equal_nan=True)
    with pytest.raises(InvalidInput, match="0 or more, got -1"):
        nld.Monitor(model, optimizer, BLOCKS, first_step=-1)


def test_copies_of_a_watched_model_are_deaf():
    model, optimizer = start()
    with nld.Monitor(model, optimizer, BLOCKS) as monitor:
        train(model, optimizer, 3)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            twin.load_state_dict(start()[0].state_dict())
        train(model, optimizer, 2)
        assert not monitor._fresh
    assert monitor.record().sizes["step"] == 5
    assert not model._load_state_dict_pre_hooks


READER = "import sys, nld\nfor _ in sys.stdin: print(nld.monitor.load(sys.argv[1]).sizes['step'], flush=True)"


def test_a_stream_is_there_early_and_can_be_read_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.stream.FLUSH", 0.0)
    path = tmp_path / "stream.nc"
    model, optimizer = start()
    command = [sys.executable, "-c", READER, path]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", UserWarning)
        with nld.Monitor(model, optimizer, BLOCKS, stream=path) as monitor:
            for steps in (3, 7):
                train(model, optimizer, steps - monitor._step)
                print("how many steps?", file=reader.stdin, flush=True)
                assert steps - 2 <= int(reader.stdout.readline()) <= steps
        reader.stdin.close()
        assert reader.wait() == 0
    record = monitor.record()
    assert record.step.values.tolist() == list(range(7))
    assert np.allclose(record.squared_step, uninterrupted(7).squared_step, rtol=1e-12, equal_nan=True)
