"""Parameterizations whose conservation laws are known, written without the package."""

import itertools

import torch
from torch import nn
from torch.func import functional_call


def normal(*shapes, seed=0):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=random, dtype=torch.float64) for shape in shapes]


def linear_pair(n, m, r):
    """Two linear layers U V^T."""
    return (lambda q: q[0] @ q[1].T), normal((n, r), (m, r))


def deep_linear(*widths):
    """The product of linear layers between these widths."""
    shapes = [(b, a) for a, b in itertools.pairwise(widths)]
    return (lambda q: torch.linalg.multi_dot(list(q[::-1])) if len(q) > 1 else q[0]), normal(*shapes)


def relu_pair(n, m, r):
    """Two layers with ReLU on enough inputs: u_j v_j^T of every unit by itself."""
    return (lambda q: torch.einsum("nj,mj->nmj", *q)), normal((n, r), (m, r))


def block(activation, *, skip=False, inputs=40, width=2, hidden=2):
    """U activation(V x), with x added or not."""
    (x,) = normal((inputs, width), seed=1)

    def phi(q):
        return activation(x @ q["v"].T) @ q["u"].T + (x if skip else 0)

    return phi, dict(zip("vu", normal((hidden, width), (width, hidden)), strict=True))


def attention(model_width, head, heads=1, biases=False, tokens=4, sequences=12):
    """Softmax attention with heads of a given size; outputs on random sequences."""
    (x,) = normal((sequences, tokens, model_width), seed=1)
    shapes = {}
    for h in range(heads):
        shapes |= {f"{name}{h}": (head, model_width) for name in "qkv"} | {f"o{h}": (model_width, head)}
        if biases:
            shapes |= {f"b{name}{h}": (head,) for name in "qkv"}
    if biases:
        shapes["bo"] = (model_width,)

    def phi(p):
        out = p["bo"] if biases else 0.0
        for h in range(heads):
            q, k, v = (x @ p[f"{n}{h}"].T + (p[f"b{n}{h}"] if biases else 0.0) for n in "qkv")
            out = out + torch.softmax(q @ k.mT, -1) @ v @ p[f"o{h}"].T
        return out

    return phi, {name: 0.6 * t for name, t in zip(shapes, normal(*shapes.values()), strict=True)}


def convolutions(channels=2, images=8, size=4):
    """Convolution, ReLU, convolution."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, channels, 2, bias=False), nn.ReLU(), nn.Conv1d(channels, 1, 2, bias=False))
    (x,) = normal((images, 1, size), seed=1)
    theta = {name: p.detach() for name, p in model.double().named_parameters()}
    return (lambda q: functional_call(model, q, (x,))), theta
