"""Layer normalization against dynamic tanh: both symmetries, the drift of both charges, and the shape."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

import nld
from nld.experiment.datasets import data
from nld.experiment.studies import input_output, norm_free, residual_stream
from nld.experiment.training.batches import BatchOrder, batch
from nld.figures import fig_dyt
from nld.figures._data import norm_free_data
from nld.inference.verdict import PARTLY, REFUTED, REPRODUCED, UNDECIDED
from nld.learning_rules.rules import heavy_ball
from nld.theory.discrete import predict_quadratic_charge_from_steps
from tests.figures.judged import labels, row

SMALL = 16  # dimension of the networks in the fast tests


def difference(record, name):
    """Writers minus readers."""
    return record[name].values @ [1, -1]


@pytest.mark.parametrize("norm", ["LayerNorm", "DyT"])
def test_law_scaling_the_residual_stream_changes_no_logit(norm):
    """Acceptance: below 1e-10 at a factor of 1.7. With DyT, scaling the writers alone is no symmetry."""
    both, alone = residual_stream.change_of_output(norm, 1.7, dimension=SMALL)
    assert both < 1e-10
    assert (alone < 1e-10) == (norm == "LayerNorm")
    assert alone < 1e-10 or alone > 1e-2


def test_law_the_blocks_found_are_the_writers_and_the_alphas():
    """What writes to the residual stream is named here by hand, independently of the search."""
    writers = {"0.position", "0.embed.weight", "0.embed.bias"}
    for block in ("1", "2"):
        writers |= {f"{block}.out.weight", f"{block}.perceptron.3.weight", f"{block}.perceptron.3.bias"}
    alphas = {"1.attention_norm.alpha", "1.perceptron.0.alpha", "2.attention_norm.alpha", "2.perceptron.0.alpha",
              "3.alpha"}  # fmt: skip
    for norm, kind, readers in (("LayerNorm", "scale", set()), ("DyT", "rescale", alphas)):
        block = norm_free.residual_block(norm_free.build(norm, dimension=SMALL))
        assert block.kind == kind
        assert {m.parameter for m in block.members if m.coefficient == 1} == writers
        assert {m.parameter for m in block.members if m.coefficient == -1} == readers


def test_without_a_norm_the_residual_stream_has_no_symmetry():
    with pytest.raises(ValueError, match="expected one symmetry that scales the residual stream, got 0"):
        norm_free.residual_block(norm_free.build("none", dimension=SMALL))
    with pytest.raises(ValueError, match=r"expected a norm among LayerNorm, DyT, none, .*, got 'batch'"):
        norm_free.build("batch")


def test_dynamic_tanh_is_its_formula():
    layer, x = norm_free.DynamicTanh(3).double(), torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.tanh(x / 2))
    with torch.no_grad():
        layer.alpha.fill_(0.3), layer.weight.mul_(2), layer.bias.add_(1)
    torch.testing.assert_close(layer(x), 2 * torch.tanh(0.3 * x) + 1)


@pytest.mark.parametrize(("norm", "alpha"), [("tanh(x)", 1.0), ("tanh(x/2)", 0.5)])
def test_a_fixed_alpha_stays_and_has_no_symmetry(norm, alpha):
    trained = norm_free.train_transformers(norm, [0], epochs=1, dimension=8).models[0]
    assert norm_free.alphas(trained) == [alpha] * 5
    assert not any("alpha" in name for name, _ in trained.named_parameters())
    with pytest.raises(ValueError, match="expected one symmetry that scales the residual stream, got 0"):
        norm_free.residual_block(trained)


def test_law_a_doubled_alpha_is_doubled_writers():
    """f(theta, 1) = f(2 theta, 1/2): which alpha is kept is a question of the initial scale."""
    images = data.digits().normalized(data.digits().test_images[:8], torch.float64)
    one, half = (norm_free.build(norm, dimension=SMALL).double() for norm in ("tanh(x)", "tanh(x/2)"))
    block = norm_free.residual_block(norm_free.build("DyT", dimension=SMALL))
    assert (one(images) - half(images)).abs().max() > 1e-3
    with torch.no_grad():
        for member in block.members:
            if member.coefficient == 1:
                half.get_parameter(member.parameter).mul_(2)
        torch.testing.assert_close(one(images), half(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", ["LayerNorm", "DyT"])
def test_law_drift_of_gradient_descent_is_the_squared_gradients_and_of_first_order(norm):
    """Acceptance: |drift/predicted - 1| < 1e-6, and the drift at fixed training time is proportional to the rate."""
    drifts, rates = [], (8e-3, 4e-3)
    for rate in rates:
        record = residual_stream.follow(norm, rate, round(0.08 / rate), dimension=SMALL, images=64)
        charge = difference(record, "squared_norm")
        predicted = rate**2 * difference(record, "squared_gradient").sum()
        drifts.append(charge[-1] - charge[0])
        assert drifts[-1] == pytest.approx(predicted, rel=1e-6)
        if norm == "LayerNorm":
            assert (np.diff(charge) > 0).all()  # a longer vector after every step
        else:
            writers = record["squared_norm"].values[:, 0]
            assert abs(writers[-1] - writers[0]) > 100 * abs(drifts[-1])  # not conserved by itself
    assert np.log2(drifts[0] / drifts[1]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("norm", ["LayerNorm", "DyT"])
def test_law_charges_with_momentum_and_decay_follow_the_exact_law(norm):
    settings = {"momentum": 0.9, "weight_decay": 1e-2}
    record = residual_stream.follow(norm, 0.1, 25, dimension=SMALL, **settings)
    charge, source = difference(record, "squared_norm"), difference(record, "squared_step")
    rule = heavy_ball(0.1, 0.9, 1e-2)
    law = predict_quadratic_charge_from_steps(rule, source, charge[0]).value
    np.testing.assert_allclose(law, charge, rtol=1e-12)
    change = abs(charge - charge[0]).max()
    for left_out in (predict_quadratic_charge_from_steps(rule, 0 * source, charge[0]).value,
                     predict_quadratic_charge_from_steps(heavy_ball(0.1, 0.9), source, charge[0]).value):  # fmt: skip
        assert abs(left_out - charge).max() > 1e-4 * change  # each part of the law is needed


def test_the_squared_steps_are_those_of_the_optimizer():
    """At β = k = 0 a step is the rate times the gradient, on both sides of the symmetry."""
    record = residual_stream.follow("DyT", 0.03, 4, dimension=SMALL)
    np.testing.assert_allclose(record["squared_step"], 0.03**2 * record["squared_gradient"], rtol=1e-9)


def test_the_monitor_keeps_the_books_of_the_residual_stream():
    source = data.digits()
    model = norm_free.build("DyT", dimension=SMALL).double()
    block = norm_free.residual_block(model)
    update = torch.optim.AdamW(model.parameters(), lr=3e-3)
    with nld.Monitor(model, update, [block]) as monitor:
        for step in range(4):
            batch = slice(32 * step, 32 * step + 32)
            update.zero_grad()
            images = source.normalized(source.train_images[batch], torch.float64)
            F.cross_entropy(model(images), source.train_labels[batch]).backward()
            update.step()
    assert float(monitor.record().relative_residual.max()) < 1e-14


def test_shape_with_outliers_is_an_s():
    """Acceptance: tanh explains 0.3 more of the variance than a line; the inverse root fits as well as tanh."""
    tokens = input_output.outlier_tokens()
    outputs = input_output.normalized(tokens)
    torch.testing.assert_close(torch.tensor(outputs), F.layer_norm(torch.tensor(tokens), tokens.shape[1:], eps=0.0))
    line = input_output.line(tokens, outputs)
    tanh, root = (input_output.fit(tokens, outputs, curve) for curve in ("tanh", "inverse root"))
    assert tanh.explained - line.explained > 0.3
    assert root.explained == pytest.approx(tanh.explained, abs=0.01)
    assert input_output.extremes(tokens, outputs) < 0.5


def test_fits_recover_what_was_drawn():
    x = np.random.default_rng(0).normal(size=(50, 40))
    for curve, function in input_output.CURVES.items():
        found = input_output.fit(x, 3 * function(0.7 * x) - 0.2, curve)
        assert (found.amplitude, found.slope, found.offset) == pytest.approx((3, 0.7, -0.2), rel=0.03)
        assert found.explained == pytest.approx(1, abs=1e-5)
    straight = input_output.line(x, 2 * x + 1)
    assert (straight.amplitude, straight.offset, straight.explained) == pytest.approx((2, 1, 1))
    assert input_output.extremes(x, 2 * x + 1) == pytest.approx(1)
    # beyond one, outputs stay at one: the extremes give one over their mean distance
    clipped = np.clip(x, -1, 1)
    far = np.abs(x - np.median(x)) >= np.quantile(np.abs(x - np.median(x)), 0.99)
    assert input_output.extremes(x, clipped) == pytest.approx(1 / np.abs(x[far]).mean(), rel=0.02)
    with pytest.raises(ValueError, match="expected a curve among tanh, inverse root, got 'sine'"):
        input_output.fit(x, x, "sine")


def test_each_token_is_mapped_along_a_straight_line():
    model = norm_free.build("LayerNorm", dimension=SMALL).double()
    with torch.no_grad():
        for norm in norm_free.norms(model).values():
            norm.weight.normal_(), norm.bias.normal_()  # pyright: ignore[reportCallIssue]
    pairs = input_output.pairs(model, images=8)
    assert len(pairs) == 5
    assert max(input_output.bends(x, y) for x, y in pairs.values()) < 1e-20
    x = pairs["3"][0]
    assert input_output.bends(x, np.tanh(x)) > 1e-3


def test_an_ensemble_trains_each_member_as_it_would_be_alone():
    """The batched program against a plain loop with the same optimizer and batches."""
    trained = norm_free.train_transformers("DyT", [3, 4], epochs=1, dimension=8)
    for seed, model in zip((3, 4), trained.models, strict=True):
        alone = norm_free.build("DyT", dimension=8, seed=seed)
        order = BatchOrder(data.digits(), norm_free.BATCH, seed)
        update = torch.optim.AdamW(alone.parameters(), lr=2e-3)
        for step in range(order.per_epoch):
            images, labels = (part[0] for part in batch(data.digits(), order(step)[:, None], torch.float32))
            update.zero_grad()
            F.cross_entropy(alone(images), labels).backward()
            update.step()
        for a, b in zip(alone.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-4)


def test_law_one_alpha_for_each_coordinate_gives_one_symmetry_for_each():
    model = norm_free.build("DyT", dimension=8)
    for norm in norm_free.norms(model).values():
        norm.alpha = nn.Parameter(torch.full((8,), 0.5))
    found = nld.find_symmetries(model, torch.randn(3, 1, 8, 8), nn.CrossEntropyLoss())
    (stream,) = (block for block in found if "0.embed.weight" in block.parameters and block.kind == "rescale")
    assert stream.units == 8
    assert sum("alpha" in name for name in stream.parameters) == 5


@pytest.mark.slow
def test_fig_dyt_holds_what_it_says():
    """The acceptance values at the size of the figure, and what is not reproduced here."""
    found = fig_dyt.compute("quick")
    np.testing.assert_allclose(found["drift"], found["predicted_drift"], rtol=1e-6)
    np.testing.assert_allclose(norm_free_data.slopes(found), 1, atol=0.02)
    change, drift = (np.abs(found[name].sel(rule="DyT")) for name in ("writers_change", "drift"))
    assert (change > 100 * drift).all()
    assert (found["invariance"].sel(transformed="both sides") < 1e-10).all()
    assert float(norm_free_data.residual(found).max()) < 1e-12
    gain = found["explained"].sel(curve="tanh") - found["explained"].sel(curve="line")
    assert (gain.sel(layer=norm_free_data.OUTLIERS) > 0.3).all()
    assert (gain.drop_sel(layer=norm_free_data.OUTLIERS) < 0.1).all()  # no S of that kind in this network
    assert {verdict.claim for verdict in fig_dyt.judge(found)} == {claim.name for claim in fig_dyt.CLAIMS}


@pytest.mark.slow
def test_without_the_brake_a_large_step_is_too_large():
    """At a learning rate of 0.2, no decay: layer normalization learns on, DyT forgets (an exercise of the chapter)."""
    charge, loss = {}, {}
    for norm in ("LayerNorm", "DyT"):
        record = residual_stream.follow(norm, 0.2, 300, momentum=0.9)
        charge[norm] = difference(record, "squared_norm")
        loss[norm] = float(record["loss"][-10:].mean())
    assert loss["LayerNorm"] < 1 < 1.9 < loss["DyT"]
    growth = {norm: values[-1] / values[0] for norm, values in charge.items()}
    assert 2 < growth["LayerNorm"] < 12 < growth["DyT"]


@pytest.fixture
def made():
    """Judging seeds in which every claim holds."""
    norms = list(norm_free.NORMS)
    means = {"LayerNorm": 0.94, "DyT": 0.94, "none": 0.9, "tanh(x)": 0.9, "tanh(x/2)": 0.93}
    accuracy = np.stack([row(means[norm], 0.01 + 0.001 * i) for i, norm in enumerate(norms)], 1)
    return xr.Dataset(
        {
            "bend": ("layer", [0.0, 0.0, 0.5]),
            "judged_extremes": (("judging_seed", "end_layer"), np.stack([row(0.97), row(0.6)], 1)),
            "judged_correlation": ("judging_seed", row(0.95)),
            "judged_accuracy": (("judging_seed", "trained_norm"), accuracy),
        },
        coords={"layer": ["a", "b", norm_free_data.OUTLIERS], "trained_norm": norms},
        attrs={"parameters": 1000},
    )


def test_fig_dyt_made_up_seeds_reproduce_every_claim(made):
    assert set(labels(fig_dyt, made).values()) == {REPRODUCED}


@pytest.mark.parametrize(
    ("claim", "variable", "place", "values", "label"),
    [
        ("dyt-line-per-token", "bend", {"layer": 0}, 1e-6, REFUTED),
        ("dyt-s-shape", "judged_extremes", {"end_layer": 0}, row(0.6), PARTLY),
        ("dyt-s-shape", "judged_extremes", {"end_layer": 1}, row(0.97), PARTLY),
        ("dyt-s-shape", "judged_extremes", {"end_layer": 1}, row(0.9, 0.5), PARTLY),
        ("dyt-alpha-tracks-inverse-deviation", "judged_correlation", {}, row(-0.6, 0.3), REFUTED),
        ("dyt-alpha-tracks-inverse-deviation", "judged_correlation", {}, row(0.8, 0.5), UNDECIDED),
        ("dyt-parity", "judged_accuracy", {"trained_norm": 1}, row(0.9), REFUTED),
        ("dyt-parity", "judged_accuracy", {"trained_norm": 1}, row(0.98), REFUTED),
        ("dyt-parity", "judged_accuracy", {"trained_norm": 1}, row(0.94, 0.3), UNDECIDED),
        ("dyt-alpha-is-needed", "judged_accuracy", {"trained_norm": 3}, row(0.97), REFUTED),
        ("dyt-alpha-is-needed", "judged_accuracy", {"trained_norm": 3}, row(0.94, 0.2), UNDECIDED),
    ],
)
def test_fig_dyt_verdicts_can_go_either_way(made, claim, variable, place, values, label):
    made[variable][place] = values
    assert labels(fig_dyt, made)[claim] == label
