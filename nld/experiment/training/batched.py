"""The forward pass of many networks of one architecture as one program.

Activations are laid out member × channel × height × width × image, the image last: a convolution is then one batched
matrix product of the filters with shifted copies of its input, a normalization reads each channel in one stretch, and
neither transposes. On a CPU this beats grouped convolution and `torch.func.vmap`: see benchmarks/ensemble.py.
Layers without an entry in `LAYERS` are mapped over the members by `torch.func.vmap`.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

Parameters = dict[str, torch.Tensor]  # name in the network -> member × shape


def forward(network: nn.Sequential, parameters: Parameters, images: torch.Tensor) -> torch.Tensor:
    """Logits (member × image × class) in training mode: normalizations use the statistics of each member's batch.

    Args:
        network: gives the architecture; its own parameters are not used.
        parameters: stacked along a first dimension, one slice per member.
        images: member × image × channel × height × width.
    """
    hidden = images.permute(0, 2, 3, 4, 1)
    for name, layer in network.named_children():
        own = {key: parameters[f"{name}.{key}"] for key, _ in layer.named_parameters()}
        hidden = LAYERS.get(type(layer), _mapped)(layer, own, hidden)
    return hidden.transpose(1, 2)


def _convolution(layer: nn.Conv2d, own: Parameters, hidden: torch.Tensor) -> torch.Tensor:
    geometry = (layer.kernel_size[0], layer.stride[0], layer.padding[0])
    if geometry != tuple(pair[1] for pair in (layer.kernel_size, layer.stride, layer.padding)) or layer.groups != 1:  # pyright: ignore
        return _mapped(layer, own, hidden)
    patches = _Patches.apply(hidden, *geometry)
    members, _, _, height, width, images = patches.shape
    out = own["weight"].flatten(2) @ patches.reshape(members, -1, height * width * images)
    if "bias" in own:
        out = out + own["bias"][:, :, None]
    return out.view(members, -1, height, width, images)


class _Patches(torch.autograd.Function):
    """Shifted copies of the input under each weight of a kernel: member × channel × weight × height × width × image.

    Its own backward pass adds the copies into one buffer; that of nine slices would fill nine.
    """

    @staticmethod
    def forward(ctx, hidden, kernel, stride, padding):
        ctx.geometry = kernel, stride, padding, hidden.shape
        hidden = F.pad(hidden, (0, 0, *[padding] * 4))
        return torch.stack([hidden[window] for window in _windows(hidden.shape, kernel, stride)], 2)

    @staticmethod
    def backward(ctx, grad):
        kernel, stride, padding, shape = ctx.geometry
        members, channels, height, width, images = shape
        total = grad.new_zeros(members, channels, height + 2 * padding, width + 2 * padding, images)
        for index, window in enumerate(_windows(total.shape, kernel, stride)):
            total[window] += grad[:, :, index]
        inner = slice(padding, -padding or None)
        return total[:, :, inner, inner], None, None, None


def _windows(padded: torch.Size, kernel: int, stride: int):
    """Slices of a padded input that each weight of the kernel sees, in the order of the weights."""
    last = [(size - kernel) // stride * stride + 1 for size in padded[2:4]]
    for row in range(kernel):
        for column in range(kernel):
            yield ..., slice(row, row + last[0], stride), slice(column, column + last[1], stride), slice(None)


def _normalization(layer: nn.BatchNorm2d, own: Parameters, hidden: torch.Tensor) -> torch.Tensor:
    flat = hidden.reshape(1, own["weight"].numel(), -1)
    weight, bias = own["weight"].flatten(), own["bias"].flatten()
    return F.batch_norm(flat, None, None, weight, bias, training=True, eps=layer.eps).view(hidden.shape)


def _pooling(layer: nn.MaxPool2d, own: Parameters, hidden: torch.Tensor) -> torch.Tensor:
    size = int(layer.kernel_size)  # pyright: ignore[reportArgumentType]
    if layer.stride != size or layer.padding or hidden.shape[2] % size or hidden.shape[3] % size:
        return _mapped(layer, own, hidden)
    return hidden.unflatten(3, (-1, size)).unflatten(2, (-1, size)).amax((3, 5))


def _linear(layer: nn.Linear, own: Parameters, hidden: torch.Tensor) -> torch.Tensor:
    if hidden.dim() != 3:
        return _mapped(layer, own, hidden)
    if "bias" not in own:
        return torch.bmm(own["weight"], hidden)
    return torch.baddbmm(own["bias"][:, :, None], own["weight"], hidden)


def _mapped(layer: nn.Module, own: Parameters, hidden: torch.Tensor) -> torch.Tensor:
    """The layer as it is, with the image first as it expects, mapped over the members."""
    return vmap(lambda parameters, x: functional_call(layer, parameters, (x,)))(own, hidden.movedim(-1, 1)).movedim(
        1, -1
    )


LAYERS = {
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _normalization,
    nn.BatchNorm2d: _normalization,
    nn.Linear: _linear,
    nn.MaxPool2d: _pooling,
    nn.ReLU: lambda layer, own, hidden: hidden.relu(),
    nn.Flatten: lambda layer, own, hidden: hidden.flatten(1, -2),
}
