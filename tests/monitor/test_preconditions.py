"""What cannot be meant is said before the first step, and empty books are never said to balance."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from nld.errors import InvalidInput
from nld.monitor import findings


class Returns(nn.Module):
    """Normalized features and what else ``form`` makes of them."""

    def __init__(self, form=lambda y: y):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3))
        self.head, self.form = nn.Linear(4, 2), form

    def forward(self, x):
        return self.form(self.head(self.net(x)))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


X = torch.randn(8, 3)
CANNOT = {
    "loss as a string": (
        lambda m: nld.find_symmetries(m, X, "cross_entropy"),
        "got 'cross_entropy'; pass the function",
    ),
    "meta device": (lambda m: nld.find_symmetries(m.to("meta"), X.to("meta")), r"on the meta device .*to_empty"),
    "no gradient": (lambda m: nld.find_symmetries(Returns(torch.Tensor.detach), X), "got one without gradient; take"),
    "loss without gradient": (
        lambda m: nld.find_symmetries(m, X, lambda y: y.detach().sum()),
        "got one without gradient; take",
    ),
    "tuple and criterion": (
        lambda m: nld.find_symmetries(Returns(lambda y: (y, y.exp())), X, nn.CrossEntropyLoss()),
        r"got tuple with 2 of them; say which: loss=lambda output: criterion\(output\[0\]",
    ),
    "optimizers that share": (
        lambda m: nld.Monitor(m, [sgd(m), sgd(m.head)], []),
        "expected each parameter in one optimizer, got head.weight, head.bias in several; give it to one",
    ),
    "no optimizer": (lambda m: nld.Monitor(m, [], []), "expected an optimizer or several, got none"),
    "adapters for others": (
        lambda m: nld.Monitor(m, [sgd(m.net), sgd(m.head)], [], adapter=[None]),
        "expected an adapter for each of 2 optimizers, got 1; write None",
    ),
    "another model's optimizer": (
        lambda m: nld.Monitor(m, sgd(Returns()), example_inputs=X),
        "got SGD with 5 others; make it from model.parameters",
    ),
    "meta device watched": (
        lambda m: nld.Monitor(m.to("meta"), sgd(m), []),
        "on the meta device .* load its checkpoint",
    ),
    "loss as a string watched": (
        lambda m: nld.Monitor(m, sgd(m), example_inputs=X, loss="mse"),
        "got 'mse'; pass the function",
    ),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_meant_is_said_at_once(name):
    call, message = CANNOT[name]
    with pytest.raises(InvalidInput, match=message):
        call(Returns())


def step(model, optimizer):
    optimizer.zero_grad()
    model(X).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("found_in", ["eval", "train"])
def test_the_other_mode_is_noticed_before_the_first_step(found_in):
    model = Returns().train(found_in == "train")
    monitor = nld.Monitor(model, sgd(model), example_inputs=X)
    model.train(found_in != "train")
    before = [p.detach().clone() for p in model.parameters()]
    (optimizer,) = monitor._tracked.optimizers
    with pytest.raises(InvalidInput, match=rf"found in {found_in} mode and trained in .* call model\."):
        step(model, optimizer)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_a_mode_that_changes_nothing_is_no_matter():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Dropout(0.0), nn.Linear(4, 2)).eval()
    optimizer = sgd(model)
    with nld.Monitor(model, optimizer, example_inputs=X):
        model.train()
        step(model, optimizer)


def test_a_loss_says_what_the_symmetries_are_of():
    model = Returns(lambda y: {"logits": y, "hidden_states": (y,)})
    target = torch.randint(2, (8,))
    optimizer = sgd(model)
    with nld.Monitor(model, optimizer, example_inputs=X, loss=F.cross_entropy) as monitor:
        F.cross_entropy(model(X)["logits"], target).backward()
        optimizer.step()
    assert monitor.record().attrs["output"] == "output.logits"
    assert "translation" in {block.kind for block in monitor.blocks}  # of the last bias: cross entropy forgets it


@pytest.mark.parametrize("why", ["no gradient", "optimizer of the rest"])
def test_empty_books_do_not_balance(why):
    model = Returns()
    blocks = [block for block in nld.find_symmetries(model, X) if "net.0.weight" in block.parameters][:1]
    optimizer = sgd(model.head if why == "optimizer of the rest" else model)
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(2):
            optimizer.zero_grad()
            model.head(torch.ones(1, 4)).sum().backward()
            optimizer.step()
    said = [finding for finding in findings(monitor.record()) if finding.topic == "books" and not finding.block]
    assert [finding.good for finding in said] == [False]
    assert said[0].text.startswith("Nothing was followed")


def test_books_that_are_empty_are_not_counted():
    model = Returns()
    blocks = nld.find_symmetries(model, X)
    optimizer = torch.optim.SGD(model.net.parameters(), lr=0.1)
    model.head.requires_grad_(False)
    alone = [block for block in blocks if block.parameters == ("net.0.weight",)]
    beside = [nld.Block("translation", "head", (nld.finder.Member("head.bias", (1, 2)),))]
    with nld.Monitor(model, optimizer, alone + beside) as monitor:
        step(model, optimizer)
    text = " ".join(finding.text for finding in findings(monitor.record()))
    assert "All 2" not in text
    assert "not counting 1 of blocks" in text or "do not balance" in text
