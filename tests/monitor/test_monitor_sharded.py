"""Parameters that ``fully_shard`` spreads over two real processes: the same books as of one process."""

import pytest
import torch

import nld
from nld.errors import InvalidInput
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
    dist.destroy_process_group()


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
