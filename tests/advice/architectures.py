"""Small architectures, and by hand what the symmetries of their loss say of the size of each tensor."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

OWN, SHARED, COMPENSATED, NONE, VECTORS = "own", "shared", "compensated", "none", "gains and biases"
VOCABULARY, WIDTH, HEADS, WIDE = 11, 8, 2, 12


class Transformer(nn.Module):
    """One causal layer between embedding and head, with the normalizations that are asked for."""

    def __init__(self, norm=nn.RMSNorm, gains=True, query_key_norm=False, gated=False, tied=False, fused=False):
        super().__init__()

        def normalization(size=WIDTH):
            return norm(size, elementwise_affine=gains)

        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.norm1, self.norm2, self.norm = normalization(), normalization(), normalization()
        if fused:
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        else:
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.query_norm, self.key_norm = (
            (normalization(WIDTH // HEADS), normalization(WIDTH // HEADS)) if query_key_norm else (None, None)
        )
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate = nn.Linear(WIDTH, WIDE, bias=False) if gated else None
        self.up, self.down = nn.Linear(WIDTH, WIDE, bias=False), nn.Linear(WIDE, WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.token.weight

    def forward(self, i):
        x = self.token(i)
        y = self.norm1(x)
        three = self.qkv(y).chunk(3, -1) if hasattr(self, "qkv") else (self.query(y), self.key(y), self.value(y))
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in three)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        x = x + self.out(F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2))
        y = self.norm2(x)
        x = x + self.down(F.gelu(self.up(y)) if self.gate is None else F.silu(self.gate(y)) * self.up(y))
        return self.head(self.norm(x))


def convolutional(bias=False):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=bias), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=bias), nn.BatchNorm2d(3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip


def perceptron():
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


def smooth():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def weight_normalized():
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 5)), nn.Tanh(), nn.Linear(5, 2))


def tokens():
    return torch.randint(VOCABULARY, (4, 7), generator=torch.Generator().manual_seed(0))


def vectors():
    return torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


def images():
    return torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Architecture:
    """A model, inputs, the class of every tensor by hand, and how many units those of their own have."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], torch.Tensor]
    classes: dict[str, list[str]]
    units: dict[str, int] = field(default_factory=dict)


PAIR = {"norm1.weight", "norm2.weight", "norm.weight"}
SHIFTS = {"norm1.bias", "norm2.bias", "norm.bias"}
RESIDUAL = ["token.weight", "out.weight", "down.weight"]

ARCHITECTURES = [
    Architecture("batch-normalized convolutions", convolutional, images, {
        OWN: ["0.weight", "3.weight"], COMPENSATED: ["8.weight"],
        VECTORS: ["1.weight", "1.bias", "4.weight", "4.bias", "8.bias"]}, {"0.weight": 4, "3.weight": 3}),
    Architecture("convolutions with biases", partial(convolutional, bias=True), images, {
        OWN: ["0.weight", "0.bias", "3.weight", "3.bias"], COMPENSATED: ["8.weight"],
        VECTORS: ["1.weight", "1.bias", "4.weight", "4.bias", "8.bias"]}, {"0.weight": 4, "3.weight": 3}),
    Architecture("pre-LN with gains", partial(Transformer, nn.LayerNorm), tokens, {
        SHARED: RESIDUAL, COMPENSATED: ["query.weight", "key.weight", "value.weight", "up.weight", "head.weight"],
        VECTORS: [*PAIR, *SHIFTS]}),
    Architecture("pre-LN without gains", partial(Transformer, nn.LayerNorm, gains=False), tokens, {
        SHARED: RESIDUAL, COMPENSATED: ["query.weight", "key.weight", "value.weight"],
        NONE: ["up.weight", "head.weight"]}),
    Architecture("query-key norm without gains", partial(Transformer, gains=False, query_key_norm=True), tokens, {
        OWN: ["query.weight", "key.weight"], SHARED: RESIDUAL, COMPENSATED: ["value.weight"],
        NONE: ["up.weight", "head.weight"]}, {"query.weight": HEADS, "key.weight": HEADS}),
    Architecture("gated, query-key norm, tied", partial(Transformer, query_key_norm=True, gated=True, tied=True),
        tokens, {
        OWN: ["query.weight", "key.weight"],
        COMPENSATED: ["token.weight", "out.weight", "down.weight", "value.weight", "gate.weight", "up.weight"],
        VECTORS: [*PAIR, "query_norm.weight", "key_norm.weight"]}, {"query.weight": HEADS, "key.weight": HEADS}),
    Architecture("gated, tied", partial(Transformer, gated=True, tied=True), tokens, {
        COMPENSATED: ["token.weight", "query.weight", "key.weight", "value.weight", "out.weight", "gate.weight",
                      "up.weight", "down.weight"], VECTORS: [*PAIR]}),
    Architecture("fused", partial(Transformer, gains=False, query_key_norm=True, fused=True), tokens, {
        SHARED: RESIDUAL, COMPENSATED: ["qkv.weight"], NONE: ["up.weight", "head.weight"]}),
    Architecture("ReLU perceptron", perceptron, vectors, {
        COMPENSATED: ["0.weight", "2.weight", "4.weight"], VECTORS: ["0.bias", "2.bias", "4.bias"]}),
    Architecture("tanh perceptron", smooth, vectors, {
        NONE: ["0.weight", "2.weight"], VECTORS: ["0.bias", "2.bias"]}),
    Architecture("weight norm", weight_normalized, vectors, {
        OWN: ["0.parametrizations.weight.original1"], NONE: ["2.weight"],
        VECTORS: ["0.bias", "0.parametrizations.weight.original0", "2.bias"]},
        {"0.parametrizations.weight.original1": 5}),
]  # fmt: skip
