"""The compiled pass over large matrices against the definitions, and against the pages that it replaces."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nld
from nld.finder import Member
from nld.monitor.inner_products import numba_backend, openmp, torch_backend
from nld.monitor.inner_products.inner_products import InnerProducts
from nld.monitor.inner_products.layout import Use
from nld.monitor.inner_products.products import COLUMNS
from nld.symmetry import Kind
from tests.finder.models import FusedGPT
from tests.monitor.products import MEMBERS, defined
from tests.monitor.zoo import BLOCKS, OPTIMIZERS, train, zoo

pytest.importorskip("numba")


@pytest.fixture
def always(monkeypatch):
    """The compiled pass, however small the parameters are."""
    monkeypatch.setattr(numba_backend, "LEAST", 0)


@settings(max_examples=80)
@given(
    shape=st.tuples(st.integers(1, 11), st.integers(1, 7), st.integers(1, 3)),
    uses=st.lists(st.tuples(st.sampled_from(["rescale", "translation"]), st.sampled_from(list(MEMBERS))), min_size=1),
    flat=st.booleans(),
    threads=st.integers(1, 3),
    missing=st.sets(st.sampled_from(["gradient", "momentum"])),
    scale=st.sampled_from([None, 4.0]),
    skipped=st.sampled_from([None, 0.0, 1.0]),
    remember=st.booleans(),
    shared=st.booleans(),
)
def test_products_are_their_definition(shape, uses, flat, threads, missing, scale, skipped, remember, shared):
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    if flat:  # a vector; (n, 1, 1) is one too
        shape = (shape[0], 1, 1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numba_backend, "LEAST", 0)
            patch.setattr(numba_backend, "_WHOLE", 0 if shared else 2**16)
            patch.setattr(numba_backend, "_ROWS", 1)
            members = [(Kind(kind), MEMBERS[form](*shape)) for kind, form in uses]
            firsts = np.cumsum([0, *(member.units for _, member in members)])
            uses = [Use(i, kind, member, 0, int(firsts[i]), 1) for i, (kind, member) in enumerate(members)]
            old, new, newer, gradient, momentum = torch.randn(5, *shape, dtype=torch.float64)
            products = InnerProducts([new], uses)
            assert products.numba_backend is not None
            products.remember([old])
            scalars = [None if each is None else torch.tensor(each) for each in (scale, skipped)]
            given_gradient = None if "gradient" in missing else gradient * (scale or 1.0)
            given_momentum = None if "momentum" in missing else momentum
            at = old
            for now in (new, newer):
                products.measure([given_gradient], [given_momentum], [now], *scalars, remember=remember)
                g = torch.zeros_like(gradient) if skipped or "gradient" in missing else gradient
                m = torch.zeros_like(momentum) if "momentum" in missing else momentum
                expected = torch.cat([defined(kind, member, g, m, at, now) for kind, member in members], 1)
                found = products.read(1).view(len(COLUMNS), -1)
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
                at = now if remember else at
    finally:
        torch.set_num_threads(threads_before)


@pytest.mark.parametrize("layout", ["transposed gradient", "half momentum"])
def test_other_layouts_and_precisions_are_converted(always, layout):
    torch.manual_seed(0)
    gradient, momentum, old, new = torch.randn(4, 6, 5)
    given = [gradient, momentum]
    if layout == "transposed gradient":
        given[0] = gradient.T.contiguous().T
    else:
        given[1] = momentum.bfloat16()
    member = Member("a", (6, 5))
    products = InnerProducts([new], [Use(0, Kind.SCALE, member, 0, 0, 1)])
    products.remember([old])
    products.measure([given[0]], [given[1]], [new])
    found = products.read(1).view(len(COLUMNS), -1)
    torch.testing.assert_close(found, defined(Kind.SCALE, member, given[0], given[1].float(), old, new))


def test_tensors_that_are_not_in_the_processor_s_memory_are_not_read_as_if_they_were(always):
    now = torch.randn(6, 5)
    products = InnerProducts([now], [Use(0, Kind.SCALE, Member("a", (6, 5)), 0, 0, 1)])
    products.remember([now])
    with pytest.raises(NotImplementedError, match="meta tensor"):  # there is nothing to copy from
        products.measure([now], [now.to("meta")], [now])


def test_parameters_in_another_layout_or_precision_stay_on_pages(always):
    """Copies of them would need as much memory as the network."""
    uses = [Use(0, Kind.SCALE, Member("a", (6, 4)), 0, 0, 1), Use(1, Kind.SCALE, Member("b", (6, 4)), 1, 6, 1)]
    products = InnerProducts([torch.ones(4, 6).T, torch.ones(6, 4).bfloat16()], uses)
    assert products.numba_backend is None


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("team", [True, False])
def test_work_is_done_once_on_any_number_of_threads(threads, team, monkeypatch, always):
    """Tasks are taken by a counter that threads share, on torch's team and on Python's threads."""
    if not team:
        monkeypatch.setattr(openmp, "_team", lambda: None)
    elif openmp._team() is None:
        pytest.skip("torch's OpenMP library cannot be called here")
    monkeypatch.setattr(numba_backend, "_WHOLE", 0)
    monkeypatch.setattr(numba_backend, "_ROWS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    matrices = [torch.full((40, 30 + i), i + 1.0) for i in range(6)]
    shapes = [tuple(each.shape) for each in matrices]
    uses = [Use(i, Kind.RESCALE, Member(str(i), shape, unit_axes=(1,)), i, 0, 1) for i, shape in enumerate(shapes)]
    rows = np.cumsum([0, *(use.member.units for use in uses)])
    uses = [dataclasses.replace(use, row=int(row)) for use, row in zip(uses, rows, strict=False)]
    products = InnerProducts(matrices, uses)
    nothing = [None] * len(matrices)
    for _ in range(3):
        products.measure(nothing, matrices, matrices)
        found = products.read(1).view(len(COLUMNS), -1)[COLUMNS.index("momentum_momentum")]
        expected = torch.cat([each.square().sum(0) for each in matrices])
        assert torch.equal(found, expected)


def test_a_gradient_that_a_scaler_threw_away_is_not_read(always):
    member = Member("a", (4, 3))
    products = InnerProducts([torch.ones(4, 3)], [Use(0, Kind.SCALE, member, 0, 0, 1)])
    products.measure([torch.full((4, 3), torch.inf)], [None], [torch.ones(4, 3)], None, torch.ones(()))
    assert torch.isfinite(products.products).all()


def test_sums_over_many_rows_keep_their_digits(always):
    """Each strip of rows is summed in single precision, the strips in double."""
    torch.manual_seed(0)
    matrix = torch.rand(40_000, 2)
    products = InnerProducts([matrix], [Use(0, Kind.RESCALE, Member("a", (40_000, 2), unit_axes=(1,)), 0, 0, 1)])
    products.remember([matrix])
    products.measure([None], [None], [matrix])
    found = products.read(1).view(len(COLUMNS), 2)[COLUMNS.index("position_position")]
    torch.testing.assert_close(found.double(), matrix.double().square().sum(0), rtol=2e-7, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_books_are_those_of_the_pages(name, monkeypatch):
    records = []
    for least in (10**12, 0):
        monkeypatch.setattr(numba_backend, "LEAST", least)
        network, optimizer = zoo(name, torch.float64)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            assert (monitor._tracked.inner_products[0].numba_backend is not None) == (least == 0)
            train(network, optimizer, 12)
        records.append(monitor.record())
    assert float(records[1].relative_residual.max()) < 1e-12
    for variable in ("charge", "residual", "squared_step", "kinetic_symmetry_breaking", "gradient_autocorrelation"):
        np.testing.assert_allclose(records[1][variable], records[0][variable], rtol=1e-9, atol=1e-12, err_msg=variable)


def test_the_compiled_pass_takes_over_in_the_middle_of_a_run(monkeypatch):
    """After PATIENCE measurements; the books go on as if nothing had happened, and the training too."""
    monkeypatch.setattr(torch_backend, "DEEPEST", 1)  # what takes in several measurements at once is fast enough
    records, weights = [], []
    for patience in (10**9, 7):
        monkeypatch.setattr(numba_backend, "PATIENCE", patience)
        network, optimizer = zoo("momentum", torch.float64)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            train(network, optimizer, 15)
            assert (monitor._tracked.inner_products[0].numba_backend is not None) == (patience == 7)
        records.append(monitor.record())
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert float(records[1].relative_residual.max()) < 1e-12
    for variable in ("charge", "residual", "squared_step", "angular_step", "gradient_autocorrelation"):
        np.testing.assert_allclose(records[1][variable], records[0][variable], rtol=1e-9, atol=1e-12, err_msg=variable)


@pytest.mark.slow  # it compiles
def test_the_loop_is_compiled_where_nothing_can_be_cached(monkeypatch):
    caching = pytest.importorskip("numba.core.caching", reason="needs numba: pip install '.[fast]'")
    from nld.monitor.inner_products import numba_kernel

    for kind in [kind for kind in vars(caching).values() if hasattr(kind, "_locator_classes")]:
        monkeypatch.setattr(kind, "_locator_classes", [])
    assert numba_kernel.function.__wrapped__(True).address


def test_what_the_finder_finds_is_compiled(always):
    """However many axes of length one its members have; heads too."""
    network = FusedGPT()
    blocks = nld.find_symmetries(network, torch.randint(7, (2, 5)))
    assert {block.kind for block in blocks} >= {Kind.RESCALE, Kind.GENERAL_LINEAR, Kind.TRANSLATION}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with nld.Monitor(network, optimizer, blocks) as monitor:
        (products,) = monitor._tracked.inner_products
        assert products.numba_backend is not None
        assert products.torch_backend is None


def test_without_numba_the_pages_do_all(monkeypatch, always):
    monkeypatch.setattr(numba_backend, "_compiled", lambda dtype: None)
    products = InnerProducts([torch.ones(4, 3)], [Use(0, Kind.SCALE, Member("a", (4, 3)), 0, 0, 1)])
    assert products.numba_backend is None
