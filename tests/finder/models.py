"""Small models of every kind of layer that PyTorch's own modules do not bring."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Two residual blocks on one stream, the second twice (a shared module)."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.stem = nn.Conv2d(2, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        x = F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        return self.head(x.mean((2, 3)))


class Depthwise(nn.Module):
    """An inverted residual: expand, depthwise, project."""

    def __init__(self, width: int = 2, wide: int = 4):
        super().__init__()
        self.expand = nn.Conv2d(width, wide, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.project = nn.Conv2d(wide, width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        y = F.relu(self.norm1(self.expand(x)))
        y = F.hardtanh(self.norm2(self.depthwise(y)), 0.0, 0.7)
        return self.head((x + self.norm3(self.project(y))).mean((2, 3)))


class Attention(nn.Module):
    """Causal self-attention through ``scaled_dot_product_attention`` with a fused input projection."""

    def __init__(self, width: int = 4, heads: int = 2, bias=True, rotary=False, normalize=False, kv_heads=None):
        super().__init__()
        self.heads, self.rotary, self.normalize, self.kv_heads = heads, rotary, normalize, kv_heads or heads
        self.size = width // heads
        self.q = nn.Linear(width, heads * self.size, bias=bias)
        self.k = nn.Linear(width, self.kv_heads * self.size, bias=bias)
        self.v = nn.Linear(width, self.kv_heads * self.size, bias=bias)
        self.out = nn.Linear(heads * self.size, width, bias=bias)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (layer(x).view(batch, length, -1, self.size).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.rotary:
            q, k = rotate(q), rotate(k)
        if self.normalize:
            q, k = 4 * F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.kv_heads != self.heads)
        return self.out(y.transpose(1, 2).reshape(batch, length, -1))


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding: pairs (j, j + d/2) turn by an angle proportional to the position."""
    length, size = x.shape[-2:]
    frequency = 10.0 ** -torch.arange(0, 1, 2 / size, dtype=x.dtype)
    angle = torch.outer(torch.arange(length, dtype=x.dtype), frequency).repeat(1, 2)
    left, right = x.chunk(2, -1)
    return x * angle.cos() + torch.cat([-right, left], -1) * angle.sin()


class FusedGPT(nn.Module):
    """A pre-norm transformer on tokens with learned positions and one fused query-key-value layer."""

    def __init__(
        self, vocabulary: int = 7, width: int = 4, heads: int = 2, tied: bool = False, norm=nn.LayerNorm, positions=5
    ):
        super().__init__()
        self.heads = heads
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(positions, width))
        self.norm1, self.norm2, self.norm = norm(width), norm(width), norm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 5), nn.Linear(5, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.token.weight

    def forward(self, i):
        x = self.token(i) + self.position[: i.shape[1]]
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + self.out(y)
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm(x))


class Scaled(nn.Module):
    """Features times a gain each, as LayerScale."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gain


class ScaledGPT(FusedGPT):
    """The same with gains behind the weights that write to the stream."""

    def __init__(self, norm=nn.LayerNorm, width: int = 4):
        super().__init__(norm=norm, width=width)
        self.out, self.down = (nn.Sequential(layer, Scaled(width)) for layer in (self.out, self.down))


class Seq(nn.Sequential):
    """Sequential whose recurrent layers return their outputs only."""

    def forward(self, x):
        for layer in self:
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


class Shared(nn.Module):
    """One linear layer used twice in a row."""

    def __init__(self):
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(F.relu(self.shared(F.relu(self.shared(F.relu(self.first(x)))))))


class HandNorm(nn.Module):
    """A normalization written out, after the sum of two linear maps."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Linear(3, 4), nn.Linear(3, 4, bias=False), nn.Linear(4, 2)

    def forward(self, x):
        y = self.left(x) + self.right(x.tanh())
        y = y - y.mean(-1, keepdim=True)
        return self.last(y / (y.square().mean(-1, keepdim=True) + 1e-16).sqrt())


class RootNorm(nn.Module):
    """A root mean square written out in several ways: what it multiplies by has the degree -1."""

    def __init__(self, inverse: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.first, self.last, self.inverse = nn.Linear(3, 4), nn.Linear(4, 2), inverse

    def forward(self, x):
        y = self.first(x)
        return self.last(y * self.inverse(y.square().mean(-1, keepdim=True)))


class OnePlusNorm(nn.Module):
    """A root mean square normalization whose gain is written 1 + w, w zero at first."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-16) * (1.0 + self.weight)


class Gain(nn.Module):
    """Logits times a gain each."""

    def __init__(self):
        super().__init__()
        self.first, self.gain = nn.Linear(3, 4), nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.first(x) * self.gain


class LowRank(nn.Module):
    """A frozen weight and a product of two small ones that corrects it."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.randn(4, 4), requires_grad=False)
        self.down, self.up = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.randn(4, 2))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(x @ (self.base + self.up @ self.down).T))


class SmallConstant(nn.Module):
    """A constant as small as a normalization's epsilon where there is no normalization: it breaks the rescaling."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(F.relu(self.first(x) + 1e-3))


class Where(SmallConstant):
    """A leaky ReLU spelled out."""

    def forward(self, x):
        y = self.first(x)
        return self.last(torch.where(y > 0, y, 0.1 * y))


class Gated(nn.Module):
    """A gated unit as in large language models: down(silu(gate(x)) * up(x))."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(3, 4, bias=False)
        self.up = nn.Linear(3, 4, bias=False)
        self.down = nn.Linear(4, 2)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def frozen(model: nn.Module, *names: str) -> nn.Module:
    """The model with these parameters frozen."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in names)
    return model


def evaluating(model: nn.Module) -> nn.Module:
    """The model with every batch normalization in eval mode and generic running statistics."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model


class MHA(nn.Module):
    """``nn.MultiheadAttention`` on itself."""

    def __init__(self, width: int = 4, heads: int = 2):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]
