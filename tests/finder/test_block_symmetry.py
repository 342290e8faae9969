"""A block is a symmetry: how it acts, against the dense generators of the oracle and against its own derivative."""

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.finder.check import transform
from tests.finder import models, null_space, symmetric
from tests.monitor import zoo

FOUND = ("relu", "batch-norm", "low-rank", "query-key-norm", "cnn-groups", "gpt-tied", "shared")


def found_on(name: str) -> tuple[nn.Module, list[Block]]:
    """A generic point of a model and the blocks that are found in it; of the zoo its own."""
    torch.manual_seed(1)
    if name == "zoo":
        return zoo.zoo()[0], zoo.BLOCKS
    case = next(case for case in symmetric.CASES if case.name == name)
    model, x = null_space.generic_point(case.build()), case.inputs()
    return model, nld.find_symmetries(model, x.double() if x.is_floating_point() else x, loss=case.loss)


def matrices_of(block: Block) -> list[torch.Tensor | None]:
    """The elementary generators of a block in the order of the oracle; None for a kind without matrices."""
    if not block.kind.is_matrix:
        return [None]
    basis = torch.eye(block.size**2, dtype=torch.float64).reshape(-1, block.size, block.size)
    if block.kind == "rotation":
        return [b - b.T for b in basis if bool(b.triu(1).any())]
    return list(basis)


def dense(block: Block, unit: int, parts, starts: dict[str, int], parameters) -> torch.Tensor:
    """The rows of one unit as a column over all parameters; where members share entries, they add up."""
    column = torch.zeros(sum(p.numel() for p in parameters.values()), dtype=torch.float64)
    for member, part in zip(block.members, parts, strict=True):
        p = parameters[member.parameter]
        places = member.rows(torch.arange(p.numel()).reshape(p.shape))[unit] + starts[member.parameter]
        column.index_add_(0, places.reshape(-1), part.expand(block.units, *part.shape[1:])[unit].reshape(-1))
    return column


@pytest.mark.parametrize("name", ["zoo", *FOUND])
def test_law_a_block_acts_as_the_dense_generators_say(name):
    model, blocks = found_on(name)
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    starts, total = {}, 0
    for parameter, p in parameters.items():
        starts[parameter], total = total, total + p.numel()
    columns = []
    for block in blocks:
        point = block.point(parameters)
        generators = [block.symmetry(matrix).generator(point) for matrix in matrices_of(block)]
        columns += [dense(block, u, parts, starts, parameters) for u in range(block.units) for parts in generators]
    torch.testing.assert_close(torch.stack(columns, 1), null_space.generators(model, blocks), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["zoo", *FOUND])
def test_law_the_generator_of_a_block_is_the_derivative_of_its_transform(name):
    model, blocks = found_on(name)
    parameters = {n: p.detach() for n, p in model.named_parameters()}
    for block in blocks:
        point = block.point(parameters)
        for matrix in matrices_of(block)[:3]:
            family = block.symmetry(matrix)
            for before, after in zip(point, family.transform(point, 0.0), strict=True):
                torch.testing.assert_close(after, before, rtol=1e-14, atol=0)
            ahead, behind = family.transform(point, 1e-5), family.transform(point, -1e-5)
            for a, b, along in zip(ahead, behind, family.generator(point), strict=True):
                torch.testing.assert_close((a - b) / 2e-5, along.expand(a.shape), rtol=1e-8, atol=1e-8)


def test_members_that_share_entries_act_one_after_the_other():
    torch.manual_seed(0)
    q = torch.randn(3, 3, dtype=torch.float64)
    block = Block("rescale", "rows against columns", (Member("q", (3, 3)), Member("q", (3, 3), (1,), -1.0)))
    moved = {"q": q.clone()}
    transform(block, moved, 0.5, seed=2)
    factors = (0.5 * torch.randn(3, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).exp()
    torch.testing.assert_close(moved["q"], q * factors / factors.T)


def test_a_missing_matrix_and_one_too_many_are_said():
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="expected the 3 x 3 matrix B for a general linear block"):
        zoo.BLOCKS[2].symmetry()
    with pytest.raises(ValueError, match="expected no matrix for a scale block"):
        zoo.BLOCKS[0].symmetry(torch.eye(3))


def test_a_found_block_takes_a_model_along_its_symmetry():
    """Half way and whole: a family leaves the output of a model as it is at every s."""
    torch.manual_seed(0)
    model, x = models.Gated().double(), torch.randn(5, 3, dtype=torch.float64)
    (block,) = nld.find_symmetries(model, x)
    before, parameters = model(x), dict(model.named_parameters())
    for s in (-0.5, 1.0, torch.tensor([[0.1], [0.2], [3.0], [-0.9]], dtype=torch.float64)):
        with torch.no_grad():
            rows = block.symmetry().transform(block.point(parameters), s)
            for member, part in zip(block.members, rows, strict=True):
                member.write(parameters[member.parameter], part)
        torch.testing.assert_close(model(x), before)
