"""Findings and the report: what they say must be true of the run."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import nn

import nld
from nld.cli import main
from nld.figures._render.monitor_report import draw_terms
from nld.finder import Block, Member
from nld.monitor.diagnosis import equilibrium_step, steps_to_equilibrium
from nld.monitor.finding import recent
from nld.publish.exports.report import report
from tests.monitor.zoo import BLOCKS, loss_of, train, zoo


def spinning(kind="SGD", steps=600, size=1.0, units=30, features=60, **options):
    """Weights whose gradient is white noise at right angles, of norm 1/|q|, as of a scale-invariant layer."""
    torch.manual_seed(0)
    weight = nn.Parameter(size * nn.functional.normalize(torch.randn(units, features, dtype=torch.float64), dim=1))
    optimizer = getattr(torch.optim, kind)([weight], **options)
    block = Block("scale", "layer", (Member("w", (units, features)),))
    with nld.Monitor(nn.ParameterDict({"w": weight}), optimizer, [block]) as monitor:
        for _ in range(steps):
            q = weight.detach()
            noise = torch.randn_like(q)
            squared = q.square().sum(1, keepdim=True)
            noise -= q * (noise * q).sum(1, keepdim=True) / squared
            weight.grad = noise / (features * squared).sqrt()
            optimizer.step()
    return monitor.record()


RULES = {
    "heavy ball": ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    "no momentum": ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "dampened": ("SGD", {"lr": 0.4, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.02}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 1.0, "betas": (0.8, 0.99)}),
}


@pytest.mark.parametrize("name", RULES)
def test_equilibrium_angle_is_reached(name):
    kind, options = RULES[name]
    record = spinning(kind, **options)
    last = recent(record, 0.4)
    measured = float((last.angular_step**2).mean() ** 0.5)
    assert measured == pytest.approx(float(equilibrium_step(last).mean()), rel=0.02)


SLOW = {
    "heavy ball": ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.005}),
    "adamw": ("AdamW", {"lr": 0.02, "weight_decay": 0.2, "betas": (0.8, 0.9)}),
}


@pytest.mark.parametrize(("name", "size"), [("heavy ball", 6.0), ("heavy ball", 0.5), ("adamw", 3.0)])
def test_time_to_equilibrium_is_foretold(name, size):
    kind, options = SLOW[name]
    record = spinning(kind, 1000, size=size, units=60, **options)
    norm = record.squared_norm.mean("unit").sel(block="layer")
    final = float(norm.isel(step=slice(-200, None)).mean())
    arrived = int(np.argmax(abs(norm.values / final - 1) < 0.1))
    now = arrived // 2
    ahead = float(steps_to_equilibrium(record.isel(step=slice(0, now))).sel(block="layer"))
    assert arrived > 60
    assert ahead == pytest.approx(arrived - now, rel=0.15)


def words(record, topic):
    return [finding.text for finding in nld.monitor.findings(record) if finding.topic == topic]


def watched(name="momentum", clip=None, steps=25, **model):
    network, optimizer = zoo(name, **model)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(steps):
            optimizer.zero_grad()
            loss_of(network, step).backward()
            for parameter in network.parameters() if clip else ():
                nn.utils.clip_grad_norm_(parameter, clip)
            optimizer.step()
    return monitor.record()


def test_findings_name_what_breaks_the_books():
    (text,) = words(watched(), "books")
    assert text.startswith("All 7 books balance")
    (text,) = words(watched(epsilon=1e-3), "books")
    assert text.startswith("rows")
    assert "epsilon" in text
    texts = words(watched(clip=0.05), "books")
    assert {text.split(":")[0] for text in texts} == {"relu", "value-output"}
    assert all("clipping single tensors" in text for text in texts)


def test_findings_name_a_changed_momentum():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(6):
            train(network, optimizer, 1, first=step)
            for state in optimizer.state.values():
                state["momentum_buffer"] *= 0.9  # behind the monitor's back, right after the step
    texts = words(monitor.record(), "books")
    assert texts
    assert all("momentum is not what" in text for text in texts)


def test_findings_name_the_metric_that_breaks_a_rotation():
    assert "AdamW's metric breaks the rotation" in words(watched("adamw"), "metric")[0]
    assert "stays 0 under SGD" in words(watched("momentum"), "metric")[0]


def test_findings_on_norms_and_rates():
    assert "has no equilibrium" in words(watched("adam"), "equilibrium")[0]
    (text,) = words(spinning(steps=60, size=5.0, lr=0.1, momentum=0.8, weight_decay=0.05), "equilibrium")
    assert re.search(r"layer will take [\d,]+ steps to reach equilibrium at this weight decay", text)
    with pytest.raises(ValueError, match="at least one step"):
        nld.monitor.findings(watched(steps=0))


def test_findings_of_a_run_that_diverged_say_so():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 5)
        with torch.no_grad():
            network.scaled.fill_(float("nan"))
        train(network, optimizer, 5, first=5)
    first = nld.monitor.findings(monitor.record())[0]
    assert not first.good
    assert re.search(r"step 5 .*not finite.*rows", first.text)
    assert not any("nan" in text.replace("not finite", "") for text in words(monitor.record(), "rate"))


def test_a_layer_that_does_not_turn_has_neither_time_to_equilibrium_nor_rate(tmp_path, unrendered):
    torch.manual_seed(0)
    layers = [layer for _ in range(3) for layer in (nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6))]
    model, x = nn.Sequential(*layers), torch.randn(12, 6)
    blocks = [block for block in nld.find_symmetries(model, x) if block.kind == "scale"]
    model.get_parameter("0.weight").requires_grad_(False)
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        optimizer = kind(model.parameters(), lr=0.01, weight_decay=0.1)
        with nld.Monitor(model, optimizer, blocks) as monitor:
            for _ in range(20):
                optimizer.zero_grad()
                (model(x) - x.roll(1, 1)).square().mean().backward()
                optimizer.step()
        record = monitor.record()
        named = {finding.block for finding in nld.monitor.findings(record) if finding.topic == "equilibrium"}
        assert named == {"2.weight", "4.weight"}
        assert all("0.weight" not in text for text in words(record, "rate"))
        assert report(record, tmp_path / "page.html").exists()


def test_a_model_with_no_symmetry_has_findings_and_a_page(tmp_path):
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, []) as monitor:
        train(network, optimizer, 3)
    (finding,) = nld.monitor.findings(monitor.record())
    assert "No symmetry" in finding.text
    assert finding.text in report(monitor.record(), tmp_path / "page.html").read_text()


def test_norms_that_an_adaptive_metric_shortens_are_not_said_to_grow():
    (text,) = words(spinning("Adam", steps=60, lr=0.01), "equilibrium")
    assert "only falls" not in text
    (text,) = words(spinning(steps=60, lr=0.01, momentum=0.8), "equilibrium")
    assert "only falls" in text


def test_rounding_errors_of_a_gradient_that_cancels_are_told_from_what_breaks_a_symmetry():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)).double(), torch.randn(12, 6, dtype=torch.float64)
    blocks = [block for block in nld.find_symmetries(model, x) if block.kind == "translation"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(20):
            optimizer.zero_grad()
            model(
                x
            ).mean().backward()  # the mean of what is normalized does not depend on what was normalized, at first
            optimizer.step()
    record = monitor.record()
    assert float(record.relative_residual.max()) > 1e-10
    texts = words(record, "books")
    assert texts
    assert all("rounding errors" in text for text in texts)
    assert all(finding.good for finding in nld.monitor.findings(record) if finding.topic == "books")
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(20):
            optimizer.zero_grad()
            model(x)[:, :3].square().mean().backward()
            model[0].weight.grad[0].mul_(0.5)  # which breaks the translation of the outputs
            optimizer.step()
    assert not any("rounding errors" in text for text in words(monitor.record(), "books"))


def test_the_page_is_one_offline_file(tmp_path, capsys):
    record = watched("adamw")
    path = nld.monitor.save(record, tmp_path / "run.nc")
    assert main(["report", str(path)]) == 0
    page = (tmp_path / "run.html").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run.html")
    outside = list(re.findall(r"""(?:src|href|srcset)=["']([^"']+)""", page))
    assert len(outside) == 12
    assert all(address.startswith("data:image/svg+xml;base64,") for address in outside)
    for name in record.block.values:
        assert name in page
    assert "AdamW&#x27;s metric breaks the rotation" in page
    assert main(["report", str(tmp_path / "run.html")]) == 1
    assert "expected a whole netCDF record" in capsys.readouterr().err


def test_the_page_has_room_for_long_names_and_says_what_is_zero(tmp_path):
    network, _ = zoo()
    optimizer = torch.optim.SGD(network.named_parameters(), lr=0.01, momentum=0.9, weight_decay=0.0)
    blocks = [dataclasses.replace(block, name=f"{'a.long.name.of.a.layer, ' * 6}{block.name}") for block in BLOCKS]
    with nld.Monitor(network, optimizer, blocks) as monitor:
        train(network, optimizer, 3)
    page = report(monitor.record(), tmp_path / "page.html").read_text()  # a picture without room would warn
    assert "weight_decay 0.0" in page
    assert "param_names" not in page


def test_a_charge_that_stays_zero_has_no_share_of_rounding_errors():
    record = watched("momentum")
    axes = draw_terms(record).axes[0]
    still = {axes.get_yticklabels()[round(text.get_position()[1])].get_text().split(" (")[0] for text in axes.texts}
    # Weight decay moves the charges of translations, and nothing that of a rotation.
    assert still == {str(name) for name in record.block.values[(record.kind == "rotation").values]}
    widths = np.array([patch.get_width() for patch in axes.patches]).reshape(4, -1).sum(0)
    np.testing.assert_allclose(widths, [0.0 if str(name) in still else 1.0 for name in record.block.values])


def test_the_page_without_scale_invariant_layers(tmp_path, unrendered):
    record = watched().sel(block=["relu", "bias"])
    page = report(record, tmp_path / "page.html").read_text()
    assert page.count("<figure>") == 2
    assert "Norms, rates" not in page


def test_an_adaptive_metric_breaks_the_conservation_of_norms():
    """At small rates AdamW moves norms by its metric; under SGD only momentum turns steps towards the weights."""
    texts = {}
    for kind, options in {"AdamW": {}, "SGD": {"momentum": 0.9}}.items():
        network, _ = zoo("adamw")
        optimizer = getattr(torch.optim, kind)(network.parameters(), lr=1e-5, **options)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            for step in range(25):
                network.zero_grad()
                loss_of(network, step).backward()
                optimizer.step()
        texts[kind] = [text for text in words(monitor.record(), "metric") if "conservation of its norm" in text]
    assert texts["AdamW"]
    assert not texts["SGD"]
