"""Parameters that two real processes share or ``fully_shard`` spreads over them: the same books as of one process."""

from multiprocessing import get_context

import pytest
import torch
from torch import nn

import nld
from nld.errors import InvalidInput
from nld.finder import Block, Member
from nld.monitor.finding import precisions
from tests.monitor.zoo import BLOCKS, BOUND, OPTIMIZERS, batch, train, zoo

NAMES = ("momentum", "adamw")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of the records of two processes, which take far longer to start than to train."""
    path = tmp_path_factory.mktemp("written")
    get_context("forkserver").set_forkserver_preload([__name__, "torch.distributed.fsdp"])  # what both import
    torch.multiprocessing.start_processes(_process, (str(path),), nprocs=2, start_method="forkserver")
    return path


def _process(rank: int, path: str) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/meet", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name in NAMES:
        network, _ = zoo(name)
        fully_shard(network, mesh=mesh)
        kind, options = OPTIMIZERS[name]
        optimizer = getattr(torch.optim, kind)(network.parameters(), **options)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            train(network, optimizer, 3)
            monitor.record()
            train(network, optimizer, 3, first=3)
        nld.monitor.save(monitor.record(), f"{path}/{name}-{rank}.nc")
    with pytest.raises(InvalidInput, match="before fully_shard"):
        nld.find_symmetries(network, torch.randn(12, 3, 4))
    _replicated(rank, path)
    _mixed(rank, path, mesh)
    _streamed(rank, path, mesh)
    dist.destroy_process_group()


def _replicated(rank: int, path: str) -> None:
    """Each process has its half of a mini-batch."""
    network, optimizer = zoo()
    replica = nn.parallel.DistributedDataParallel(network)
    with nld.Monitor(replica, optimizer, BLOCKS) as monitor:
        for step in range(5):
            x, y = batch(step)
            half = slice(6 * rank, 6 * rank + 6)
            optimizer.zero_grad()
            nn.functional.cross_entropy(replica(x[half]), y[half]).backward()
            optimizer.step()
    nld.monitor.save(monitor.record(), f"{path}/replica-{rank}.nc")


# What fully_shard is told to compute in, and whether modules inside are sharded by themselves, without being told.
MIXED = {
    "bfloat16": ({"param_dtype": torch.bfloat16}, False),
    "added up in float32": ({"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32}, False),
    "only added up in bfloat16": ({"reduce_dtype": torch.bfloat16}, False),
    "only outside": ({"param_dtype": torch.bfloat16, "cast_forward_inputs": False}, True),
    "float32": ({}, True),
}
LAYERS = [
    Block("scale", "first", (Member("0.weight", (1, 6, 4)),)),
    Block("scale", "second", (Member("3.weight", (1, 6, 6)),)),
]


def _mixed(rank: int, path: str, mesh) -> None:
    """Scale-invariant layers under each of MIXED."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    for name, (told, inside) in MIXED.items():
        torch.manual_seed(0)
        layers = [nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 6, bias=False), nn.LayerNorm(6)]
        network = nn.Sequential(*layers)
        for layer in layers if inside else ():
            if list(layer.parameters()):
                fully_shard(layer, mesh=mesh)
        fully_shard(network, mesh=mesh, mp_policy=MixedPrecisionPolicy(**told))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        with nld.Monitor(network, optimizer, LAYERS) as monitor:
            for _ in range(3):
                optimizer.zero_grad()
                network(torch.randn(8, 4)).float()[:, 0].square().mean().backward()
                optimizer.step()
        if rank == 0:
            nld.monitor.save(monitor.record(), f"{path}/mixed {name}.nc")


def _streamed(rank: int, path: str, mesh) -> None:
    """All processes give the same file, at once; each then is asked for its record, before the end and after."""
    from torch.distributed.fsdp import fully_shard

    network, _ = zoo("momentum")
    fully_shard(network, mesh=mesh)
    kind, options = OPTIMIZERS["momentum"]
    optimizer = getattr(torch.optim, kind)(network.parameters(), **options)
    places = [f"{path}/stream.nc", f"{path}/stream.nc" if rank == 0 else f"{path}/no such folder/stream.nc"]
    for number, place in enumerate(places):
        place = place.replace("stream.nc", f"stream-{number}.nc")
        with nld.Monitor(network, optimizer, BLOCKS, stream=place) as monitor:
            train(network, optimizer, 4)
            assert monitor.record().sizes["step"] == (3 if rank == 0 else 1)  # the file; the step that has not ended
            train(network, optimizer, 4, first=4)
        assert monitor.record().sizes["step"] == (8 if rank == 0 else 0)
        assert (monitor._finished == []) or rank == 0


def test_two_replicas_keep_the_same_books(written):
    first, second = (nld.monitor.load(written / f"replica-{rank}.nc") for rank in (0, 1))
    assert first.equals(second)
    assert first.sizes["step"] == 5
    assert float(first.relative_residual.max()) < BOUND


@pytest.mark.parametrize("name", NAMES)
def test_the_books_of_sharded_parameters_are_those_of_whole_ones(written, name):
    """Five rows do not divide by two; the record taken in between and the end of ``with`` gather as well."""
    first, second = (nld.monitor.load(written / f"{name}-{rank}.nc") for rank in (0, 1))
    assert first.equals(second)
    assert float(first.relative_residual.max()) < BOUND
    network, optimizer = zoo(name)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 6)
    whole = monitor.record()
    for quantity in ("charge", "kinetic_symmetry_breaking", "squared_norm", "squared_gradient", "squared_step"):
        difference = abs(first[quantity] - whole[quantity]).max()
        assert float(difference) <= 1e-12 * float(abs(whole[quantity]).max()), quantity


@pytest.mark.parametrize("name", MIXED)
def test_the_precision_that_shards_are_computed_in_is_known(written, name):
    record = nld.monitor.load(written / f"mixed {name}.nc")
    coarse = name in ("bfloat16", "added up in float32", "only added up in bfloat16")
    assert precisions(record) == ["float32", *["bfloat16"] * coarse]
    assert not any(f.topic == "books" and not f.good for f in nld.monitor.findings(record))


def test_one_of_the_processes_streams(written):
    for number in range(2):
        streamed = nld.monitor.load(written / f"stream-{number}.nc")
        assert list(streamed.step) == list(range(8))
        assert float(streamed.relative_residual.max()) < BOUND
    assert sorted(place.name for place in written.glob("stream*")) == ["stream-0.nc", "stream-1.nc"]
