"""Small models of every kind of layer with the symmetries that theory says they have.

``beyond`` counts null directions of the loss that are real but of no kind that ``nld`` looks for; ``why`` says what
they are. A case whose null space holds more or less than what is found plus ``beyond`` fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn

from tests.finder.models import (
    MHA,
    Attention,
    Depthwise,
    FusedGPT,
    Gain,
    Gated,
    HandNorm,
    LowRank,
    OnePlusNorm,
    Residual,
    RootNorm,
    Seq,
    Shared,
    SmallConstant,
    Where,
    evaluating,
    frozen,
)


@dataclass(frozen=True)
class Case:
    """A model with inputs for it, and how many units of each kind of symmetry theory says it has.

    Args:
        units: kind -> number of units over all blocks of this kind.
        loss: the criterion, or None for any function of the output.
        coupled: kind -> number of directions of the symmetries whose generators depend on other weights.
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
    coupled: dict[str, int] = field(default_factory=dict)


def vectors(n: int, batch: int = 60) -> Callable[[], torch.Tensor]:
    return lambda: 3 * torch.randn(batch, n)


def images(channels: int = 2, size: int = 5, batch: int = 6) -> Callable[[], torch.Tensor]:
    return lambda: 3 * torch.randn(batch, channels, size, size)


def tokens(vocabulary: int = 7, length: int = 5, batch: int = 4) -> Callable[[], torch.Tensor]:
    return lambda: torch.randint(vocabulary, (batch, length))


def sequences(n: int = 3, length: int = 5, batch: int = 4) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(batch, length, n)


# Absorbed: softmax rows sum to one, so that the output bias undoes a shift of the value bias; behind each layer
# normalization with gain and bias, a row of the next weight shifted by 1 / gain, and the normalization's bias, are both
# undone by the next bias, or by one another where there is none. Rotated: the residual stream, about the vector of ones
# behind layer normalizations, where head and embedding are not tied.
VALUE_BIAS = 4
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
    Case("linear-biases", lambda: S(L(3, 2), L(2, 3)), vectors(3), {"general_linear": 1}, coupled={"absorption": 2}),
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
    Case("layer-norm-two-features", lambda: S(L(2, 4), nn.LayerNorm(4), nn.ReLU(), L(4, 2)), vectors(2),
         {"scale": 1, "translation": 3, "rescale": 4}),
    Case("layer-norm-one-feature", lambda: S(L(1, 4), nn.LayerNorm(4), nn.ReLU(), L(4, 2)), vectors(1),
         {"scale": 1, "translation": 2, "rescale": 4}),
    Case("logits-of-one-feature", lambda: S(L(1, 4, bias=False)), vectors(1), {"translation": 1},
         loss=nn.CrossEntropyLoss()),
    Case("layer-norm-gelu", lambda: S(L(3, 4), nn.LayerNorm(4), nn.GELU(), L(4, 2)), vectors(3),
         {"scale": 1, "translation": 4}),
    Case("rms-norm", lambda: S(L(3, 4), nn.RMSNorm(4), nn.ReLU(), L(4, 2)), vectors(3), {"scale": 1, "rescale": 4}),
    Case("rms-norm-one-plus", lambda: S(L(3, 4), OnePlusNorm(4), nn.ReLU(), L(4, 2)), vectors(3),
         {"scale": 1, "rescale": 4}),
    Case("rms-norm-plain", lambda: S(L(3, 4), nn.RMSNorm(4, elementwise_affine=False), L(4, 2)), vectors(3),
         {"scale": 1, "rotation": 1}),
    Case("layer-norm-plain", lambda: S(L(3, 4), nn.LayerNorm(4, elementwise_affine=False), L(4, 2)), vectors(3),
         {"scale": 1, "translation": 6}, coupled={"rotation": 3}),
    Case("layer-norm-by-hand", HandNorm, vectors(3), {"scale": 1, "translation": 9}, coupled={"rotation": 3}),
    Case("root-norm-reciprocal", lambda: RootNorm(lambda square: square.sqrt().reciprocal()), vectors(3),
         {"scale": 1, "rotation": 1}),
    Case("root-norm-power", lambda: RootNorm(lambda square: 1 / (square + 1e-16) ** 0.5), vectors(3),
         {"scale": 1, "rotation": 1}),
    Case("gain-of-logits", Gain, vectors(3), {"rescale": 4}, coupled={"absorption": 4}, loss=nn.CrossEntropyLoss()),
    Case("cnn-3d", lambda: S(nn.Conv3d(2, 3, 2), nn.AdaptiveAvgPool3d(2), nn.BatchNorm3d(3), nn.ReLU(), nn.Flatten(),
                             L(24, 2)), lambda: 3 * torch.randn(12, 2, 4, 4, 4),
         {"scale": 3, "translation": 3, "rescale": 3}),
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
    Case("depthwise", Depthwise, images(), {"scale": 14}, coupled={"absorption": 2}),
    Case("attention", Attention, sequences(4), {"general_linear": 4, "translation": 4},
         coupled={"absorption": VALUE_BIAS}),
    Case("attention-plain", lambda: Attention(bias=False), sequences(4), {"general_linear": 4}),
    Case("attention-grouped", lambda: Attention(8, 4, bias=False, kv_heads=2), sequences(8), {"general_linear": 4}),
    Case("attention-rotary", lambda: Attention(8, 2, bias=False, rotary=True), sequences(8),
         {"general_linear": 2, "rotation": 4, "rescale": 4}),
    Case("multihead", MHA, sequences(4), {"general_linear": 4, "translation": 4},
         coupled={"absorption": VALUE_BIAS}),
    Case("gpt", FusedGPT, tokens(),
         {"scale": 1, "translation": 5 + 4 + 7 + 4 + 4 + 1 + 5 + 1, "rescale": 12, "general_linear": 4},
         coupled={"absorption": VALUE_BIAS + (12 + 4) + (5 + 4) + 4, "rotation": 3}),
    Case("gpt-tied", lambda: FusedGPT(tied=True), tokens(),
         {"translation": 5 + 4 + 4 + 1 + 5 + 1, "rescale": 9, "general_linear": 4},
         coupled={"absorption": VALUE_BIAS + (12 + 4) + (5 + 4)}),
    Case("gpt-rms", lambda: FusedGPT(norm=nn.RMSNorm), tokens(),
         {"scale": 1, "translation": 4 + 4, "rescale": 12, "general_linear": 4},
         coupled={"absorption": VALUE_BIAS, "rotation": 6}),
    Case("gpt-rms-one-plus", lambda: FusedGPT(norm=OnePlusNorm), tokens(),
         {"scale": 1, "translation": 4 + 4, "rescale": 12, "general_linear": 4},
         coupled={"absorption": VALUE_BIAS, "rotation": 6}),
    Case("gpt-rms-plain", lambda: FusedGPT(norm=partial(nn.RMSNorm, elementwise_affine=False)), tokens(),
         {"scale": 1, "translation": 4 + 4, "general_linear": 4, "rotation": 1},
         coupled={"absorption": VALUE_BIAS}),
    Case("gpt-unused-position", lambda: FusedGPT(norm=partial(nn.RMSNorm, elementwise_affine=False), positions=6),
         tokens(), {"scale": 1, "translation": 4 + 4, "general_linear": 4, "rotation": 1},
         coupled={"absorption": VALUE_BIAS}, beyond=4,
         why="a position that the data never reaches has no gradient: that is no symmetry of the model"),
    Case("lstm", lambda: Seq(nn.LSTM(2, 2, batch_first=True), L(2, 2)), sequences(2), {"translation": 8}),
    Case("gru", lambda: Seq(nn.GRU(2, 2, batch_first=True), L(2, 2)), sequences(2), {"translation": 4}),
    Case("rnn", lambda: Seq(nn.RNN(2, 3, batch_first=True, nonlinearity="relu"), L(3, 2)), sequences(2),
         {"rescale": 3, "translation": 3}),
]  # fmt: skip
