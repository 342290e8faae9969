"""What stands on a dashboard afterwards is what the record holds."""

import csv
import struct

import pytest
import torch
import wandb
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from wandb.proto import wandb_internal_pb2

import nld
from nld.integrations import log_to

mlflow = pytest.importorskip("mlflow")  # of the package mlflow-skinny

BLOCK = "0.weight_0.bias"  # in front of a batch normalization


def train(log, **options):
    """Five steps; their record."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with nld.Monitor(model, optimizer, example_inputs=torch.randn(8, 4), log=log, **options) as monitor:
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
    return monitor.record()


def expected(record, quantity="squared_norm"):
    """Of the scale block, step by step: its mean over units."""
    (name,) = (name for name in record.block.values if record.kind.sel(block=name) == "scale")
    return record.step.values.tolist(), record[quantity].sel(block=name).mean("unit").values


def of_tensorboard(folder, quantity):
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = events.Scalars(f"nld/{quantity}/{BLOCK}")
    return [scalar.step for scalar in scalars], [scalar.value for scalar in scalars]


@pytest.mark.parametrize("quantity", ["squared_norm", "angular_step", "effective_learning_rate"])
def test_tensorboard(tmp_path, quantity):
    with SummaryWriter(tmp_path) as writer:
        record = train(log_to(writer))
    steps, values = of_tensorboard(tmp_path, quantity)
    assert steps == expected(record)[0]
    assert values == pytest.approx(expected(record, quantity)[1], rel=1e-5)


def test_mlflow(tmp_path):
    mlflow.set_tracking_uri(f"file:{tmp_path}/mlruns")
    with mlflow.start_run() as run:
        record = train(log_to(mlflow))
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, f"nld/squared_norm/{BLOCK}")
    by_step = sorted((metric.step, metric.value) for metric in history)
    assert [step for step, _ in by_step] == expected(record)[0]
    assert [value for _, value in by_step] == pytest.approx(expected(record)[1], rel=1e-5)


def wandb_entries(path):
    """What a run wrote while it was offline: records of LevelDB's log, in blocks of 32 KiB, behind seven bytes."""
    data, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            entry = wandb_internal_pb2.Record()
            entry.ParseFromString(parts)
            yield entry
            parts = b""


def test_weights_and_biases(tmp_path):
    """Also where the user's own steps are further on than the monitor's."""
    with wandb.init(dir=tmp_path, mode="offline", project="nld") as run:
        run.log({"loss": 1.0}, step=100)
        record = train(log_to(run))
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    entries = list(wandb_entries(file))
    rows = [
        {item.key or "/".join(item.nested_key): float(item.value_json) for item in entry.history.item}
        for entry in entries
        if entry.HasField("history")
    ]
    rows = [row for row in rows if "nld/step" in row]
    assert [row["nld/step"] for row in rows] == expected(record)[0]
    assert [row[f"nld/squared_norm/{BLOCK}"] for row in rows] == pytest.approx(expected(record)[1], rel=1e-5)
    axes = {entry.metric.glob_name: entry.metric.step_metric for entry in entries if entry.HasField("metric")}
    assert axes["nld/*"] == "nld/step"


def test_several_at_once_with_means_over_units_every_second_step(tmp_path):
    logger = CSVLogger(tmp_path, version=0, name="")
    with SummaryWriter(tmp_path / "board") as writer:
        record = train(log_to(writer, logger), every=2, units="mean")
    logger.save()
    with open(tmp_path / "version_0" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == record.step.values.tolist() == [0, 2, 4]
    values = [float(row[f"nld/squared_norm/{BLOCK}"]) for row in rows]
    assert values == pytest.approx(expected(record)[1], rel=1e-5)
    assert of_tensorboard(tmp_path / "board", "squared_norm")[1] == pytest.approx(values, rel=1e-5)
