"""The byte-level language model: its symmetries as the finder finds them, its text, and that it learns."""

import hashlib
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

import nld
from nld.errors import Damaged, InvalidInput
from nld.experiment.datasets import source_text
from nld.experiment.training import training
from nld.experiment.training.language_model import language_model, next_byte_loss, rotary, text_batches
from nld.symmetry import Kind

SMALL = {"width": 8, "heads": 2, "layers": 2, "hidden": 12}
QUERY, KEY, VALUE, OUT = (f"layers.0.attention.{name}.weight" for name in ("query", "key", "value", "out"))
RESIDUAL = ("token.weight", *(f"layers.{i}.{x}.weight" for i in range(2) for x in ("attention.out", "perceptron.down")))


def tokens(context=12):
    return next(text_batches(source_text.training_text(), [0], batch_size=4, context=context, seed=0))


def found(**shape):
    """Kind, units and parameters of what the finder finds in a small model."""
    model = language_model(0, torch.float64, **SMALL | shape)
    blocks = nld.find_symmetries(model, tokens()[0])
    return {(b.kind, b.units, frozenset(b.parameters)) for b in blocks}


def block(kind, units, *parameters):
    return (kind, units, frozenset(parameters))


@pytest.mark.parametrize("gains", [True, False])
def test_queries_and_keys_have_a_scale_of_their_own_in_each_head(gains):
    symmetries = found(gains=gains)
    assert {block(Kind.SCALE, 2, QUERY), block(Kind.SCALE, 2, KEY)} <= symmetries
    assert block(Kind.GENERAL_LINEAR, 2, VALUE, OUT) in symmetries
    assert block(Kind.SCALE, 1, *RESIDUAL) in symmetries
    # Gains tell coordinates apart; without them each pair of a rotary plane turns, and the whole residual stream.
    assert (block(Kind.ROTATION, 4, QUERY, KEY) in symmetries) != gains
    assert any(kind is Kind.ROTATION and "head.weight" in names for kind, _, names in symmetries) != gains


def test_without_their_norm_queries_and_keys_share_their_scale():
    symmetries = found(query_key_norm=False)
    assert not any(kind is Kind.SCALE and names <= {QUERY, KEY} for kind, _, names in symmetries)
    assert block(Kind.RESCALE, 4, QUERY, KEY) in symmetries


def test_every_symmetry_found_is_one():
    model = language_model(0, torch.float64, **SMALL)
    batch, targets = tokens()
    blocks = nld.find_symmetries(model, batch)
    report = nld.check_symmetries(model, lambda m: next_byte_loss(m, batch, targets), blocks)
    assert all(violation.holds(1e-9) for violation in report), report


def test_the_default_model_has_a_few_hundred_thousand_weights_and_learns():
    model = language_model(0)
    assert 2e5 < sum(q.numel() for q in model.parameters()) < 5e5
    text = source_text.training_text()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batches = text_batches(text, range(100), batch_size=8, context=32, seed=0)
    losses = [float(step.loss) for step in training(model, optimizer, batches, loss=next_byte_loss)]
    assert losses[0] > np.log(256)
    assert np.mean(losses[-10:]) < 0.85 * source_text.unigram_entropy(text)


def test_a_model_and_its_batches_follow_from_their_seeds():
    first, again, other = (language_model(seed, **SMALL).token.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    text = np.arange(200, dtype=np.uint8)
    alone = next(text_batches(text, [7], batch_size=5, context=9, seed=1))
    *_, later = text_batches(text, range(8), batch_size=5, context=9, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(alone, later, strict=True))
    assert torch.equal(alone[0][:, 1:], alone[1][:, :-1])


def test_a_byte_is_foreseen_from_what_stands_before_it():
    model = language_model(0, torch.float64, **SMALL)
    batch, _ = tokens()
    changed = batch.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 256
    same = (model(batch) == model(changed)).flatten(2).all(-1).all(0)
    assert same.tolist() == [True] * 7 + [False] * 5


def test_rotary_positions_turn_by_complex_phases():
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = torch.complex(x[..., :4], x[..., 4:])
    phases = torch.tensor([[1j * t / 10000 ** (2 * j / 8) for j in range(4)] for t in range(5)], dtype=z.dtype).exp()
    turned = z * phases
    torch.testing.assert_close(rotary(x), torch.cat([turned.real, turned.imag], -1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("heads", [3, 8])
def test_heads_that_do_not_fill_the_width_are_refused(heads):
    with pytest.raises(InvalidInput, match="even size"):
        language_model(0, width=8, heads=heads)


def test_a_text_shorter_than_the_context_is_refused():
    with pytest.raises(InvalidInput, match="lower context"):
        next(text_batches(np.zeros(8, np.uint8), [0], batch_size=1, context=8, seed=0))


def test_the_text_is_split_into_training_and_validation():
    train, validation = source_text.training_text(), source_text.validation_text()
    assert train.tobytes() + validation.tobytes() == source_text.excerpt()
    assert len(validation) == pytest.approx(len(source_text.excerpt()) / 10, abs=1)
    assert source_text.EXCERPT.stat().st_size < 300_000
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in (
        source_text.EXCERPT.with_name("standard_library.license.txt").read_text()
    )


@pytest.mark.skipif(sys.version_info[:3] != (3, 11, 7), reason="the text is that of CPython 3.11.7")
def test_the_text_is_what_its_documentation_says():
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    files = [path.read_bytes() for path in paths if not path.name.startswith("_sysconfigdata")]  # written by a build
    own = re.compile(rb"copyright|licen[cs]e", re.IGNORECASE)
    chosen = [text for text in files if 8000 <= len(text) < 40000 and text.isascii() and not own.search(text)]
    assert len(chosen) == 63
    assert b"".join(chosen) == source_text.excerpt()


def test_a_damaged_text_is_refused(monkeypatch):
    monkeypatch.setattr(source_text, "CHECKSUM", hashlib.sha256(b"").hexdigest())
    with pytest.raises(Damaged, match="install nld again"):
        source_text.excerpt.__wrapped__()


def test_unigram_entropy_of_known_frequencies():
    assert source_text.unigram_entropy(np.array([0, 0, 1, 255], np.uint8)) == pytest.approx(1.5 * np.log(2))
