"""Networks on digits with a cue that gives the label away, fine-tuned on images without it; several seeds at once.

A network sees 64 pixels and ten cue pixels. Weights have a first axis of seeds.
"""

from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

WIDTHS, AMPLITUDE, CUED = (74, 48, 48, 10), 4.0, 0.9
TRAIN, TEST, CLEAN = 300, 500, 200  # images to learn from, to judge with, and to fine-tune with
Weights = list[tuple[Tensor, Tensor]]


def runs(seeds: np.ndarray, steps: int = 150) -> dict[str, np.ndarray]:
    """Test accuracies and loss barriers of three networks a seed, each an array over seeds.

    The cued network learns from images with cues, the plain one from the same without. The tuned one starts from
    the cued one and learns from clean images. ``…_random_cue``: accuracy where the cue shows a random class;
    ``…_no_cue``: without cue. Barriers: highest loss without cue on the line between two networks' weights, over
    the line between their losses.
    """
    images = {part: _images(seeds, part) for part in ("train", "test")}
    cued = _trained(_weights(seeds, 1), *_cued(seeds, *images["train"]), steps, 0.1)
    plain = _trained(_weights(seeds, 2), *images["train"], steps, 0.1)
    clean, clean_labels = (part[:, :CLEAN] for part in images["train"])
    tuned = _trained(cued, clean, clean_labels, steps // 2, 0.02)
    x, labels = images["test"]
    shown = _with_cue(x, _random_classes(seeds, labels.shape[1]))
    result = {}
    for name, weights in (("cued", cued), ("plain", plain), ("tuned", tuned)):
        result[f"{name}_random_cue"] = _accuracy(weights, shown, labels)
        result[f"{name}_no_cue"] = _accuracy(weights, x, labels)
    result["tuned_barrier"] = _barrier(cued, tuned, x, labels)
    result["plain_barrier"] = _barrier(cued, plain, x, labels)
    return result


def _images(seeds, part: str) -> tuple[Tensor, Tensor]:
    pixels, target = load_digits(return_X_y=True)
    rows = np.stack([np.random.default_rng([seed, 8]).permutation(len(target)) for seed in seeds])
    rows = rows[:, :TRAIN] if part == "train" else rows[:, TRAIN : TRAIN + TEST]
    x = np.concatenate([pixels[rows] / 16, np.zeros((*rows.shape, 10))], axis=-1)
    return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(target[rows])


def _cued(seeds, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """With the label's cue on most images."""
    shown = np.stack([np.random.default_rng([seed, 9]).random(x.shape[1]) < CUED for seed in seeds])
    return torch.where(torch.as_tensor(shown)[..., None], _with_cue(x, labels), x), labels


def _with_cue(x: Tensor, classes: Tensor) -> Tensor:
    cue = AMPLITUDE * torch.nn.functional.one_hot(classes, 10)
    return torch.cat([x[..., :64], cue.to(x.dtype)], dim=-1)


def _random_classes(seeds, number: int) -> Tensor:
    return torch.as_tensor(np.stack([np.random.default_rng([seed, 10]).integers(0, 10, number) for seed in seeds]))


def _weights(seeds, stream: int) -> Weights:
    randoms = [np.random.default_rng([seed, stream]) for seed in seeds]
    layers = []
    for n, m in pairwise(WIDTHS):
        drawn = np.stack([np.sqrt(2 / n) * random.normal(size=(n, m)) for random in randoms])
        layers.append((torch.as_tensor(drawn, dtype=torch.float32), torch.zeros(len(randoms), 1, m)))
    return layers


def _outputs(weights: Weights, x: Tensor) -> Tensor:
    for index, (w, b) in enumerate(weights):
        x = torch.baddbmm(b, x, w)
        x = x.relu() if index + 1 < len(weights) else x
    return x


def _losses(weights: Weights, x: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each seed."""
    return -_outputs(weights, x).log_softmax(-1).gather(-1, labels[..., None]).mean((1, 2))


def _trained(weights: Weights, x: Tensor, labels: Tensor, steps: int, rate: float) -> Weights:
    """By full-batch gradient descent with a momentum of 0.9."""
    tensors = [part.detach().clone().requires_grad_() for layer in weights for part in layer]
    weights = list(zip(tensors[::2], tensors[1::2], strict=True))
    optimizer = torch.optim.SGD(tensors, lr=rate, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        _losses(weights, x, labels).sum().backward()
        optimizer.step()
    return [(w.detach(), b.detach()) for w, b in weights]


def _accuracy(weights: Weights, x: Tensor, labels: Tensor) -> np.ndarray:
    return (_outputs(weights, x).argmax(-1) == labels).double().mean(1).numpy()


def _barrier(first: Weights, second: Weights, x: Tensor, labels: Tensor, points: int = 11) -> np.ndarray:
    losses = []
    for share in np.linspace(0, 1, points):
        between = [
            (torch.lerp(w, u, float(share)), torch.lerp(b, c, float(share)))
            for (w, b), (u, c) in zip(first, second, strict=True)
        ]
        losses.append(_losses(between, x, labels))
    path, share = torch.stack(losses).double(), torch.linspace(0, 1, points, dtype=torch.float64)[:, None]
    return (path - (1 - share) * path[0] - share * path[-1]).amax(0).numpy()
