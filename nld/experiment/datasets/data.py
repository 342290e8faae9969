"""Data sets as arrays on the device: bytes as they were stored, normalized where they are used."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from nld.errors import InvalidInput

_SUBSET_SEED = 20210514  # which training images and labels `train_size` and `label_noise` choose; one for all runs


@dataclass(frozen=True, kw_only=True)
class Data:
    """Images (uint8, n × channels × height × width) and labels (int64, n), with per-channel mean and scale in bytes."""

    name: str
    classes: int
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    validation_images: torch.Tensor | None = None  # training images that are held out, if any
    validation_labels: torch.Tensor | None = None
    mean: torch.Tensor
    scale: torch.Tensor
    checksum: str

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def normalized(self, images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """``(images − mean) / scale`` per channel, on the device of the images."""
        return (images.to(dtype) - self.mean.to(dtype)) / self.scale.to(dtype)

    def part(self, name: str) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Images and labels that "test" or "validation" evaluates, or None."""
        images, labels = getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")
        return None if images is None else (images, labels)

    def sample(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Training images and labels, always the same, of all classes: data sets come sorted by class."""
        if size >= len(self.train_labels):
            return self.train_images, self.train_labels
        chosen = _fixed_order(len(self.train_labels))[:size].to(self.train_labels.device)
        return self.train_images[chosen], self.train_labels[chosen]

    def to(self, device: str) -> "Data":
        """The same data with all tensors on `device`."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return replace(self, **tensors)


def _fixed_order(count: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_SUBSET_SEED))


@functools.cache
def digits() -> Data:
    """The 1797 handwritten digits of scikit-learn, 8×8 with 17 grey levels: 1437 to train, 360 to test."""
    import hashlib

    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = torch.from_numpy(images[order].astype(np.uint8).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(labels[order].astype(np.int64))
    train, test = slice(0, 1437), slice(1437, None)
    return Data(
        name="digits",
        classes=10,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        mean=images[train].double().mean((0, 2, 3), keepdim=True)[0],
        scale=images[train].double().std((0, 2, 3), keepdim=True)[0],
        checksum=hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest(),
    )


@functools.cache
def _cached(name: str) -> Data:
    from nld.experiment.datasets import cache
    from nld.experiment.datasets.fetch import SOURCES

    meta, arrays = cache.read(SOURCES[name])
    return Data(
        name=name,
        classes=SOURCES[name].classes,
        train_images=torch.from_numpy(arrays["train-images"]),
        train_labels=torch.from_numpy(arrays["train-labels"].astype(np.int64)),
        test_images=torch.from_numpy(arrays["test-images"]),
        test_labels=torch.from_numpy(arrays["test-labels"].astype(np.int64)),
        mean=torch.tensor(meta["mean"], dtype=torch.float64).reshape(3, 1, 1),
        scale=torch.tensor(meta["scale"], dtype=torch.float64).reshape(3, 1, 1),
        checksum=meta["checksum"],
    )


@functools.cache
def tiny_imagenet_20() -> Data:
    """Every tenth class of Tiny ImageNet: 10,000 training and 1,000 test images; means and scales of the whole."""
    data = DATASETS["tiny-imagenet"]()
    parts = {}
    for part in ("train", "test"):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        chosen = labels % 10 == 0
        parts |= {f"{part}_images": images[chosen], f"{part}_labels": labels[chosen] // 10}
    return replace(data, name="tiny-imagenet-20", classes=data.classes // 10, **parts)


DATASETS: dict[str, Callable[[], Data]] = {
    "digits": digits,
    "tiny-imagenet": functools.partial(_cached, "tiny-imagenet"),  # its validation images test
    "tiny-imagenet-20": tiny_imagenet_20,
    "cifar-10": functools.partial(_cached, "cifar-10"),
}


def load(
    name: str,
    *,
    train_size: int | None = None,
    test_size: int | None = None,
    validation_size: int = 0,
    label_noise: float = 0.0,
) -> Data:
    """Data set `name`, with the fixed subsets of images and the fixed wrong labels that are asked for.

    Validation images are the last of the permutation whose first are the training images; their labels are right.

    Raises:
        ValueError: no such data set, or more images asked for than there are.
    """
    if name not in DATASETS:
        raise InvalidInput(f"unknown data set {name!r}; there are {', '.join(DATASETS)}")
    data = DATASETS[name]()
    if validation_size:
        total = len(data.train_labels)
        if validation_size + (train_size or 2) > total:
            raise InvalidInput(
                f"expected validation_size and train_size to share the {total} training images of {name}, got "
                f"{validation_size} and {train_size}"
            )
        rest = total - validation_size
        held = _fixed_order(total)[rest:]
        train_size = rest if train_size is None else train_size
        data = replace(data, validation_images=data.train_images[held], validation_labels=data.train_labels[held])
    for part, size in (("train", train_size), ("test", test_size)):
        if size is None:
            continue
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        if not 2 <= size <= len(labels):
            raise InvalidInput(f"{part}_size must be between 2 and the {len(labels)} images of {name}, got {size}")
        chosen = _fixed_order(len(labels))[:size]
        data = replace(data, **{f"{part}_images": images[chosen], f"{part}_labels": labels[chosen]})
    if label_noise:
        labels = data.train_labels.clone()
        generator = torch.Generator().manual_seed(_SUBSET_SEED)
        wrong = torch.randperm(len(labels), generator=generator)[: round(label_noise * len(labels))]
        labels[wrong] += torch.randint(1, data.classes, (len(wrong),), generator=generator)
        data = replace(data, train_labels=labels % data.classes)
    return data
