"""A small language model as they are built today: a byte a token, query-key norm, rotary positions, gated perceptrons.

Every matrix is an ``nn.Linear`` without bias, every normalization an ``nn.RMSNorm``; initialization is PyTorch's own.
The loss sees of the weights what the normalizations leave: queries and keys have a scale of their own in each head,
values and outputs share an invertible matrix a head, and what writes to the residual stream has one scale in common.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets.source_text import VOCABULARY
from nld.experiment.training.networks import from_seed


class SelfAttention(nn.Module):
    """Causal attention with rotary positions; queries and keys normalized in each head if ``query_key_norm``."""

    def __init__(self, width: int, heads: int, query_key_norm: bool, gains: bool):
        super().__init__()
        if width % heads or width // heads % 2:
            raise InvalidInput(f"expected heads of an even size that fill the width, got {heads} heads of {width}")
        self.heads, size = heads, width // heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.query_norm, self.key_norm = (
            nn.RMSNorm(size, elementwise_affine=gains) if query_key_norm else nn.Identity() for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        query, key = rotary(self.query_norm(query)), rotary(self.key_norm(key))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class GatedPerceptron(nn.Module):
    """down(silu(gate(x)) up(x)): SwiGLU."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Attention and a gated perceptron, each behind a norm and beside the residual stream."""

    def __init__(self, width: int, heads: int, hidden: int, query_key_norm: bool, gains: bool):
        super().__init__()
        self.norm1, self.norm2 = (nn.RMSNorm(width, elementwise_affine=gains) for _ in range(2))
        self.attention = SelfAttention(width, heads, query_key_norm, gains)
        self.perceptron = GatedPerceptron(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


class LanguageModel(nn.Module):
    """Bytes (batch, context) to logits of the next byte (batch, context, 256).

    Args:
        width: of the residual stream.
        layers: how many.
        heads: of each attention; ``width / heads`` must be even.
        hidden: units of a gated perceptron; 8/3 of the width if None, so that it holds 8 width² weights.
        query_key_norm: whether queries and keys are normalized.
        gains: whether normalizations have gains.

    Raises:
        ValueError: the heads do not fill the width, or their size is odd.
    """

    def __init__(
        self,
        width: int = 96,
        layers: int = 2,
        heads: int = 6,
        hidden: int | None = None,
        query_key_norm: bool = True,
        gains: bool = True,
    ):
        super().__init__()
        hidden = round(8 * width / 3) if hidden is None else hidden
        self.token = nn.Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList([Layer(width, heads, hidden, query_key_norm, gains) for _ in range(layers)])
        self.norm = nn.RMSNorm(width, elementwise_affine=gains)
        self.head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def language_model(seed: int, dtype: torch.dtype = torch.float32, **shape) -> LanguageModel:
    """A ``LanguageModel`` of these arguments, initialized from the seed on the CPU."""
    return from_seed(seed, lambda: LanguageModel(**shape), dtype)


def rotary(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions: coordinates j and j + d/2 turn by position / 10000^{2j/d}; x (..., position, d), d even."""
    positions, size = x.shape[-2:]
    frequency = 10000.0 ** -torch.arange(0, 1, 2 / size, dtype=x.dtype, device=x.device)
    angle = torch.outer(torch.arange(positions, dtype=x.dtype, device=x.device), frequency).repeat(1, 2)
    first, second = x.chunk(2, -1)
    return x * angle.cos() + torch.cat([-second, first], -1) * angle.sin()


def next_byte_loss(model: nn.Module, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next byte, in ℓ (nats)."""
    return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def text_batches(
    text: np.ndarray, steps: Iterable[int], *, batch_size: int, context: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Bytes and the bytes that follow, int64 (batch_size, context), from random places of the text at each step.

    What a step sees is a function of the seed and the step alone.

    Raises:
        ValueError: the text is not longer than the context.
    """
    if len(text) <= context:
        raise InvalidInput(f"expected a text of more than {context} bytes, got {len(text)}; lower context")
    for step in steps:
        starts = np.random.default_rng([seed, step]).integers(len(text) - context, size=batch_size)
        windows = torch.from_numpy(text[starts[:, None] + np.arange(context + 1)].astype(np.int64))
        yield windows[:, :-1], windows[:, 1:]
