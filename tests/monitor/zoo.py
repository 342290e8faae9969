"""One small network that has every kind of symmetry, its blocks, and a naive twin of the books."""

import itertools

import torch
from torch import nn

from nld.finder import Block, Member

HEADS, SIZE, WIDTH, CLASSES = 2, 3, 6, 4


class Zoo(nn.Module):
    """Normalized rows, a ReLU pair, query-key and value-output heads, head norms and logits; matrices only."""

    def __init__(self, epsilon: float = 0.0):
        super().__init__()
        self.epsilon = epsilon
        shapes = {
            "scaled": (5, 4),
            "incoming": (7, 5),
            "outgoing": (WIDTH, 7),
            "query_key": (2 * HEADS * SIZE, WIDTH),
            "value": (HEADS * SIZE, WIDTH),
            "output": (WIDTH, HEADS * SIZE),
            "rotated": (HEADS * SIZE, WIDTH),
            "logits": (CLASSES, HEADS),
            "bias": (1, CLASSES),
        }
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(shape) / shape[1] ** 0.5))

    def forward(self, x):
        z = x @ self.scaled.T
        z = (z - z.mean((0, 1))) / (z.var((0, 1)) + self.epsilon).sqrt()
        z = torch.relu(z @ self.incoming.T) @ self.outgoing.T
        query, key = (z @ self.query_key.T).unflatten(-1, (2, HEADS, SIZE)).unbind(2)
        weights = torch.softmax(torch.einsum("bihd,bjhd->bhij", query, key), -1)
        value = (z @ self.value.T).unflatten(-1, (HEADS, SIZE))
        z = torch.einsum("bhij,bjhd->bihd", weights, value).flatten(-2) @ self.output.T
        norms = (z @ self.rotated.T).unflatten(-1, (HEADS, SIZE)).square().sum(-1)
        return (norms @ self.logits.T + self.bias).mean(1)


def heads(name: str, count: int = 1, index: int = 0, coefficient: float = 1.0) -> Member:
    """Rows (heads, d, features) of a matrix that holds ``count`` sets of them."""
    rows = HEADS * SIZE
    narrow = ((0, index * rows, rows),) if count > 1 else ()
    return Member(name, (HEADS, SIZE, WIDTH), coefficient=coefficient, narrow=narrow, matrix_axis=1)


BLOCKS = [
    Block("scale", "rows", (Member("scaled", (5, 4)),)),
    Block(
        "rescale",
        "relu",
        (Member("incoming", (7, 5)), Member("outgoing", (WIDTH, 7), unit_axes=(1,), coefficient=-1.0)),
    ),
    Block("general_linear", "query-key", (heads("query_key", 2, 0), heads("query_key", 2, 1, -1.0))),
    Block(
        "general_linear",
        "value-output",
        (
            heads("value"),
            Member("output", (WIDTH, HEADS, SIZE), unit_axes=(1,), coefficient=-1.0, matrix_axis=2),
        ),
    ),
    Block("rotation", "head norms", (heads("rotated"),)),
    Block("translation", "logits", (Member("logits", (CLASSES, HEADS), unit_axes=(1,)),)),
    Block("translation", "bias", (Member("bias", (1, CLASSES)),)),
]

_LINEAR = {"weight_decay": 1e-2}
OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd decay": ("SGD", {"lr": 0.05, **_LINEAR}),
    "momentum": ("SGD", {"lr": 0.02, "momentum": 0.9, **_LINEAR}),
    "dampened": ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, **_LINEAR}),
    "nesterov": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, **_LINEAR}),
    "maximize": ("SGD", {"lr": 2e-5, "momentum": 0.9, "maximize": True, **_LINEAR}),
    "bare maximize": ("SGD", {"lr": 2e-5, "maximize": True, **_LINEAR}),
    "loops": ("SGD", {"lr": 0.02, "momentum": 0.9, "foreach": False, **_LINEAR}),
    "foreach": ("SGD", {"lr": 0.02, "momentum": 0.9, "foreach": True, **_LINEAR}),
    "fused": ("SGD", {"lr": 0.02, "momentum": 0.9, "fused": True, **_LINEAR}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam decay": ("Adam", {"lr": 0.01, **_LINEAR}),
    "adam maximize": ("Adam", {"lr": 1e-4, "maximize": True, "amsgrad": True, **_LINEAR}),
    "fused adam": ("Adam", {"lr": 0.01, "fused": True, **_LINEAR}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "fused adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "fused": True}),
    "foreach adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "foreach": True}),
    "nadam": ("NAdam", {"lr": 0.005, **_LINEAR}),
    "nadam decoupled": ("NAdam", {"lr": 0.005, "decoupled_weight_decay": True, **_LINEAR}),
    "radam": ("RAdam", {"lr": 0.01, **_LINEAR}),
    "adamax": ("Adamax", {"lr": 0.01, **_LINEAR}),
    "rmsprop": ("RMSprop", {"lr": 0.002, "momentum": 0.9, "centered": True, **_LINEAR}),
    "adagrad": ("Adagrad", {"lr": 0.02, **_LINEAR}),
    "adadelta": ("Adadelta", {"lr": 1.0, **_LINEAR}),
    "asgd": ("ASGD", {"lr": 0.01, **_LINEAR}),
    "rprop": ("Rprop", {"lr": 0.001}),
    "adafactor": ("Adafactor", {"lr": 0.01, **_LINEAR}),
    "muon": ("Muon", {"lr": 0.01, "weight_decay": 0.1}),
    "muon, short memory": ("Muon", {"lr": 0.01, "momentum": 0.3, "weight_decay": 0.1}),
}


def zoo(name: str = "momentum", dtype=torch.float64, seed: int = 0, **model):
    """The network and one of OPTIMIZERS, always the same."""
    torch.manual_seed(seed)
    network = Zoo(**model).to(dtype)
    kind, options = OPTIMIZERS[name]
    return network, getattr(torch.optim, kind)(network.parameters(), **options)


def batch(step: int, dtype=torch.float64):
    """Mini-batch number ``step``."""
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(12, 3, 4, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(CLASSES, (12,), generator=generator)


def loss_of(network, step: int):
    dtype = next(network.parameters()).dtype
    x, y = batch(step, dtype)
    return nn.functional.cross_entropy(network(x), y)


def train(network, optimizer, steps: int, first: int = 0, after=None):
    """The loop that knows of no monitor."""
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(network, step).backward()
        optimizer.step()
        if after is not None:
            after(step)


def generators(block: Block, named: dict, unit: int):
    """A(q) of one unit for each basis element, as dictionaries from parameter names to tensors; by its definition."""
    size = block.size
    if block.kind == "rotation":
        basis = []
        for i, j in itertools.combinations(range(size), 2):
            matrix = torch.zeros(size, size, dtype=torch.float64)
            matrix[i, j], matrix[j, i] = 0.5**0.5, -(0.5**0.5)
            basis.append(matrix)
    else:
        basis = [torch.eye(size * size, dtype=torch.float64)[i].view(size, size) for i in range(size * size)]
    for matrix in basis:
        moved = {name: torch.zeros_like(named[name]) for name in block.parameters}
        for member in block.members:
            rows = member.rows(named[member.parameter])[unit]
            if block.kind == "translation":
                value = torch.full_like(rows, member.coefficient)
            elif size == 1:
                value = member.coefficient * rows
            else:
                value = matrix @ rows if member.coefficient > 0 else -matrix.T @ rows
            # rows() may copy, so the entries are found by arranging their numbers the same way.
            places = member.rows(torch.arange(named[member.parameter].numel()).view(named[member.parameter].shape))
            moved[member.parameter].view(-1)[places[unit].reshape(-1)] += value.reshape(-1)
        yield moved


def inner(a: dict, b: dict) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in b)


BOUND = 1e-12  # of a residual in double precision


def worst(monitor) -> float:
    return float(monitor.record().relative_residual.max())


class Noisy(nn.Module):
    """Batch normalization and dropout, so that buffers and random streams would show a disturbance."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 4)
        )

    def forward(self, x):
        return self.net(x[:, 0].float())


NOISY = [
    Block("scale", "0", (Member("net.0.weight", (8, 4)),)),
    Block(
        "rescale",
        "1",
        (Member("net.1.weight", (8,)), Member("net.1.bias", (8,)), Member("net.4.weight", (4, 8), (1,), -1.0)),
    ),
    Block("rotation", "4", (Member("net.4.weight", (1, 4, 8), matrix_axis=1),)),
]
