"""All blocks are transformed at once: what one of them breaks is found, and is that one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from nld.finder.tape import WithoutEpsilon
from nld.finder.twin import DECIDED
from nld.symmetry import Kind
from tests.finder.models import Attention, FusedGPT, Residual

TOLERANCE = 1e-7
MODELS = {
    "transformer": (lambda: FusedGPT(), lambda: torch.randint(7, (4, 5))),
    "rotary attention": (
        lambda: nn.Sequential(nn.Linear(3, 4), Attention(rotary=True), nn.Linear(4, 3)),
        lambda: torch.randn(3, 5, 3),
    ),
    "residual convolutions": (lambda: Residual(), lambda: torch.randn(4, 2, 6, 6)),
    "relu": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)),
        lambda: torch.randn(8, 3),
    ),
}


def generic(name: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, torch.Tensor]:
    """A model of the table, moved away from initial zeros and ones, and inputs."""
    torch.manual_seed(0)
    build, inputs = MODELS[name]
    model, x = build().to(dtype), inputs()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model, x.to(dtype) if x.is_floating_point() else x


def measured(model, x, blocks, penalty=lambda model: 0.0, tolerance: float | None = TOLERANCE):
    def loss(model):
        y = model(x)
        return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).view(y.shape).cos()).sum() + penalty(model)

    return nld.check_symmetries(model, loss, blocks, context=WithoutEpsilon, tolerance=tolerance)


PRECISIONS = [(torch.float64, TOLERANCE), (torch.float32, DECIDED)]
CASES = [
    # Of the largest model, in double precision what smaller ones have too.
    pytest.param(name, *each, marks=pytest.mark.slow if (name, each[0]) == ("transformer", torch.float64) else ())
    for name in MODELS
    for each in PRECISIONS
]


@pytest.mark.parametrize(("name", "dtype", "tolerance"), CASES)
def test_law_a_violation_without_a_gradient_in_any_block_is_caught_and_its_neighbours_hold(name, dtype, tolerance):
    model, x = generic(name, dtype)
    blocks = list(nld.find_symmetries(model, x))
    assert all(violation.holds(tolerance) for violation in measured(model, x, blocks, tolerance=tolerance))
    for planted in blocks:
        start = [part.detach().clone() for part in planted.point(dict(model.named_parameters()))]

        def penalty(model, planted=planted, start=start):  # flat at this point, so that only a finite step sees it
            parts = planted.point(dict(model.named_parameters()))
            return sum(F.mse_loss(part, before, reduction="sum") for part, before in zip(parts, start, strict=True))

        together = measured(model, x, blocks, penalty, tolerance)
        apart = measured(model, x, blocks, penalty, tolerance=None)
        refused = [v.block for v in together if not v.holds(tolerance)]
        assert planted in refused
        assert refused == [v.block for v in apart if not v.holds(tolerance)]
        # what is refused was measured alone
        assert [v.loss_change for v in together if v.block in refused] == pytest.approx(
            [v.loss_change for v in apart if v.block in refused], rel=1e-9
        )


def test_the_models_have_symmetries_of_every_kind():
    assert {block.kind for name in MODELS for block in nld.find_symmetries(*generic(name))} == set(Kind)
