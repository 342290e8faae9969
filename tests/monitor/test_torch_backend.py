"""Pages that take in several measurements against the definitions, and against pages that take in one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nld
from nld.finder import Member
from nld.monitor.inner_products import torch_backend
from nld.monitor.inner_products.inner_products import InnerProducts
from nld.monitor.inner_products.layout import Use
from nld.monitor.inner_products.products import COLUMNS
from nld.symmetry import Kind
from tests.monitor.products import MEMBERS, defined
from tests.monitor.zoo import BLOCKS, train, zoo

MEASUREMENT = st.fixed_dictionaries(
    {
        "missing": st.sets(st.sampled_from(["gradient", "momentum"])),
        "scale": st.sampled_from([None, 4.0]),
        "skipped": st.sampled_from([None, 0.0, 1.0]),
        "remember": st.booleans(),
        "settle": st.booleans(),
    }
)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3)),
    uses=st.lists(st.tuples(st.sampled_from(["rescale", "translation"]), st.sampled_from(list(MEMBERS))), min_size=1),
    deepest=st.integers(1, 4),
    measurements=st.lists(MEASUREMENT, min_size=1, max_size=9),
)
def test_products_are_their_definition(shape, uses, deepest, measurements):
    """However many measurements a page takes in, and whenever it is settled: each is found once, in order."""
    members = [(Kind(kind), MEMBERS[form](*shape), 0) for kind, form in uses]
    members.append((Kind.SCALE, Member("b", (5,), unit_axes=(0,)), 1))
    firsts = np.cumsum([0, *(member.units for _, member, _ in members)])
    uses = [Use(i, kind, member, which, int(firsts[i]), 1) for i, (kind, member, which) in enumerate(members)]

    def vectors() -> list[torch.Tensor]:
        return [torch.randn(shape, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_backend, "DEEPEST", deepest)
        products = InnerProducts(at := vectors(), uses)
    assert products.torch_backend is not None
    assert products.torch_backend.deep == deepest
    products.remember(at)
    found, expected = [], []
    for each in measurements:
        gradients, momenta, now = vectors(), vectors(), vectors()
        given_gradients = [gradient * (each["scale"] or 1.0) for gradient in gradients]
        given_momenta = list(momenta)
        if each["skipped"]:
            gradients = [torch.zeros_like(gradient) for gradient in gradients]
        if "gradient" in each["missing"]:
            given_gradients[0], gradients[0] = None, torch.zeros_like(gradients[0])
        if "momentum" in each["missing"]:
            given_momenta[0], momenta[0] = None, torch.zeros_like(momenta[0])
        scalars = [None if value is None else torch.tensor(value) for value in (each["scale"], each["skipped"])]
        ready = products.measure(given_gradients, given_momenta, now, *scalars, remember=each["remember"])
        found.append(products.read(ready).view(ready, len(COLUMNS), products.rows))
        if each["settle"]:
            ready = products.settle()
            found.append(products.read(ready).view(ready, len(COLUMNS), products.rows))
        parts = [defined(kind, m, gradients[i], momenta[i], at[i], now[i]) for kind, m, i in members]
        expected.append(torch.cat(parts, 1))
        at = now if each["remember"] else at
    ready = products.settle()
    found.append(products.read(ready).view(ready, len(COLUMNS), products.rows))
    torch.testing.assert_close(torch.cat(found), torch.stack(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("every", [1, 3, "log"])
@pytest.mark.parametrize("name", ["sgd", "momentum", "adamw"])
def test_books_do_not_depend_on_when_a_page_is_multiplied(name, every, monkeypatch):
    """Read in the middle, with a step that is begun and not taken, and closed in the middle of a page."""
    blocks = [block for block in BLOCKS if block.size == 1]  # matrices are booked measurement by measurement
    records, weights = [], []
    for deepest in (1, 5):
        monkeypatch.setattr(torch_backend, "DEEPEST", deepest)
        network, optimizer = zoo(name, torch.float64)
        with nld.Monitor(network, optimizer, blocks, every=every) as monitor:
            assert monitor._tracked.inner_products[0].torch_backend.deep == deepest
            train(network, optimizer, 7)
            halfway = monitor.record()
            interruption = optimizer.register_step_pre_hook(_interrupt)
            with pytest.raises(InterruptedError):
                train(network, optimizer, 1, first=7)
            interruption.remove()
            train(network, optimizer, 11, first=7)
        records.append((halfway, monitor.record()))
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    for shallow, deep in zip(*records, strict=True):
        assert deep.sizes["step"] > 1
        assert float(deep.relative_residual.max()) < 1e-12
        for variable in shallow.data_vars:
            np.testing.assert_allclose(deep[variable], shallow[variable], rtol=1e-9, atol=1e-12, err_msg=str(variable))


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("place", ["_foreach_copy_", "baddbmm", "index_select"])
@pytest.mark.parametrize("blocks", [[block for block in BLOCKS if block.size == 1], BLOCKS], ids=["deep", "shallow"])
def test_an_interrupted_measurement_leaves_no_false_books(blocks, place, at, monkeypatch):
    """Whatever it was doing: steps that are half measured are missing, and all others are as they would have been."""
    monkeypatch.setattr(torch_backend, "DEEPEST", 3)
    network, optimizer = zoo("momentum", torch.float64)
    undisturbed = nld.Monitor(network, optimizer, blocks)
    monitor = nld.Monitor(network, optimizer, blocks)
    train(network, optimizer, 7)
    function, calls, interrupted = getattr(torch, place), 0, False

    def interrupt(*args, **options):
        nonlocal calls, interrupted
        calls += monitor._buffer._whole is not None
        if calls > at and not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        return function(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch, place, interrupt)
        for step in range(7, 12):
            try:
                train(network, optimizer, 1, first=step)
            except KeyboardInterrupt:
                assert monitor._buffer._whole is not None
                train(network, optimizer, 1, first=step)
    train(network, optimizer, 5, first=12)
    monitor.close()
    undisturbed.close()
    found, whole = monitor.record(), undisturbed.record()
    assert interrupted
    assert 17 - torch_backend.DEEPEST - 1 <= found.sizes["step"] < 17
    assert float(found.relative_residual.max()) < 1e-12
    for variable in ("charge", "residual", "squared_step", "squared_norm"):
        expected = whole[variable].sel(step=found.step)
        np.testing.assert_allclose(found[variable], expected, rtol=1e-9, atol=1e-12, err_msg=variable)


def _interrupt(*_):
    raise InterruptedError


@pytest.mark.parametrize(
    ("member", "deep"),
    [
        (Member("a", (2, 5)), torch_backend.DEEPEST),
        (Member("a", (2, 300_000)), 1),  # larger than a page
        (Member("a", (2, 3, 4), matrix_axis=1), 1),
    ],
)
def test_only_a_small_network_without_matrices_lies_on_a_deep_page(member, deep):
    size = 1 if member.matrix_axis is None else 3
    products = InnerProducts(
        [torch.zeros(member.shape)], [Use(0, Kind.SCALE if size == 1 else Kind.ROTATION, member, 0, 0, size)]
    )
    assert products.torch_backend is not None
    assert products.torch_backend.deep == deep
