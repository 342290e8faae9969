"""Data: what is read is what was stored, and what is wrong is named with its cure."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nld.errors import DataError
from nld.experiment import Experiment
from nld.experiment.datasets import cache, data, fetch
from nld.experiment.datasets.fetch import Source
from nld.experiment.runs import run

TINY = Source(name="tiny", url="", sha256="", folder="tiny-200", classes=3, train=12, test=6, size=8)
CIFAR = replace(fetch.SOURCES["cifar-10"], name="small-cifar", train=10, test=4)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_CACHE", str(tmp_path / "cache"))
    cache.read.cache_clear()
    yield tmp_path
    cache.read.cache_clear()


@pytest.fixture
def official(tmp_path):
    """Tiny ImageNet's layout with images of one colour, which JPEG keeps to within a grey level or two."""
    folder, colours = tmp_path / "tiny-200", {}
    names = [f"n{i:03}" for i in (2, 0, 1)]  # wnids.txt is not in the order of names
    for label, name in enumerate(names):
        (folder / "train" / name / "images").mkdir(parents=True)
        for i in range(4):
            colours["train", label, i] = _picture(folder / "train" / name / "images" / f"{name}_{i}.JPEG", label, i)
    (folder / "wnids.txt").write_text("\n".join(names) + "\n")
    (folder / "val" / "images").mkdir(parents=True)
    lines = []
    for i in range(6):
        _picture(folder / "val" / "images" / f"val_{i}.JPEG", i % 3, 9, grey=i == 0)
        lines.append(f"val_{i}.JPEG\t{names[i % 3]}\t0\t0\t7\t7\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


def _picture(path: Path, label: int, index: int, grey: bool = False):
    colour = (80 * label, 10 * index, 200)
    image = Image.new("L", (8, 8), 77) if grey else Image.new("RGB", (8, 8), colour)
    image.save(path, "JPEG", quality=100, subsampling=0)
    return colour


def test_image_folders_come_back_in_order(home, official):
    cache.build(TINY, official, workers=1)
    meta, arrays = cache.read(TINY)
    np.testing.assert_array_equal(arrays["train-labels"], np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(arrays["test-labels"], [0, 1, 2, 0, 1, 2])
    colours = arrays["train-images"].reshape(12, 3, -1).mean(2)
    expected = [(80 * label, 10 * i, 200) for label in range(3) for i in range(4)]
    np.testing.assert_allclose(colours, expected, atol=2)
    np.testing.assert_allclose(arrays["test-images"][0], 77, atol=2)
    pixels = arrays["train-images"].transpose(1, 0, 2, 3).reshape(3, -1).astype(float)
    np.testing.assert_allclose(meta["mean"], pixels.mean(1), rtol=1e-12)
    np.testing.assert_allclose(meta["scale"], pixels.std(1), atol=1e-6)


def test_cifar_records_come_back(home, tmp_path):
    folder = tmp_path / CIFAR.folder
    folder.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (14, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    for i in range(5):
        records[2 * i : 2 * i + 2].tofile(folder / f"data_batch_{i + 1}.bin")
    records[10:].tofile(folder / "test_batch.bin")
    cache.build(CIFAR, folder)
    _, arrays = cache.read(CIFAR)
    np.testing.assert_array_equal(arrays["train-images"], records[:10, 1:].reshape(10, 3, 32, 32))
    np.testing.assert_array_equal(arrays["test-labels"], records[10:, 0])
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match="nld data fetch small-cifar --again"):
        cache.build(CIFAR, folder)


@pytest.mark.parametrize("kind", ["missing", "truncated", "altered", "meta missing", "meta damaged", "label"])
def test_a_damaged_cache_names_the_command_that_mends_it(home, official, kind):
    folder = cache.build(TINY, official, workers=1)
    file = folder / ("train-labels" if kind == "label" else "meta.json" if "meta" in kind else "train-images")
    content = bytearray(file.read_bytes())
    if "missing" in kind:
        file.unlink()
    elif kind == "truncated":
        file.write_bytes(content[:-1])
    else:
        content[0] ^= 1
        file.write_bytes(content)
    with pytest.raises(DataError, match="nld data fetch tiny"):
        cache.read(TINY)


@pytest.mark.parametrize("kind", ["missing image", "damaged image", "wrong size", "no wnids", "wrong class"])
def test_a_damaged_folder_names_what_is_wrong(home, official, kind):
    image = official / "train" / "n001" / "images" / "n001_2.JPEG"
    if kind == "missing image":
        image.unlink()
    elif kind == "damaged image":
        image.write_bytes(image.read_bytes()[:20])
    elif kind == "wrong size":
        Image.new("RGB", (9, 8)).save(image)
    elif kind == "no wnids":
        (official / "wnids.txt").unlink()
    else:
        annotations = official / "val" / "val_annotations.txt"
        annotations.write_text(annotations.read_text().replace("n000", "n999"))
    with pytest.raises(DataError, match="nld data fetch tiny --again"):
        cache.build(TINY, official, workers=1)
    assert not (cache.root() / "tiny").exists()
    assert not list(cache.root().glob(".tiny*"))


def test_without_data_the_run_says_how_to_get_them(home):
    with pytest.raises(DataError, match=r"nld data fetch cifar-10$"):
        run(Experiment(dataset="cifar-10"))
    with pytest.raises(
        ValueError, match="must be one of digits, tiny-imagenet, tiny-imagenet-20, cifar-10, got 'mnist'"
    ):
        run(Experiment(dataset="mnist"))


def test_fetch_command_from_a_folder(home, official, monkeypatch, capsys):
    from nld.cli import main

    monkeypatch.setitem(fetch.SOURCES, "tiny", TINY)
    assert main(["data", "verify", "tiny"]) == 1
    assert "nld data fetch tiny" in capsys.readouterr().err
    monkeypatch.setenv("NLD_DATA", str(official.parent))
    assert main(["data", "fetch", "tiny", "--jobs", "1"]) == 0
    assert main(["data", "verify", "tiny"]) == 0
    shutil.rmtree(official)
    assert main(["data", "fetch", "tiny"]) == 0  # it is here: nothing is needed
    assert main(["data", "fetch", "imagenet"]) == 2


def test_every_tenth_class_is_taken_and_numbered_anew(monkeypatch):
    labels = torch.arange(30) % 30
    images = labels.to(torch.uint8)[:, None, None, None].expand(30, 3, 2, 2)
    moments = {"mean": torch.zeros(3, 1, 1), "scale": torch.ones(3, 1, 1)}
    whole = data.Data(
        name="tiny-imagenet", classes=30, train_images=images, train_labels=labels, test_images=images.flip(0),
        test_labels=labels.flip(0), checksum="c", **moments,
    )  # fmt: skip
    monkeypatch.setitem(data.DATASETS, "tiny-imagenet", lambda: whole)
    part = data.tiny_imagenet_20.__wrapped__()
    assert (part.name, part.classes, part.checksum) == ("tiny-imagenet-20", 3, "c")
    assert part.train_labels.tolist() == [0, 1, 2]
    assert part.test_labels.tolist() == [2, 1, 0]
    assert part.train_images[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert part.test_images[:, 0, 0, 0].tolist() == [20, 10, 0]
