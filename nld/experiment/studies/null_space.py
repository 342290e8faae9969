"""How much of what a network's outputs cannot notice `find_symmetries` finds, architecture by architecture.

The null space of a network at a point is {v : the derivative along v of every output on every input is zero}. A
symmetry's generator lies in it at every point. Its dimension is the number of parameters minus the rank of the
Jacobian of many outputs, told by a gap between singular values of many orders of magnitude; no rule of the finder
takes part in it. ``python -m nld.experiment.studies.null_space`` measures all of ``ARCHITECTURES``, or those that are
named, and keeps the table.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

import torch
from torch import nn

from nld.experiment.studies.architectures import ARCHITECTURES, Architecture
from nld.finder import Block, find_symmetries
from nld.finder.coupled import Coupled
from nld.finder.outputs import output_of
from nld.finder.tape import tensors
from nld.finder.twin import StandIn
from nld.results import stored_results
from nld.results.places import ROOTS
from nld.results.provenance import provenance
from nld.table import Table

KEPT = "results/architectures/null-space.json"
RANK = 1e-10  # singular values below it, over the largest, are zeros
ROWS = 2  # outputs for each parameter, at least
OUTPUTS = 300  # at most so many of a batch
EPSILONS = ("eps", "epsilon", "variance_epsilon", "norm_eps", "layer_norm_eps")  # what modules call theirs


@dataclass(frozen=True)
class NullSpace:
    """What one architecture's outputs cannot notice, and what of it is found.

    Args:
        name: of the architecture.
        parameters: how many numbers are trained.
        unreached: how many of them no input reaches (a padding row, an unused position); left out of the rest.
        dimension: of the null space.
        blocks, found: of the span of the generators of all blocks, and of blocks and coupled symmetries together.
        outside: the largest part of a generator, of length one, that lies outside the null space.
        smallest_kept, largest_dropped: singular values on either side of the rank, over the largest.
    """

    name: str
    parameters: int
    unreached: int
    dimension: int
    blocks: int
    found: int
    outside: float
    smallest_kept: float
    largest_dropped: float


def measure(architecture: Architecture, seed: int = 1) -> NullSpace:
    """The null space of a random instance and what is found of it, in double precision."""
    torch.manual_seed(seed)
    model = generic(architecture.build())
    found = find_symmetries(model, double(architecture.inputs()))
    null, values, rank, reached = _null_directions(model, architecture)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    of_blocks = _columns(parameters, _block_generators(parameters, found))
    generators = torch.cat([of_blocks, _columns(parameters, _coupled_generators(parameters, found.coupled))], 1)
    unreached = int((~reached).sum())
    outside = generators - null @ (null.T @ generators)
    return NullSpace(
        architecture.name,
        len(null),
        unreached,
        null.shape[1] - unreached,
        _rank(of_blocks[reached]),
        _rank(generators[reached]),
        float((outside.norm(dim=0) / generators.norm(dim=0)).max()),
        float(values[rank - 1] / values[0]),
        float(values[rank] / values[0]) if len(values) > rank else 0.0,
    )


def generic(model: nn.Module) -> nn.Module:
    """The model in double precision at a generic point, with every epsilon negligible."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for module in model.modules():
        for name in EPSILONS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 1e-16)
    return model


def double(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}


def _null_directions(
    model: nn.Module, architecture: Architecture
) -> tuple[torch.Tensor, torch.Tensor, int, torch.Tensor]:
    """An orthonormal basis (columns) of the null space, the singular values of the Jacobian, its rank, and which
    parameters had a gradient at all.

    Rows are added until the last third of them adds nothing to the rank.
    """
    size = sum(p.numel() for p in model.parameters())
    jacobian, enough = torch.zeros(0, size, dtype=torch.float64), ROWS * size
    while True:
        while len(jacobian) < enough:
            jacobian = torch.cat([jacobian, _gradients(model, architecture)])
        _, values, directions = torch.linalg.svd(torch.linalg.qr(jacobian, mode="r")[1])
        rank, before = (int((v > RANK * v[0]).sum()) for v in (values, _singular(jacobian[: 2 * len(jacobian) // 3])))
        if rank == before:
            return directions[rank:].T, values, rank, (jacobian != 0).any(0)
        enough += size


def _singular(rows: torch.Tensor) -> torch.Tensor:
    return torch.linalg.svdvals(torch.linalg.qr(rows, mode="r")[1])


def _gradients(model: nn.Module, architecture: Architecture) -> torch.Tensor:
    """The gradients of some outputs on a batch, (outputs, parameters)."""
    with StandIn(model, model, torch.float64):
        returned = tensors(output_of(model(**double(architecture.inputs()))).value)
    output = next(tensor for tensor in returned if tensor.requires_grad).reshape(-1)
    output = output[torch.randperm(len(output))[:OUTPUTS]]
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(
        output, parameters, torch.eye(len(output), dtype=output.dtype), is_grads_batched=True, allow_unused=True
    )
    return torch.cat(
        [
            p.new_zeros(len(output), p.numel()) if g is None else g.reshape(len(output), -1)
            for g, p in zip(gradients, parameters, strict=True)
        ],
        1,
    )


Generator = dict[str, torch.Tensor]


def _block_generators(parameters: Generator, blocks: Sequence[Block]) -> Iterator[Generator]:
    """A(q) of each unit of each block, and of each of its matrices."""
    for block in blocks:
        entries = [(a, b) for a in range(block.size) for b in range(block.size)] if block.kind.is_matrix else [None]
        for entry in entries:
            if entry is None:
                moves = block.symmetry().generator(block.point(parameters))
            else:
                matrix = torch.zeros(block.size, block.size, dtype=torch.float64)
                matrix[entry] = 1.0
                matrix = matrix - matrix.mT if block.kind.is_antisymmetric else matrix
                moves = block.symmetry(matrix).generator(block.point(parameters))
            for unit in range(block.units):
                yield _of_unit(parameters, block, moves, unit)


def _of_unit(parameters: Generator, block: Block, moves: Sequence[torch.Tensor], unit: int) -> Generator:
    """What one unit of a block moves; members of one parameter add up."""
    result = {name: torch.zeros_like(parameters[name]) for name in block.parameters}
    for member, rows in zip(block.members, moves, strict=True):
        alone, place = torch.zeros_like(rows), torch.zeros_like(parameters[member.parameter])
        alone[unit] = rows[unit]
        member.write(place, alone)
        result[member.parameter] += place
    return result


def _coupled_generators(parameters: Generator, coupled: Sequence[Coupled]) -> Iterator[Generator]:
    """A(q) in each independent direction of each coupled symmetry."""
    for one in coupled:
        names = (*one.flow.moved, *one.flow.read)
        for direction in one.directions():
            yield dict(zip(names, one.symmetry(direction).generator(one.point(parameters)), strict=True))


def _columns(parameters: Generator, generators: Iterator[Generator]) -> torch.Tensor:
    """Generators over all parameters as the columns of a matrix, those that vanish left out."""
    columns = [
        torch.cat([generator.get(name, torch.zeros_like(p)).reshape(-1) for name, p in parameters.items()])
        for generator in generators
    ]
    size = sum(p.numel() for p in parameters.values())
    return torch.stack([c for c in columns if bool(c.any())], 1) if columns else torch.zeros(size, 0).double()


def _rank(columns: torch.Tensor) -> int:
    if not columns.numel():
        return 0
    return int(torch.linalg.matrix_rank(columns / columns.norm(dim=0).clamp_min(1e-300), rtol=1e-9))


def kept() -> dict:
    """The kept table: its ``provenance``, and ``rows``, one ``NullSpace`` an architecture."""
    path = next(root / KEPT for root in ROOTS if (root / KEPT).exists())
    content = json.loads(stored_results.whole(path).read_text())
    return content | {"rows": [NullSpace(**row) for row in content["rows"]]}


def table() -> Table:
    """The kept table as a page shows it."""
    rows = kept()["rows"]
    body = [
        (
            row.name,
            str(row.parameters),
            str(row.dimension),
            str(row.blocks),
            str(row.found),
            _share(row.found, row.dimension),
        )
        for row in rows
    ]
    found, dimension = (sum(getattr(row, name) for row in rows) for name in ("found", "dimension"))
    blocks = str(sum(row.blocks for row in rows))
    body.append(("all", "", str(dimension), blocks, str(found), _share(found, dimension)))
    return Table(("Architecture", "Parameters", "Null dimensions", "In blocks", "Found", "Share"), tuple(body))


def summary() -> str:
    """The kept table in a sentence, and where it comes from in another."""
    content = kept()
    rows, packages = content["rows"], content["provenance"]["packages"]
    found, dimension, blocks = (sum(getattr(row, name) for row in rows) for name in ("found", "dimension", "blocks"))
    worst = min(rows, key=lambda row: row.found / row.dimension)
    gap = min(row.smallest_kept for row in rows) / max(1e-16, *(row.largest_dropped for row in rows))
    return (
        f"Of {dimension} null dimensions in {len(rows)} architectures {found} are found, {_share(found, dimension)}, "
        f"{blocks} of them in blocks; least is found of {worst.name}, {_share(worst.found, worst.dimension)}. No "
        f"generator leaves the null space by more than {max(row.outside for row in rows):.0e} of its length, and the "
        f"smallest singular value that counts is {gap:.0e} times the largest that does not. Measured with transformers "
        f"{packages['transformers']} and torch {packages['torch']} on a {content['provenance']['device']}."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def main() -> None:
    """Measure all architectures, or those that are named and keep the others, and write the table."""
    names = sys.argv[1:] or [architecture.name for architecture in ARCHITECTURES]
    rows = {row.name: asdict(row) for row in kept()["rows"]} if sys.argv[1:] else {}
    where = provenance()
    where["packages"] = {**where["packages"], "transformers": metadata.version("transformers")}
    path = ROOTS[0] / KEPT
    path.parent.mkdir(parents=True, exist_ok=True)
    for architecture in (architecture for architecture in ARCHITECTURES if architecture.name in names):
        rows[architecture.name] = asdict(measure(architecture))
        print(rows[architecture.name], file=sys.stderr, flush=True)
        ordered = [rows[each.name] for each in ARCHITECTURES if each.name in rows]
        path.write_text(json.dumps({"provenance": where, "rows": ordered}, indent=1) + "\n")
        stored_results.note(path)


if __name__ == "__main__":
    main()
