"""Small networks whose weights are held class by class: variants of a byte-level language model, and classifiers.

A network is a function of its parameters without state: normalizations use the statistics of the batch at hand.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from nld.experiment.datasets.source_text import VOCABULARY
from nld.experiment.training.language_model import rotary

NORMS: dict[str, Callable[..., nn.Module]] = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu, "relu": F.relu, "silu": F.silu, "squared relu": lambda x: F.relu(x).square(), "tanh": torch.tanh,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Text:
    """A variant of the language model.

    Args:
        width, layers, heads, hidden: sizes.
        key_heads: of keys and values, each shared by ``heads / key_heads`` queries.
        norm: one of ``NORMS``, or "none".
        gains: whether normalizations have gains (and biases, for layer norm).
        place: of the normalizations: "pre", "post" or "sandwich".
        query_key_norm: whether queries and keys are normalized in each head.
        gated: whether perceptrons are gated.
        activation: one of ``ACTIVATIONS``.
        experts: perceptrons among which a router chooses by a softmax; 1 is a single one without router.
        tied: whether embedding and head are one tensor.
        learned_positions: added to the embedding, in place of rotary ones.
        biases: whether matrices have biases.
        cap: of the logits, cap tanh(logits / cap); 0 is none.
        spread: standard deviation of all weights at the start; 0 leaves PyTorch's own.
    """

    width: int = 32
    layers: int = 2
    heads: int = 4
    hidden: int = 64
    key_heads: int = 4
    norm: str = "rms"
    gains: bool = True
    place: str = "pre"
    query_key_norm: bool = True
    gated: bool = True
    activation: str = "silu"
    experts: int = 1
    tied: bool = False
    learned_positions: bool = False
    biases: bool = False
    cap: float = 0.0
    spread: float = 0.0

    outputs: ClassVar[int] = VOCABULARY

    def build(self) -> nn.Module:
        """The model, initialized by PyTorch's random numbers as they are."""
        return TextModel(self)


@dataclass(frozen=True, kw_only=True)
class Digits:
    """A classifier of digits.

    Args:
        kind: "perceptron" or "convolutional".
        width, layers: of hidden units or channels, and how many hidden layers.
        norm: "batch", "layer", "weight" (standardized weights) or "none".
        residual: whether all hidden layers but the first are residual.
        activation: one of ``ACTIVATIONS``, or "linear".
        gains: whether normalizations have gains and biases.
    """

    kind: str = "perceptron"
    width: int = 64
    layers: int = 3
    norm: str = "none"
    residual: bool = False
    activation: str = "relu"
    gains: bool = True

    outputs: ClassVar[int] = 10

    def build(self) -> nn.Module:
        """The model, initialized by PyTorch's random numbers as they are."""
        return DigitsModel(self)


class TextModel(nn.Module):
    """Bytes (batch, context) to logits (batch, context, 256)."""

    def __init__(self, shape: Text):
        super().__init__()
        self.shape = shape
        self.token = nn.Embedding(VOCABULARY, shape.width)
        if shape.learned_positions:
            self.position = nn.Parameter(0.02 * torch.randn(256, shape.width))
        self.layers = nn.ModuleList([_Layer(shape) for _ in range(shape.layers)])
        self.norm = _norm(shape, shape.width) if shape.place != "post" else nn.Identity()
        self.head = nn.Linear(shape.width, VOCABULARY, bias=False)
        if shape.spread:
            for q in self.parameters():
                if q.dim() == 2:
                    nn.init.normal_(q, std=shape.spread)
        if shape.tied:
            if not shape.spread:
                nn.init.normal_(self.token.weight, std=shape.width**-0.5)
            self.head.weight = self.token.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token(tokens)
        if self.shape.learned_positions:
            x = x + self.position[: tokens.shape[-1]]
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return logits if not self.shape.cap else self.shape.cap * torch.tanh(logits / self.shape.cap)


class _Layer(nn.Module):
    """Attention and a perceptron beside the residual stream."""

    def __init__(self, shape: Text):
        super().__init__()
        self.place = shape.place
        self.attention = _Attention(shape)
        self.perceptron = _Mixture(shape) if shape.experts > 1 else _Perceptron(shape)
        self.norm1, self.norm2 = _norm(shape, shape.width), _norm(shape, shape.width)
        if shape.place == "sandwich":
            self.after1, self.after2 = _norm(shape, shape.width), _norm(shape, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.place == "post":
            x = self.norm1(x + self.attention(x))
            return self.norm2(x + self.perceptron(x))
        if self.place == "sandwich":
            x = x + self.after1(self.attention(self.norm1(x)))
            return x + self.after2(self.perceptron(self.norm2(x)))
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


class _Attention(nn.Module):
    """Causal attention; keys and values may serve several heads."""

    def __init__(self, shape: Text):
        super().__init__()
        self.shape, size = shape, shape.width // shape.heads
        keys = size * shape.key_heads
        self.query = nn.Linear(shape.width, shape.width, bias=shape.biases)
        self.key, self.value = (nn.Linear(shape.width, keys, bias=shape.biases) for _ in range(2))
        self.out = nn.Linear(shape.width, shape.width, bias=shape.biases)
        normed = shape.query_key_norm
        self.query_norm, self.key_norm = (_norm(shape, size) if normed else nn.Identity() for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.shape
        query, key, value = (
            layer(x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for layer, heads in ((self.query, shape.heads), (self.key, shape.key_heads), (self.value, shape.key_heads))
        )
        query, key = self.query_norm(query), self.key_norm(key)
        if not shape.learned_positions:
            query, key = rotary(query), rotary(key)
        if shape.key_heads < shape.heads:
            key, value = (part.repeat_interleave(shape.heads // shape.key_heads, 1) for part in (key, value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        future = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(future, -1e9).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2))


class _Perceptron(nn.Module):
    """Two matrices and an activation, gated or not."""

    def __init__(self, shape: Text):
        super().__init__()
        self.activation = ACTIVATIONS[shape.activation]
        self.gate = nn.Linear(shape.width, shape.hidden, bias=shape.biases) if shape.gated else None
        self.up = nn.Linear(shape.width, shape.hidden, bias=shape.biases)
        self.down = nn.Linear(shape.hidden, shape.width, bias=shape.biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


class _Mixture(nn.Module):
    """All experts, weighted by a softmax of the router."""

    def __init__(self, shape: Text):
        super().__init__()
        self.router = nn.Linear(shape.width, shape.experts, bias=False)
        self.experts = nn.ModuleList([_Perceptron(shape) for _ in range(shape.experts)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.router(x).softmax(-1)
        return torch.stack([weights[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts)]).sum(0)


def _norm(shape: Text, size: int) -> nn.Module:
    return nn.Identity() if shape.norm == "none" else NORMS[shape.norm](size, elementwise_affine=shape.gains)


class DigitsModel(nn.Module):
    """Images (batch, 1, 8, 8) to logits (batch, 10)."""

    def __init__(self, shape: Digits):
        super().__init__()
        self.shape = shape
        bias = shape.norm in ("none", "weight") and shape.activation != "linear"
        images = shape.kind == "convolutional"
        layer = partial(nn.Conv2d, kernel_size=3, padding=1) if images else nn.Linear
        sizes = itertools.pairwise([1 if images else 64, *[shape.width] * shape.layers])
        self.hidden = nn.ModuleList([layer(before, after, bias=bias) for before, after in sizes])
        self.norms = nn.ModuleList([self._norm() for _ in self.hidden])
        self.head = nn.Linear(4 * shape.width if shape.kind == "convolutional" else shape.width, 10, bias=bias)

    def _norm(self) -> nn.Module:
        shape = self.shape
        if shape.norm == "batch":
            kind = nn.BatchNorm2d if shape.kind == "convolutional" else nn.BatchNorm1d
            return kind(shape.width, affine=shape.gains, track_running_stats=False)
        if shape.norm == "layer":
            size = [shape.width, 8, 8] if shape.kind == "convolutional" else [shape.width]
            return nn.LayerNorm(size, elementwise_affine=shape.gains)
        return nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images if self.shape.kind == "convolutional" else images.flatten(1)
        for number, (layer, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            y = norm(self._linear(layer, x))
            y = y if self.shape.activation == "linear" else ACTIVATIONS[self.shape.activation](y)
            x = x + y if self.shape.residual and number else y
        if self.shape.kind == "convolutional":
            x = x.unflatten(-1, (2, 4)).unflatten(-3, (2, 4)).mean((-1, -3)).flatten(1)
        return self.head(x)

    def _linear(self, layer, x: torch.Tensor) -> torch.Tensor:
        weight = layer.weight
        if self.shape.norm == "weight":
            rows = weight.flatten(1)
            rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) * math.sqrt(rows.shape[1]))
            weight = rows.view(weight.shape)
        if self.shape.kind == "convolutional":
            return F.conv2d(x, weight, layer.bias, padding=1)
        return F.linear(x, weight, layer.bias)
