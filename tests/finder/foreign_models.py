"""Models in the style of other people's code, each with something that a search for symmetries stumbles over.

Their symmetries are counted by hand and compared with the dense null space of the loss, as those of ``symmetric``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Foreign(NamedTuple):
    """A model with inputs for it, the number of units of each kind that it has, and what else is null, and why."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], torch.Tensor]
    units: dict[str, int]
    loss: nn.Module | None = None
    beyond: int = 0
    why: str = ""
    seed: int = 1


class MaskedScores(nn.Module):
    """A language model whose future is hidden by the lowest number there is; head and embedding are one tensor."""

    def __init__(self, vocabulary: int = 6, width: int = 4, length: int = 5):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.norm = nn.RMSNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.token.weight

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        h = self.norm(x)
        scores = self.query(h) @ self.key(h).mT / 2
        lowest = torch.full([], torch.finfo(x.dtype).min, dtype=x.dtype)
        past = torch.ones_like(scores).tril().bool()
        y = x + self.out(torch.where(past, scores, lowest).softmax(-1) @ self.value(h))
        return self.head(y.tanh()).mT


class StandardizedConv(nn.Conv2d):
    """Every filter without its mean and over its standard deviation."""

    def forward(self, input):
        spread, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return F.conv2d(input, (self.weight - mean) * torch.rsqrt(spread.clamp(min=1e-16)), self.bias)


class CosineHead(nn.Module):
    """Class vectors and features on the unit sphere, as in face recognition."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3))
        self.classes, self.sharpness = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.sharpness * F.linear(F.normalize(self.features(x)), F.normalize(self.classes))


class Twins(nn.Module):
    """One encoder for both halves of the input, compared by the cosine of the angle between them."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))

    def forward(self, x):
        return F.cosine_similarity(*(self.encoder(half) for half in x.chunk(2)))


class Preference(nn.Module):
    """Which of two answers is better, by the difference of their scores."""

    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x):
        better, worse = x.chunk(2)
        return F.logsigmoid(self.score(better) - self.score(worse))


class Factorization(nn.Module):
    """Users times items, each with a bias."""

    def __init__(self, users: int = 5, items: int = 5, width: int = 3):
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)

    def forward(self, pairs):
        user, item = pairs.unbind(1)
        return (self.user(user) * self.item(item)).sum(-1, keepdim=True) + self.user_bias(user) + self.item_bias(item)


class Gates(nn.Module):
    """A gated linear unit, then a ReLU written as a clamp, then dropout by a mask."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 8), nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        y = self.second(F.glu(self.first(x))).clamp(min=0)
        return self.last(torch.where(torch.rand(y.shape) > 0.3, y, 0.0))


class Experts(nn.Module):
    """Two of three experts for each input, chosen by scores that only their softmax sees."""

    def __init__(self, width: int = 2, experts: int = 3):
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 3), nn.ReLU(), nn.Linear(3, width, bias=False)) for _ in range(experts)
        )

    def forward(self, x):
        best, chosen = torch.topk(self.gate(x), 2)
        weights, result = best.softmax(-1), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = torch.where(chosen == number)
            result.index_add_(0, rows, expert(x[rows]) * weights[rows, place, None])
        return result


class Scan(nn.Module):
    """A selective state space that starts from zero."""

    def __init__(self, width: int = 3, states: int = 2):
        super().__init__()
        self.states = states
        self.write, self.read = (nn.Linear(width, states, bias=False) for _ in range(2))
        self.decay = nn.Parameter(torch.rand(width, states))

    def forward(self, x):
        state, outputs = x.new_zeros(len(x), x.shape[2], self.states), []
        for now in x.unbind(1):
            state = torch.exp(-self.decay.exp()) * state + self.write(now)[:, None] * now[..., None]
            outputs.append((state * self.read(now)[:, None]).sum(-1))
        return torch.stack(outputs, 1)


class CosineAttention(nn.Module):
    """Queries and keys of unit length; one bias for queries and values, zeros for the keys."""

    def __init__(self, width: int = 4, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.query_bias, self.value_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), math.log(4.0)))

    def forward(self, x):
        bias = torch.cat([self.query_bias, torch.zeros_like(self.value_bias), self.value_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * self.sharpness.clamp(max=4.0).exp()
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))


class ChannelsLast(nn.Module):
    """Layer norm over channels before a pooled convolution, with a residual branch that a gain scales."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, width, 1), nn.LayerNorm(width, elementwise_affine=False)
        self.deep, self.gain = nn.Linear(width, width), nn.Parameter(torch.ones(width))
        self.down, self.last = nn.Conv2d(width, 4, 2), nn.LayerNorm(4, elementwise_affine=False)

    def forward(self, x):
        y = self.norm(self.stem(x).permute(0, 2, 3, 1))
        y = (y + self.gain * self.deep(y).tanh()).permute(0, 3, 1, 2)
        return self.last(F.adaptive_avg_pool2d(self.down(y), 1).flatten(1))


class Merging(nn.Module):
    """Two maps are added, neighbours concatenated and normalized together."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.stem, self.branch = nn.Linear(2, width), nn.Linear(2, width)
        self.merged, self.head = nn.LayerNorm(2 * width, elementwise_affine=False), nn.Linear(2 * width, 2)

    def forward(self, x):
        y = self.stem(x) + self.branch(x.tanh())
        return self.head(self.merged(torch.cat([y[:, 0::2], y[:, 1::2]], -1)).tanh())


class UpAndSkip(nn.Module):
    """The end of a U-Net: up, pad, beside the skip connection, convolved."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(2, 3, 2, 2), nn.ConvTranspose2d(3, 2, 2, 2)
        self.out = nn.Conv2d(4, 2, 3)

    def forward(self, x):
        y = F.pad(self.up(F.relu(self.down(x))), [0, 1, 0, 1])
        return self.out(torch.cat([x, y], 1))


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: torch.Tensor


class Hidden(nn.Module):
    """Returns its hidden layer too, in an object of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        y = F.relu(self.first(x))
        return Answer(self.last(y), y)


class Complex(nn.Module):
    """A complex weight between real ones."""

    def __init__(self):
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.randn(3, 4, dtype=torch.complex128)), nn.Linear(4, 2)

    def forward(self, x):
        return self.last((x.to(self.weight.dtype) @ self.weight).abs())


class Reentrant(nn.Module):
    """A checkpoint of the old kind, whose gradients come only with ``backward``."""

    def __init__(self):
        super().__init__()
        self.stem, self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(checkpoint(lambda y: F.relu(self.first(y)), torch.tanh(self.stem(x)), use_reentrant=True))


def vectors(batch: int, width: int) -> Callable[[], torch.Tensor]:
    return lambda: 2 * torch.randn(batch, width)


def images(size: int, batch: int = 8) -> Callable[[], torch.Tensor]:
    return lambda: 2 * torch.randn(batch, 2, size, size)


CASES = [
    Foreign("masked-scores", MaskedScores, lambda: torch.randint(6, (4, 5)),
            {"translation": 4 + 4, "rescale": 4, "general_linear": 2}, nn.CrossEntropyLoss()),
    Foreign("standardized-conv", lambda: nn.Sequential(StandardizedConv(2, 3, 2), nn.Tanh(), nn.Flatten()), images(3),
            {"scale": 3, "translation": 3}),
    Foreign("cosine-head", CosineHead, vectors(20, 3), {"scale": 5, "rescale": 5, "rotation": 1}),
    Foreign("twins", Twins, vectors(40, 3), {"scale": 1, "rotation": 1}),
    Foreign("preference", Preference, vectors(40, 3), {"rescale": 4, "translation": 1}),
    Foreign("factorization", Factorization, lambda: torch.randint(5, (40, 2)),
            {"general_linear": 1, "translation": 1}, beyond=6,
            why="a shift of all users' vectors is undone by the items' biases, and the other way round"),
    Foreign("gates", Gates, vectors(40, 3), {"rescale": 7}),
    Foreign("experts", Experts, vectors(40, 2), {"translation": 3, "rescale": 9}),
    Foreign("scan", Scan, lambda: torch.randn(8, 4, 3), {"rescale": 2}),
    Foreign("cosine-attention", CosineAttention, lambda: torch.randn(6, 4, 4),
            {"scale": 4, "general_linear": 2}, beyond=2,
            why="queries and keys of a head may rotate, but the zeros beside the biases are not followed that far"),
    Foreign("channels-last", ChannelsLast, images(3), {"scale": 2, "translation": 2 + 1 + 3 + 12 + 1}),
    Foreign("merging", Merging, lambda: torch.randn(8, 4, 2), {"scale": 1, "translation": 3 + 1}),
    Foreign("up-and-skip", UpAndSkip, images(5), {"rescale": 3, "general_linear": 1}),
]  # fmt: skip
