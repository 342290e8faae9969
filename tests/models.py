"""The zoo: small models of every kind of layer, shared by the tests of symmetries and of the monitor.

``beyond`` counts null directions of the loss that are real but of no kind that ``nld`` looks for; ``why`` says what
they are. A case whose null space holds more or less than what is found plus ``beyond`` fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A model with inputs for it, and how many units of each kind of symmetry theory says it has.

    Args:
        units: kind -> number of units over all blocks of this kind.
        loss: the criterion, or None for any function of the output.
        beyond: dimension of the null space that belongs to no kind of block; ``why`` says what it is.
        seed: a point at which no ReLU is dead or always open on the data drawn.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], torch.Tensor]
    units: dict[str, int]
    loss: nn.Module | None = None
    beyond: int = 0
    why: str = ""
    seed: int = 1


def vectors(n: int, batch: int = 60) -> Callable[[], torch.Tensor]:
    return lambda: 3 * torch.randn(batch, n)


def images(channels: int = 2, size: int = 5, batch: int = 6) -> Callable[[], torch.Tensor]:
    return lambda: 3 * torch.randn(batch, channels, size, size)


def tokens(vocabulary: int = 7, length: int = 5, batch: int = 4) -> Callable[[], torch.Tensor]:
    return lambda: torch.randint(vocabulary, (batch, length))


def sequences(n: int = 3, length: int = 5, batch: int = 4) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(batch, length, n)


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


AFFINE = "between affine maps with no function in between, a shift of the first bias is undone by the second one"
SUM_FREE = "rotations of the normalized activations about the vector of ones, on which no block can act"
VALUE_BIAS = 4  # softmax rows sum to one, so that the output bias undoes a shift of the value bias
BEHIND_LAYER_NORM = (
    "a shift of the value bias undone by the output bias; behind each layer normalization with gain and bias, a row of "
    "the next weight shifted by 1 / gain, and the normalization's bias, both undone by the next bias; rotations of the "
    "residual stream about the vector of ones where head and embedding are free"
)
EVALUATION = "in eval mode batch normalization is an affine map behind another: both its gain and its bias repeat it"

S, L = nn.Sequential, nn.Linear
CASES = [
    Case("relu", lambda: S(L(3, 4), nn.ReLU(), L(4, 3), nn.PReLU(), L(3, 2)), vectors(3), {"rescale": 7}),
    Case("prelu", lambda: S(L(3, 4), nn.PReLU(4), L(4, 3), nn.LeakyReLU(0.2), L(3, 2)), vectors(3), {"rescale": 7}),
    Case("tanh", lambda: S(L(3, 4), nn.Tanh(), L(4, 2)), vectors(3), {}),
    Case("cross-entropy", lambda: S(L(3, 4), nn.ReLU(), L(4, 3)), vectors(3), {"rescale": 4, "translation": 5},
         loss=nn.CrossEntropyLoss()),
    Case("logits", lambda: S(L(3, 4, bias=False)), vectors(3), {"translation": 3}, loss=nn.CrossEntropyLoss()),
    Case("linear", lambda: S(L(3, 4, bias=False), L(4, 3)), vectors(3), {"general_linear": 1}),
    Case("linear-biases", lambda: S(L(3, 2), L(2, 3)), vectors(3), {"general_linear": 1}, beyond=2, why=AFFINE),
    Case("linear-three", lambda: S(L(4, 3, bias=False), L(3, 3, bias=False), L(3, 4)), vectors(4),
         {"general_linear": 2}),
    Case("batch-norm", lambda: S(L(3, 4), nn.BatchNorm1d(4), nn.ReLU(), L(4, 2)), vectors(3),
         {"scale": 4, "translation": 4, "rescale": 4}),
    Case("batch-norm-eval", lambda: evaluating(S(L(3, 4), nn.BatchNorm1d(4), nn.ReLU(), L(4, 2))), vectors(3),
         {"rescale": 4}, beyond=8, why=EVALUATION),
    Case("batch-norm-plain", lambda: S(L(3, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.ReLU(), L(4, 2)),
         vectors(3), {"scale": 4}),
    Case("layer-norm", lambda: S(L(3, 5), nn.LayerNorm(5), nn.ReLU(), L(5, 2)), vectors(3),
         {"scale": 1, "translation": 4, "rescale": 5}),
    Case("layer-norm-gelu", lambda: S(L(3, 4), nn.LayerNorm(4), nn.GELU(), L(4, 2)), vectors(3),
         {"scale": 1, "translation": 4}),
    Case("rms-norm", lambda: S(L(3, 4), nn.RMSNorm(4), nn.ReLU(), L(4, 2)), vectors(3), {"scale": 1, "rescale": 4}),
    Case("rms-norm-plain", lambda: S(L(3, 4), nn.RMSNorm(4, elementwise_affine=False), L(4, 2)), vectors(3),
         {"scale": 1, "rotation": 1}),
    Case("layer-norm-plain", lambda: S(L(3, 4), nn.LayerNorm(4, elementwise_affine=False), L(4, 2)), vectors(3),
         {"scale": 1, "translation": 6}, beyond=3, why=SUM_FREE),
    Case("layer-norm-by-hand", HandNorm, vectors(3), {"scale": 1, "translation": 9}, beyond=3, why=SUM_FREE),
    Case("query-key-norm", lambda: Attention(bias=False, normalize=True), sequences(4),
         {"scale": 4, "rotation": 2, "general_linear": 2}),
    Case("low-rank", LowRank, vectors(4), {"general_linear": 1}),
    Case("small-constant", SmallConstant, vectors(3), {}, beyond=4,
         why="each bias may scale about minus the constant, which is no rescaling of parameters"),
    Case("where", Where, vectors(3), {"rescale": 4}),
    Case("gated", Gated, vectors(3), {"rescale": 4}),
    Case("shared", Shared, vectors(3), {"rescale": 4}, seed=5),
    Case("frozen-weight", lambda: frozen(S(L(3, 4), nn.ReLU(), L(4, 4), nn.ReLU(), L(4, 2)), "2.weight"), vectors(3),
         {"rescale": 1}),
    Case("frozen-bias", lambda: frozen(S(L(3, 4), nn.ReLU(), L(4, 4), nn.ReLU(), L(4, 2)), "0.bias"), vectors(3),
         {"rescale": 4}),
    Case("cnn", lambda: S(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(3, 2, 2, bias=False), nn.ReLU(),
                          nn.Flatten(), L(2, 2)), images(), {"rescale": 5}),
    Case("cnn-batch-norm", lambda: S(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.AvgPool2d(2, 1),
                                     nn.Dropout(0.0), nn.Flatten(), L(12, 2)), images(),
         {"scale": 3, "translation": 3, "rescale": 3}),
    Case("cnn-group-norm", lambda: S(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                     nn.Flatten(), L(4, 2)), images(), {"scale": 2, "translation": 2, "rescale": 4}),
    Case("cnn-instance-norm", lambda: S(nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3, affine=True), nn.ReLU(), nn.Flatten(),
                                        L(27, 2)), images(), {"scale": 3, "translation": 3, "rescale": 3}),
    Case("cnn-groups", lambda: S(nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(),
                                 nn.AdaptiveMaxPool2d(1), nn.Flatten(), L(4, 2)), images(), {"rescale": 8}),
    Case("cnn-transposed", lambda: S(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.ConvTranspose2d(3, 2, 2), nn.ReLU(),
                                     nn.Conv2d(2, 1, 2)), images(), {"rescale": 5}),
    Case("residual", Residual, images(), {"scale": 9, "translation": 6, "rescale": 6}),
    Case("depthwise", Depthwise, images(), {"scale": 14}, beyond=2, why=AFFINE),
    Case("attention", Attention, sequences(4), {"general_linear": 4, "translation": 4}, beyond=4,
         why="softmax rows sum to one: a shift of the value bias is undone by the output bias"),
    Case("attention-plain", lambda: Attention(bias=False), sequences(4), {"general_linear": 4}),
    Case("attention-grouped", lambda: Attention(8, 4, bias=False, kv_heads=2), sequences(8), {"general_linear": 4}),
    Case("attention-rotary", lambda: Attention(8, 2, bias=False, rotary=True), sequences(8),
         {"general_linear": 2, "rotation": 4, "rescale": 4}),
    Case("multihead", MHA, sequences(4), {"general_linear": 4, "translation": 4}, beyond=4,
         why="softmax rows sum to one: a shift of the value bias is undone by the output bias"),
    Case("gpt", FusedGPT, tokens(),
         {"scale": 1, "translation": 5 + 4 + 7 + 4 + 4 + 1 + 5 + 1, "rescale": 12, "general_linear": 4},
         beyond=VALUE_BIAS + (12 + 4) + (5 + 4) + 4 + 3, why=BEHIND_LAYER_NORM),
    Case("gpt-tied", lambda: FusedGPT(tied=True), tokens(),
         {"translation": 5 + 4 + 4 + 1 + 5 + 1, "rescale": 9, "general_linear": 4},
         beyond=VALUE_BIAS + (12 + 4) + (5 + 4), why=BEHIND_LAYER_NORM),
    Case("gpt-rms", lambda: FusedGPT(norm=nn.RMSNorm), tokens(),
         {"scale": 1, "translation": 4 + 4, "rescale": 12, "general_linear": 4}, beyond=VALUE_BIAS + 6,
         why="rotations of the residual stream, which the gains of the normalizations conjugate: no block can act so"),
    Case("gpt-rms-plain", lambda: FusedGPT(norm=partial(nn.RMSNorm, elementwise_affine=False)), tokens(),
         {"scale": 1, "translation": 4 + 4, "general_linear": 4, "rotation": 1}, beyond=VALUE_BIAS, why=AFFINE),
    Case("gpt-unused-position", lambda: FusedGPT(norm=partial(nn.RMSNorm, elementwise_affine=False), positions=6),
         tokens(), {"scale": 1, "translation": 4 + 4, "general_linear": 4, "rotation": 1}, beyond=VALUE_BIAS + 4,
         why="a position that the data never reaches has no gradient: that is no symmetry of the model"),
    Case("lstm", lambda: Seq(nn.LSTM(2, 2, batch_first=True), L(2, 2)), sequences(2), {"translation": 8}),
    Case("gru", lambda: Seq(nn.GRU(2, 2, batch_first=True), L(2, 2)), sequences(2), {"translation": 4}),
    Case("rnn", lambda: Seq(nn.RNN(2, 3, batch_first=True, nonlinearity="relu"), L(3, 2)), sequences(2),
         {"rescale": 3, "translation": 3}),
]  # fmt: skip
