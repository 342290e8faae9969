"""Matrices of heads against their definition, head by head, whichever back end keeps the positions."""

import pytest
import torch

from nld.finder import Member
from nld.monitor.inner_products import numba_backend
from nld.monitor.inner_products.inner_products import InnerProducts
from nld.monitor.inner_products.layout import Use
from nld.monitor.inner_products.matrix_products import MatrixProducts
from nld.monitor.inner_products.products import MATRICES, SQUARES
from nld.symmetry import Kind

HEADS, SIZE, WIDTH = 2, 3, 5


# A fused tensor's second part, heads in columns, heads of a vector, and heads whose features do not merge to a view.
def members(size: int, width: int) -> dict[str, tuple[tuple[int, ...], Member]]:
    rows = HEADS * size
    part = ((0, rows, rows),)
    return {
        "rows": ((2 * rows, width), Member("a", (HEADS, size, width), narrow=part, matrix_axis=1)),
        "columns": ((width, rows), Member("a", (width, HEADS, size), (1,), -1.0, matrix_axis=2)),
        "vector": ((2 * rows,), Member("a", (HEADS, size), (0,), -1.0, part, matrix_axis=1)),
        "scattered": ((4, rows, 2), Member("a", (4, HEADS, size, 2), (1,), matrix_axis=2)),
    }


MEMBERS = members(SIZE, WIDTH)
# Below and above the size from which on the loop takes heads; registers and laid features full, and not.
SIZES = {"small": (SIZE, WIDTH), "whole": (16, 128), "odd": (21, 67)}


def defined(member: Member, gradient, momentum, old, new) -> tuple[torch.Tensor, torch.Tensor]:
    """MATRICES (names, units, d, d) and SQUARES (names, units) by what their names say."""
    rows = {"gradient": gradient, "momentum": momentum, "position": old, "displacement": new - old, "now": new}
    rows = {name: member.rows(tensor) for name, tensor in rows.items()}
    rows |= {"generator": rows["position"], "moved": rows["displacement"]}
    matrices = []
    for name in MATRICES:
        left, right = (rows[part] for part in name.split("_"))
        product = torch.einsum("uif,ujf->uij", left, right)
        matrices.append(product if member.coefficient > 0 else -product.mT)  # of -B^T q: -(left right^T)^T
    squares = [(rows[name.split("_")[0]] * rows[name.split("_")[1]]).sum((1, 2)) for name in SQUARES]
    return torch.stack(matrices), torch.stack(squares)


@pytest.mark.parametrize("scale", [None, 4.0])
@pytest.mark.parametrize("missing", [None, "gradient", "momentum"])
@pytest.mark.parametrize("least", [0, 10**12], ids=["compiled", "pages"])
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
def test_matrices_and_squares_are_their_definition(dtype, sizes, name, least, missing, scale, monkeypatch):
    if least == 0 and name != "scattered":
        pytest.importorskip("numba")
    monkeypatch.setattr(numba_backend, "LEAST", least)
    size, width = SIZES[sizes]
    shape, member = members(size, width)[name]
    old, new, newer, gradient, momentum = torch.randn(5, *shape, dtype=dtype)
    products = InnerProducts([new], [Use(0, Kind.GENERAL_LINEAR, member, 0, 0, size)])
    products.remember([old])
    zeros = torch.zeros_like(old)
    for before, now in ((old, new), (new, newer)):
        given = None if missing == "gradient" else gradient * (scale or 1.0)
        scalar = None if scale is None else torch.tensor(scale)
        products.measure([given], [None if missing == "momentum" else momentum], [now], scalar)
        g, m = (zeros if missing == which else each for which, each in (("gradient", gradient), ("momentum", momentum)))
        matrices, squares = defined(member, *(each.double() for each in (g, m, before, now)))
        digits = 1e-12 if dtype == torch.float64 else 1e-4  # of sums over a hundred products
        torch.testing.assert_close(products.matrices[size].double(), matrices, rtol=digits, atol=digits)
        torch.testing.assert_close(products.squares(size).double(), squares, rtol=digits, atol=digits)


def test_a_gradient_that_a_scaler_threw_away_is_not_read():
    shape, member = MEMBERS["rows"]
    now = torch.ones(shape)
    products = InnerProducts([now], [Use(0, Kind.GENERAL_LINEAR, member, 0, 0, SIZE)])
    products.measure([torch.full(shape, torch.inf)], [None], [now], torch.tensor(2.0), torch.ones(()))
    assert torch.isfinite(products.matrices[SIZE]).all()
    assert torch.isfinite(products.squares(SIZE)).all()


def test_products_keep_their_precision_where_the_training_gives_it_up():
    """Under autocast, as after ``torch.set_float32_matmul_precision("medium")``."""
    shape, member = MEMBERS["rows"]
    torch.manual_seed(0)
    old, now, gradient = torch.randn(3, *shape)
    products = InnerProducts([now], [Use(0, Kind.GENERAL_LINEAR, member, 0, 0, SIZE)])
    products.remember([old])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        products.measure([gradient], [None], [now])
    expected, _ = defined(member, gradient.double(), torch.zeros(shape).double(), old.double(), now.double())
    torch.testing.assert_close(products.matrices[SIZE].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_compiled_loop_multiplies_as_the_library_does(threads):
    """Several heads of several parameters, with and without what only the step that ends or begins asks for."""
    pytest.importorskip("numba")
    shape, member = members(24, 100)["rows"]
    second = members(24, 100)["columns"]
    uses = [Use(0, Kind.GENERAL_LINEAR, member, 0, 0, 24), Use(0, Kind.GENERAL_LINEAR, second[1], 1, HEADS, 24)]
    torch.manual_seed(0)
    gradients, momenta, old, now = ([torch.randn(s) for s in (shape, second[0])] for _ in range(4))
    gradients[1] = gradients[1].t().contiguous().t()  # has to be copied before it is read
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for begins, ends in ((True, True), (True, False), (False, True)):
            found = []
            for compile_heads in (False, True):
                matrices = {24: torch.full((len(MATRICES), 2 * HEADS, 24, 24), torch.nan)}
                products = MatrixProducts(now, uses, dict(enumerate(old)), matrices, compile_heads)
                assert (products.numba_heads is not None) == compile_heads
                products.measure(gradients, momenta, now, None, None, begins, ends)
                found.append(matrices[24])
            torch.testing.assert_close(*found, rtol=0, atol=1e3 * torch.finfo(torch.float32).eps, equal_nan=True)
    finally:
        torch.set_num_threads(threads_before)
