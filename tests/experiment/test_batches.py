"""A batch is a function of its step, augmentation of its choice, a subset of its size."""

import pytest
import torch

from nld.experiment.datasets import data
from nld.experiment.training import batches


def test_law_an_epoch_shows_every_image_once_and_a_step_always_the_same():
    digits = data.load("digits", train_size=130)
    order = batches.BatchOrder(digits, 32, seed=5)
    steps = [order(step)[0] for step in range(12)]
    assert order.per_epoch == 4
    for epoch in range(3):
        seen = torch.cat(steps[4 * epoch : 4 * epoch + 4])
        assert len(seen.unique()) == 128
    again = batches.BatchOrder(digits, 32, seed=5)
    assert all(torch.equal(again(step)[0], steps[step]) for step in (11, 0, 5))
    assert not torch.equal(steps[0], steps[4])


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (1, 1), (2, 1)])
def test_augmentation_equals_padding_cropping_and_flipping(flip, top, left):
    digits = data.load("digits")
    choice = torch.tensor([[7], [flip], [top], [left]])
    images, labels = batches.batch(digits, choice, torch.float64)
    plain = digits.normalized(digits.train_images[7], torch.float64)
    if flip:
        plain = plain.flip(-1)
    rows, columns = slice(top, top + 8), slice(left, left + 8)
    expected = torch.nn.functional.pad(plain, (1, 1, 1, 1))[:, rows, columns]
    torch.testing.assert_close(images[0], expected)
    assert labels.item() == digits.train_labels[7]


def test_subsets_and_label_noise_are_the_same_for_all_runs():
    clean, noisy = data.load("digits", train_size=200), data.load("digits", train_size=200, label_noise=0.2)
    assert torch.equal(clean.train_images, noisy.train_images)
    assert int((clean.train_labels != noisy.train_labels).sum()) == 40
    assert torch.equal(noisy.train_labels, data.load("digits", train_size=200, label_noise=0.2).train_labels)
    assert torch.equal(clean.test_labels, noisy.test_labels)
    with pytest.raises(ValueError, match="between 2 and the 1437"):
        data.load("digits", train_size=5000)
