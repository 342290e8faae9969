"""What a model returns beside its output: caches and inner states must cost no symmetry."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from nld.finder import table
from nld.finder.outputs import output_of


class ModelOutput(OrderedDict):
    """As that of transformers: fields by name, as attributes too, None left out, and number for number in a slice."""

    def __init__(self, **fields):
        super().__init__({name: value for name, value in fields.items() if value is not None})

    def __getattr__(self, name):
        return self[name]


class DynamicCache:
    """As that of transformers: an object that is no container for PyTorch."""

    def __init__(self, *tensors):
        self.layers = list(tensors)


@dataclass
class Plain:
    logits: Any
    past_key_values: Any = None
    hidden_states: Any = None


class Decoder(nn.Module):
    """One attention head over random tokens, whose keys and values are returned as ``form`` does."""

    def __init__(self, form: str):
        super().__init__()
        self.form = form
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6, bias=False) for _ in range(4))
        self.head = nn.Linear(6, 5)

    def forward(self, x, labels=None):
        q, k, v = self.q(x), self.k(x), self.v(x)
        weights = (q @ k.mT).softmax(-1)
        hidden = self.o(weights @ v)
        logits = self.head(hidden.tanh())
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        cache = DynamicCache(k, v)
        return {
            "tensor": lambda: logits,
            "object": lambda: ModelOutput(
                loss=loss, logits=logits, past_key_values=cache, hidden_states=(x, hidden), attentions=(weights,)
            ),
            "dict": lambda: {"logits": logits, "past_key_values": ((k, v),), "hidden_states": (hidden,)},
            "dataclass": lambda: Plain(logits, cache, (x, hidden)),
            "tuple": lambda: (logits, cache) if loss is None else (loss, logits, cache),
        }[self.form]()


def words(found) -> list[tuple[str, str]]:
    return sorted((str(block.kind), block.name) for block in found)


FORMS = ("object", "dict", "dataclass", "tuple")


@pytest.mark.parametrize("form", FORMS)
def test_caches_and_inner_states_cost_no_symmetry(form):
    x = torch.randn(3, 4, 6)
    found = nld.find_symmetries(Decoder(form), x)
    assert words(found) == words(nld.find_symmetries(Decoder("tensor"), x))
    assert sum(block.kind == "general_linear" for block in found) == 2  # keys behind queries, values behind o
    assert "logits" in found.output or "[0]" in found.output
    assert f"Taken as the output: {found.output}." in table(found)


@pytest.mark.parametrize("form", ["object", "tuple"])
def test_the_loss_is_the_output_where_there_is_one(form):
    inputs = {"x": torch.randn(3, 4, 6), "labels": torch.randint(5, (3, 4))}
    found = nld.find_symmetries(Decoder(form), inputs)
    expected = nld.find_symmetries(Decoder("tensor"), inputs["x"], lambda y: F.cross_entropy(y.mT, inputs["labels"]))
    assert words(found) == words(expected)
    assert any(block.kind == "translation" for block in found)  # cross entropy forgets a constant, logits do not
    assert "loss" in found.output or "[0]" in found.output


@pytest.mark.parametrize("form", FORMS)
def test_a_criterion_is_applied_to_the_logits(form):
    x = torch.randn(3, 4, 6)

    def criterion(y, target):
        return (y.exp() * target).sum()

    found = nld.find_symmetries(Decoder(form), x, criterion)
    assert words(found) == words(nld.find_symmetries(Decoder("tensor"), x, criterion))


def test_a_criterion_of_two_outputs_is_asked_back():
    class Two(Decoder):
        def forward(self, x):
            return super().forward(x), self.q(x)

    with pytest.raises(nld.errors.InvalidInput, match=r"with 2 of them; say which: loss=lambda output"):
        nld.find_symmetries(Two("tensor"), torch.randn(3, 4, 6), nn.MSELoss())


ONE, TWO = torch.ones(2, 3), torch.zeros(4)
TAKEN = [
    (ONE, ONE, ""),
    ((ONE, TWO), (ONE, TWO), ""),
    ({"boxes": ONE, "logits": TWO}, {"boxes": ONE, "logits": TWO}, ""),
    (
        {"boxes": ONE, "logits": TWO, "last_hidden_state": ONE},
        {"boxes": ONE, "logits": TWO},
        "output.boxes, output.logits",
    ),
    ({"last_hidden_state": ONE, "cache_params": TWO}, ONE, "output.last_hidden_state"),
    ({"hidden_states": ONE}, {"hidden_states": ONE}, ""),  # all there is
    ({"loss": None, "logits": ONE, "mems": [TWO]}, ONE, "output.logits"),
    ((torch.tensor(1.0), ONE), torch.tensor(1.0), "output[0]"),
    ((torch.tensor(1), ONE), (torch.tensor(1), ONE), ""),  # a count is no loss
]


@pytest.mark.parametrize(("returned", "value", "where"), TAKEN)
def test_what_is_taken(returned, value, where):
    taken = output_of(returned)
    assert str(taken.value) == str(value)
    assert taken.words.split(";")[0] == where
