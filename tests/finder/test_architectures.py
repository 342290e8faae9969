"""What is found of the null space of architectures that people train: the kept table, and, slowly, each row again."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import nld
from nld.experiment.studies import null_space
from nld.experiment.studies.architectures import ARCHITECTURES
from nld.finder.outputs import output_of
from nld.finder.tape import tensors
from tests.finder import null_space as oracle
from tests.finder.models import FusedGPT

KEPT = {row.name: row for row in null_space.kept()["rows"]}
SHOWN = {"GPT-2", "Llama", "Qwen 3", "Gemma 3", "Mixtral", "Mamba 2", "BERT", "T5", "ViT", "ResNet"}


@dataclass
class Small:
    """A model of our own in the place of an architecture."""

    name: str = "GPT"

    def build(self) -> nn.Module:
        return FusedGPT()

    def inputs(self) -> dict[str, torch.Tensor]:
        return {"i": torch.randint(7, (4, 5))}


def test_the_measurement_agrees_with_an_independent_one():
    measured = null_space.measure(Small())
    torch.manual_seed(1)
    model = oracle.generic_point(FusedGPT())
    found = nld.find_symmetries(model, Small().inputs()["i"])
    assert measured.parameters == sum(p.numel() for p in model.parameters())
    assert measured.dimension == oracle.null_directions(model, lambda: Small().inputs()["i"]).shape[1]
    assert measured.blocks == oracle.rank(oracle.generators(model, found))
    assert measured.found == measured.dimension
    assert measured.unreached == 0
    assert measured.outside < 1e-8
    assert measured.largest_dropped < 1e-12 < 1e-8 < measured.smallest_kept


def test_entries_that_no_input_reaches_are_left_out():
    @dataclass
    class Unused(Small):
        def build(self):
            return FusedGPT(positions=6)

    measured, plain = null_space.measure(Unused()), null_space.measure(Small())
    assert measured.unreached == 4
    assert (measured.dimension, measured.found) == (plain.dimension, plain.found)


def test_the_kept_table_is_nearly_complete_and_names_where_it_comes_from():
    rows = KEPT.values()
    assert {architecture.name for architecture in ARCHITECTURES} == KEPT.keys() >= SHOWN
    assert len(rows) == 15
    shown = [row for row in rows if row.name in SHOWN]
    for some in (shown, rows):
        assert sum(row.found for row in some) >= 0.98 * sum(row.dimension for row in some)
    for row in rows:
        assert row.blocks <= row.found <= row.dimension
        assert row.smallest_kept > 1e3 * row.largest_dropped
        assert row.outside < 1e-6
    table, summary = str(null_space.table()), null_space.summary()
    assert all(
        f"| {row.name} | {row.parameters} | {row.dimension} | {row.blocks} | {row.found} |" in table for row in rows
    )
    assert "transformers" in summary
    assert f"{sum(row.found for row in rows)} are found" in summary


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_law_what_is_kept_is_found_again(architecture):
    pytest.importorskip("transformers")
    measured, kept = null_space.measure(architecture), KEPT[architecture.name]
    assert measured.outside < 1e-6
    assert measured.dimension == kept.dimension
    assert measured.found >= kept.found
    assert measured.blocks >= kept.blocks


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_law_books_of_architectures_balance(architecture):
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = null_space.generic(architecture.build())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with nld.Monitor(model, optimizer, example_inputs=null_space.double(architecture.inputs())) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            (output, *_) = tensors(output_of(model(**null_space.double(architecture.inputs()))).value)
            output.double().square().mean().backward()
            optimizer.step()
    record = monitor.record()
    assert record.sizes["block"] > 5
    assert float(record.relative_residual.max()) < 1e-3  # normalizations cast to single precision by themselves
