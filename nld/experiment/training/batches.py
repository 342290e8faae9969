"""Batches: which images each step sees, cropped, flipped and normalized on the device that holds them.

What a step sees is a pure function of (seed, step), drawn on the CPU: every device, the sequential loop, an ensemble
and a resumed run see the same batches, and no state of a random generator has to be saved.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch

from nld.errors import InvalidInput
from nld.experiment.datasets.data import Data


class BatchOrder:
    """Training images of each step: a fresh permutation every epoch, an incomplete batch dropped.

    Called with a step it returns its *choice* (int64, 1 or 4 × batch_size): the image, and with augmentation whether
    it is flipped and the row and column at which a crop of the padded image starts.

    Raises:
        ValueError: a batch is larger than the training set.
    """

    def __init__(self, data: Data, batch_size: int, seed: int, augment: bool = False):
        self.size, self.batch_size, self.seed = len(data.train_labels), batch_size, seed
        if batch_size > self.size:
            raise InvalidInput(f"batch_size {batch_size} exceeds the {self.size} training images; lower batch_size")
        self.shifts = 2 * padding(data) + 1 if augment else 0
        self.device = data.train_labels.device
        self.per_epoch = self.size // batch_size
        self._epoch, self._choices = -1, torch.empty(0)

    def __call__(self, step: int) -> torch.Tensor:
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._choices = epoch, self._draw(epoch)
        return self._choices[:, index * self.batch_size : (index + 1) * self.batch_size]

    def _draw(self, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        rows = [torch.randperm(self.size, generator=generator)]
        if self.shifts:
            for values in (2, self.shifts, self.shifts):
                rows.append(torch.randint(values, (self.size,), generator=generator))
        return torch.stack(rows).to(self.device)


def mini_batches(
    data: Data, order: BatchOrder | Sequence[BatchOrder], steps: Iterable[int], dtype: torch.dtype
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images and labels of each of the steps; with several orders, of each member of an ensemble along a first axis."""
    for step in steps:
        alone = isinstance(order, BatchOrder)
        choice = order(step) if alone else torch.stack([each(step) for each in order], 1)
        yield batch(data, choice, dtype)


def padding(data: Data) -> int:
    """Pixels added on each side before a random crop: an eighth of the width (1 for digits, 4 for CIFAR, 8 at 64)."""
    return data.image[2] // 8


def batch(data: Data, choice: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (… × channels × height × width, normalized) and labels (…) of a choice (1 or 4 × …).

    With augmentation, pixels outside the image take the mean: 0 after normalization.
    """
    index = choice[0].flatten()
    if len(choice) == 1:
        images = data.normalized(data.train_images[index], dtype)
    else:
        images = _augmented(data, index, *choice[1:].flatten(1), dtype=dtype)
    return images.unflatten(0, choice.shape[1:]), data.train_labels[choice[0]]


def _augmented(data: Data, index, flip, top, left, *, dtype: torch.dtype) -> torch.Tensor:
    _, height, width = data.image
    pad = padding(data)
    rows = torch.arange(height, device=index.device) + (top - pad)[:, None]
    columns = torch.arange(width, device=index.device) + (left - pad)[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    columns = torch.where(flip[:, None] == 1, width - 1 - columns, columns)
    # the advanced indices stand apart, so the result is image × row × column × channel: channels last for free
    images = data.train_images[index[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return data.normalized(images, dtype) * inside
