"""What is found is a symmetry, and it is all there is: checked against the dense null space of the loss on the zoo."""

import pytest
import torch
from torch.nn import functional as F

import nld
from tests.finder import null_space, symmetric
from tests.finder.models import RootNorm


def per_sample(output: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every sample with a random class."""
    return F.cross_entropy(output, torch.randint(output.shape[1], output.shape[:1]), reduction="none")


def as_double(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.is_floating_point() else x


@pytest.mark.parametrize("case", symmetric.CASES, ids=lambda case: case.name)
def test_law_generators_span_the_null_space(case):
    torch.manual_seed(case.seed)
    model = null_space.generic_point(case.build())
    found = nld.find_symmetries(model, as_double(case.inputs()), loss=case.loss)
    null = null_space.null_directions(model, case.inputs, per_sample if case.loss else None)
    columns = torch.cat([null_space.generators(model, found), null_space.coupled_generators(model, found.coupled)], 1)

    kinds = {block.kind for block in found}
    assert {kind: sum(b.units for b in found if b.kind == kind) for kind in kinds} == case.units
    assert {
        one.kind: sum(o.dimension for o in found.coupled if o.kind == one.kind) for one in found.coupled
    } == case.coupled
    assert not found.not_analysed
    # soundness: every generator lies in the null space
    outside = columns - null @ (null.T @ columns)
    assert float((outside.norm(dim=0) / columns.norm(dim=0)).max() if columns.numel() else 0.0) < 1e-8
    # completeness: nothing else lies there, but for what the case explains
    assert null_space.rank(columns) + case.beyond == null.shape[1]
    assert bool(case.beyond) == bool(case.why)


@pytest.mark.parametrize(("floor", "kinds"), [(1e-12, {"scale", "rotation"}), (0.1, {"rotation"})])
def test_only_a_small_floor_below_a_fraction_bar_is_an_epsilon(floor, kinds):
    model = RootNorm(lambda square: 1 / square.sqrt().clamp_min(floor)).double()
    assert {block.kind for block in nld.find_symmetries(model, as_double(torch.randn(60, 3)))} == kinds
