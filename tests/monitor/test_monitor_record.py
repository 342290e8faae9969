"""What is written down, how densely, and what comes back from disk."""

import h5netcdf
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import nld
from nld.finder import Member
from nld.monitor import finished_steps
from nld.monitor.inner_products.inner_products import InnerProducts
from nld.monitor.inner_products.layout import Use, pages
from nld.monitor.monitor_record import append
from nld.monitor.schedule import schedule
from nld.symmetry import Kind
from tests.monitor.zoo import BLOCKS, train, zoo


def watched(steps=30, name="momentum", **options):
    network, optimizer = zoo(name)
    with nld.Monitor(network, optimizer, BLOCKS, **options) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


@pytest.mark.parametrize("every", [2, 7, "log", (3, 4, 11)], ids=str)
@pytest.mark.parametrize("name", ["momentum", "rmsprop"])
def test_fewer_steps_are_the_same_steps(name, every):
    full, sparse = watched(name=name), watched(name=name, every=every)
    due = schedule(every)
    assert sparse.step.values.tolist() == [n for n in range(30) if due(n)]
    window = "gradient_autocorrelation"  # a mean over what was recorded
    xr.testing.assert_allclose(
        sparse.drop_vars(window), full.sel(step=sparse.step).drop_vars(window), rtol=1e-9, atol=1e-14
    )


def test_schedules_refuse_what_they_do_not_know_and_take_numpy_s_numbers():
    for every in (0, -1, 1.5, "sometimes", True):
        with pytest.raises(ValueError, match="expected every"):
            schedule(every)
    assert [n for n in range(9) if schedule(np.int64(4))(n)] == [0, 4, 8]


def test_a_record_in_the_middle_changes_nothing():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        middle = []
        train(network, optimizer, 20, after=lambda step: middle.append(monitor.record()) if step in (0, 6) else None)
    full = watched(20)
    assert monitor.record().equals(full)
    assert middle[0].equals(full.isel(step=slice(0, 1)))
    assert middle[1].equals(full.isel(step=slice(0, 7)))


def test_small_rings_change_nothing(monkeypatch):
    full = watched()
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    assert watched().equals(full)
    xr.testing.assert_allclose(
        watched(every=4),
        full.isel(step=slice(None, None, 4)).assign(gradient_autocorrelation=watched(every=4).gradient_autocorrelation),
    )


def test_means_over_units():
    full, means = watched(), watched(units="mean")
    assert means.sizes["unit"] == 1
    for name, value in full.data_vars.items():
        expected = value
        if "unit" in value.dims:
            extreme = name in ("relative_residual", "violation")
            expected = value.max("unit") if extreme else value.mean("unit")
            assert np.allclose(means[name].isel(unit=0), expected, equal_nan=True), name


def test_streaming_equals_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    path = tmp_path / "run.nc"
    streamed = watched(stream=path)
    assert streamed.load().equals(watched())
    with pytest.raises(ValueError, match="exists"):
        watched(stream=path)


def test_a_stream_can_be_read_while_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    network, optimizer = zoo()
    middle = []
    with nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc") as monitor:
        train(network, optimizer, 20, after=lambda step: middle.append(monitor.record()) if step in (5, 12) else None)
    full = watched(20)
    for record in middle:
        assert record.sizes["step"] > 0
        assert record.equals(full.isel(step=slice(0, record.sizes["step"])))
    assert monitor.record().load().equals(full)


def test_a_stream_that_cannot_be_written_for_a_while_does_not_end_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    path = tmp_path / "run.nc"
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS, stream=path) as monitor:
        train(network, optimizer, 10)
        with nld.monitor.load(path, lazy=True), pytest.warns(UserWarning, match="run.nc"):
            train(network, optimizer, 5, first=10)
        train(network, optimizer, 5, first=15)
    assert monitor.record().load().equals(watched(20))


@pytest.mark.parametrize(
    "place", ["nld.monitor.finished_steps.quantities", "h5netcdf.File.resize_dimension", "h5netcdf.File.close"]
)
@pytest.mark.parametrize("after", [False, True])
def test_an_interruption_while_steps_are_written_down_loses_none_and_doubles_none(tmp_path, monkeypatch, place, after):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    network, optimizer = zoo()
    monitor = nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc")
    train(network, optimizer, 10)
    owner, _, name = place.rpartition(".")
    function = getattr(h5netcdf.File, name, None) or finished_steps.quantities
    calls = 0

    def interrupt(*args, **options):
        nonlocal calls
        calls += 1
        result = function(*args, **options) if after or calls > 1 else None
        if calls == 1:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(f"{owner}.{name}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(network, optimizer, 5, first=10)
    train(network, optimizer, 10, first=monitor._step)
    monitor.close()
    found, whole = monitor.record().load(), watched(20)
    assert calls > 1
    assert list(found.step) == [n for n in range(monitor._step) if n in found.step]
    xr.testing.assert_identical(found.drop_attrs(), whole.sel(step=found.step).drop_attrs())
    assert whole.sizes["step"] - found.sizes["step"] <= 1


def test_steps_that_could_not_all_be_added_leave_the_file_as_it_was(tmp_path):
    path = tmp_path / "run.nc"
    record = watched(6)
    append(record.isel(step=slice(0, 4)), path)
    rest = record.isel(step=slice(4, 6))
    with pytest.raises(KeyError):
        append(rest.assign(foreign=rest.charge), path)
    assert nld.monitor.load(path).equals(record.isel(step=slice(0, 4)))
    append(rest, path)
    assert nld.monitor.load(path).equals(record)


def test_a_stream_without_a_folder_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        watched(stream=tmp_path / "nowhere" / "run.nc")


def test_streaming_keeps_memory_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    network, optimizer = zoo()
    monitor = nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc")
    train(network, optimizer, 60)
    held = monitor._buffer
    assert not monitor._finished
    assert len(held._entries) <= held.length == 2
    assert len(held._carried.history.steps) <= 50
    monitor.close()
    assert nld.monitor.load(tmp_path / "run.nc").step.values.tolist() == list(range(60))


def test_memory_is_one_copy_of_the_tracked_parameters():
    model = torch.nn.Linear(3000, 1000, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    block = nld.Block("scale", "rows", (Member("weight", (1000, 3000)),))
    with nld.Monitor(model, optimizer, [block]) as monitor:
        products = monitor._tracked.inner_products[0]
    parts = [part for part in (products, products.torch_backend, products.numba_backend) if part is not None]
    values = [value for part in parts for value in vars(part).values()]
    tensors = [each for value in values for each in (value if isinstance(value, list) else [value])]
    own = {
        each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
        for each in tensors
        if torch.is_tensor(each) and each is not model.weight
    }
    copy = model.weight.numel() * model.weight.element_size()
    assert len(parts) == 2
    assert copy <= sum(own.values()) < 1.25 * copy


def test_gradient_autocorrelation_of_constant_and_of_white_gradients():
    torch.manual_seed(0)
    found = {}
    for kind in ("constant", "white"):
        weight = torch.nn.Parameter(torch.zeros(40, 50, dtype=torch.float64))
        model = torch.nn.ParameterDict({"w": weight})
        optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.8)
        fixed = torch.randn(40, 50, dtype=torch.float64)
        block = nld.Block("translation", "w", (Member("w", (40, 50)),))
        with nld.Monitor(model, optimizer, [block]) as monitor:
            for _ in range(200):
                weight.grad = fixed if kind == "constant" else torch.randn_like(fixed)
                optimizer.step()
        found[kind] = float(monitor.record().gradient_autocorrelation.isel(step=-1).mean())
    assert found["constant"] == pytest.approx((1 + 0.8) / (1 - 0.8), rel=1e-6)
    assert found["white"] == pytest.approx(1.0, abs=0.05)


def test_variables_of_scale_blocks():
    record = watched(name="sgd")
    row = record.sel(block="rows").isel(unit=slice(0, 5))
    assert np.allclose(row.effective_learning_rate, 0.05 / row.squared_norm)
    grown = row.squared_norm.diff("step").values
    assert np.allclose(grown, row.squared_step.values[:-1]), "plain gradient descent moves at right angles"
    assert np.allclose(np.tan(row.angular_step) ** 2, row.squared_step / row.squared_norm)


def test_save_and_load_are_inverse(tmp_path):
    record = watched(8)
    back = nld.monitor.load(nld.monitor.save(record, tmp_path / "record.nc"))
    xr.testing.assert_identical(back, record)
    assert back.charge.attrs["units"]
    assert back.attrs["optimizer"] == "SGD"
    assert nld.__version__ == back.attrs["nld_version"]
    assert not list(tmp_path.glob("*.partial"))


def test_damaged_and_foreign_files_are_told_apart(tmp_path):
    path = nld.monitor.save(watched(3), tmp_path / "record.nc")
    data = path.read_bytes()
    for cut in (0, 40, len(data) // 2, len(data) - 5):
        (tmp_path / "cut.nc").write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"truncated"):
            nld.monitor.load(tmp_path / "cut.nc")
    xr.Dataset({"x": ("t", [1.0])}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"expected a record of format"):
        nld.monitor.load(tmp_path / "foreign.nc")
    with pytest.raises(FileNotFoundError):
        nld.monitor.load(tmp_path / "none.nc")


USES = [
    (Member("a", (6, 4)), "scale"),
    (Member("a", (6, 4), unit_axes=(1,)), "rescale"),
    (Member("a", (2, 3, 4), unit_axes=(2, 0)), "scale"),
    (Member("a", (2, 2, 4), narrow=((0, 2, 4),)), "translation"),
    (Member("a", (2, 3, 4), matrix_axis=1), "general_linear"),
    (Member("a", (6, 2, 2), unit_axes=(1,), coefficient=-1.0, matrix_axis=2), "rotation"),
    (Member("b", (5,)), "scale"),
    (Member("c", (3, 2, 4), unit_axes=(1,)), "translation"),
]


@settings(max_examples=25, deadline=None)
@given(capacity=st.integers(1, 60), chosen=st.sets(st.integers(0, len(USES) - 1), min_size=1))
def test_cutting_parameters_into_pages_changes_nothing(capacity, chosen):
    torch.manual_seed(0)
    tensors = {"a": torch.randn(6, 4), "b": torch.randn(5), "c": torch.randn(3, 2, 4)}
    tensors = {name: tensor.double() for name, tensor in tensors.items()}
    names, uses, rows = list(tensors), [], {}
    for i in sorted(chosen):
        member, kind = USES[i]
        size = 1 if member.matrix_axis is None else member.shape[member.matrix_axis]
        uses.append(Use(i, Kind(kind), member, names.index(member.parameter), rows.get(size, 0), size))
        rows[size] = rows.get(size, 0) + member.units
    shapes = [tuple(t.shape) for t in tensors.values()]
    cut = pages(shapes, uses, capacity)
    assert sum(piece.numel for page in cut for piece in page) == sum(t.numel() for t in tensors.values())
    results = []
    for limit in (10_000, capacity):
        torch.manual_seed(1)
        products = InnerProducts(list(tensors.values()), uses, limit)
        old, gradients, momenta = ([torch.randn_like(t) for t in tensors.values()] for _ in range(3))
        momenta[1] = None
        products.remember(old)
        ready = products.measure(gradients, momenta, list(tensors.values())) or products.settle()
        flat = [products.read(ready)]
        flat += [m.flatten() for d in sorted(products.matrices) for m in (products.matrices[d], products.squares(d))]
        results.append(torch.cat(flat))
    assert torch.allclose(*results, rtol=1e-12, atol=1e-12)
