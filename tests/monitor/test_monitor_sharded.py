"""Parameters that ``fully_shard`` spreads over two real processes: the same books as of one process."""

import pytest
import torch
from torch import nn

import nld
from nld.errors import InvalidInput
from nld.finder import Block, Member
from nld.monitor.finding import precisions
from tests.monitor.zoo import BLOCKS, BOUND, OPTIMIZERS, train, zoo


def _process(rank: int, path: str, names: list[str]) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/meet", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name in names:
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
    _mixed(rank, path, mesh)
    _streamed(rank, path, mesh)
    dist.destroy_process_group()


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


def test_the_books_of_sharded_parameters_are_those_of_whole_ones(tmp_path):
    """Five rows do not divide by two; the record taken in between and the end of ``with`` gather as well."""
    names = ["momentum", "adamw"]
    torch.multiprocessing.spawn(_process, (str(tmp_path), names), nprocs=2)
    for name in names:
        first, second = (nld.monitor.load(tmp_path / f"{name}-{rank}.nc") for rank in (0, 1))
        assert first.equals(second)
        assert float(first.relative_residual.max()) < BOUND
        network, optimizer = zoo(name)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            train(network, optimizer, 6)
        whole = monitor.record()
        for quantity in ("charge", "kinetic_symmetry_breaking", "squared_norm", "squared_gradient", "squared_step"):
            difference = abs(first[quantity] - whole[quantity]).max()
            assert float(difference) <= 1e-12 * float(abs(whole[quantity]).max()), quantity
    for name in MIXED:
        record = nld.monitor.load(tmp_path / f"mixed {name}.nc")
        coarse = name in ("bfloat16", "added up in float32", "only added up in bfloat16")
        assert precisions(record) == ["float32", *["bfloat16"] * coarse], name
        assert not any(f.topic == "books" and not f.good for f in nld.monitor.findings(record)), name
    for number in range(2):
        streamed = nld.monitor.load(tmp_path / f"stream-{number}.nc")
        assert list(streamed.step) == list(range(8))
        assert float(streamed.relative_residual.max()) < BOUND
    assert sorted(place.name for place in tmp_path.glob("stream*")) == ["stream-0.nc", "stream-1.nc"]
