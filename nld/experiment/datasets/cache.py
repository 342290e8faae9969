"""The cache of decoded images: plain files of bytes that are mapped into memory, written once and checked when read.

``images`` of a part is n × 3 × size × size uint8, ``labels`` n int16; ``meta.json`` has their shapes and checksums.
"""

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from nld.errors import DataError, InvalidInput
from nld.experiment.datasets.fetch import Source
from nld.results import seals, store

_FORMAT = 2
_CHUNK = 1000  # images that a process decodes at a time
_PARTS = ("train", "test")


def root() -> Path:
    """Folder of all caches: ``NLD_CACHE``, or the user's cache folder. It outlives ``make clean``."""
    import pooch

    return Path(os.environ.get("NLD_CACHE") or pooch.os_cache("nld"))


def build(
    source: Source, official: Path, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Decode the official folder into the cache, in parallel, and put the cache in its place in one move.

    Raises:
        DataError: images are missing or cannot be decoded; the message names the first and the command that mends it.
    """
    root().mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{source.name}.", dir=root()))
    try:
        fill = _fill_cifar if source.folder == "cifar-10-batches-bin" else _fill_image_folders
        fill(source, official, temporary, workers or os.cpu_count() or 1, progress or (lambda done, total: None))
        mean, scale = _moments(_mapped(temporary, source, "train", "r")[0])
        files = {file.name: seals.digest(file) for file in sorted(temporary.iterdir())}
        checksum = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        meta = {"format": _FORMAT, "files": files, "checksum": checksum, "mean": mean, "scale": scale}
        store.write_sealed(temporary / "meta.json", meta)
        target = root() / source.name
        if target.exists():
            shutil.rmtree(target)
        temporary.chmod(0o755)
        temporary.rename(target)
        read.cache_clear()
        return target
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@functools.cache
def read(source: Source) -> tuple[dict, dict[str, np.ndarray]]:
    """Meta data and the arrays ``train-images``, ``train-labels``, ``test-images``, ``test-labels``, mapped.

    Raises:
        DataError: the cache is missing, truncated or altered; the message ends with the command that mends it.
    """
    folder = root() / source.name
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if seals.flaw(folder / "meta.json") or meta["format"] != _FORMAT:
            raise ValueError
    except FileNotFoundError as error:
        raise DataError(f"{source.name} is not in {root()}. Fetch it: {source.command}") from error
    except (ValueError, KeyError) as error:
        raise DataError(f"{folder / 'meta.json'} is damaged. Mend it: {source.command} --again") from error
    for name, expected in meta["files"].items():
        path = folder / name
        if not path.exists() or seals.digest(path) != expected:
            state = "truncated or altered: its checksum differs" if path.exists() else "missing"
            raise DataError(f"{path} is {state}. Mend it: {source.command} --again")
    return meta, {
        f"{part}-{kind}": values
        for part in _PARTS
        for kind, values in zip(("images", "labels"), _mapped(folder, source, part, "c"), strict=True)
    }


def _mapped(folder: Path, source: Source, part: str, mode) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a part in their files."""
    count = getattr(source, part)
    images = np.memmap(folder / f"{part}-images", np.uint8, mode, shape=(count, 3, source.size, source.size))
    return images, np.memmap(folder / f"{part}-labels", np.int16, mode, shape=(count,))


def _moments(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in bytes, exactly: from how often each value occurs."""
    counts = np.zeros((3, 256))
    for start in range(0, len(images), _CHUNK):
        for channel in range(3):
            counts[channel] += np.bincount(images[start : start + _CHUNK, channel].ravel(), minlength=256)
    values, total = np.arange(256), counts.sum(1)
    mean = counts @ values / total
    return mean.tolist(), np.sqrt(counts @ values**2 / total - mean**2).tolist()


def _fill_image_folders(source: Source, official: Path, target: Path, workers: int, progress) -> None:
    """Tiny ImageNet's layout: wnids.txt, train/<class>/images/*.JPEG, val/images/*.JPEG, val/val_annotations.txt."""
    listed = {part: list(_listed(source, official, part)) for part in _PARTS}
    for part in _PARTS:
        if len(listed[part]) != getattr(source, part):
            raise DataError(
                f"{official} holds {len(listed[part])} {part} images of {source.name}, expected "
                f"{getattr(source, part)}. Fetch it whole: {source.command} --again"
            )
        _, labels = _mapped(target, source, part, "w+")
        labels[:] = [label for _, label in listed[part]]
    chunks = [
        (target, source, part, start, [str(path) for path, _ in listed[part][start : start + _CHUNK]])
        for part in _PARTS
        for start in range(0, len(listed[part]), _CHUNK)
    ]
    done = 0
    try:
        for decoded in _decoded(chunks, workers):
            done += decoded
            progress(done, source.train + source.test)
    except OSError as error:
        raise DataError(f"{error}. Fetch it again: {source.command} --again") from error


def _decoded(chunks: list[tuple], workers: int) -> Iterator[int]:
    """Numbers of images decoded, as the chunks are done."""
    if workers == 1 or len(chunks) <= len(_PARTS):
        yield from (_decode(*chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from (job.result() for job in as_completed([pool.submit(_decode, *chunk) for chunk in chunks]))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _listed(source: Source, official: Path, part: str) -> Iterator[tuple[Path, int]]:
    """Path and label of each image, in an order that depends on names only; labels are lines of wnids.txt."""
    try:
        classes = {name: label for label, name in enumerate((official / "wnids.txt").read_text().split())}
        if part == "train":
            for name, label in classes.items():
                for path in sorted((official / "train" / name / "images").glob("*.JPEG")):
                    yield path, label
        else:
            for line in sorted((official / "val" / "val_annotations.txt").read_text().splitlines()):
                file, name = line.split("\t")[:2]
                yield official / "val" / "images" / file, classes[name]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{official} has not the official layout of {source.name} ({error}). Fetch it: {source.command} --again"
        ) from error


def _decode(target: Path, source: Source, part: str, start: int, paths: list[str]) -> int:
    """Decode files into their places of the mapped images."""
    from PIL import Image

    size, (images, _) = source.size, _mapped(target, source, part, "r+")
    for index, path in enumerate(paths, start):
        try:
            with Image.open(path) as image:
                if image.size != (size, size):  # before anything is decoded: a small file can promise a huge picture
                    width, height = image.size
                    raise InvalidInput(f"{path} is {width}×{height} pixels, expected {size}×{size}")
                pixels = np.asarray(image.convert("RGB"))
        except ValueError as error:
            raise OSError(str(error)) from error
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise OSError(f"{path} cannot be decoded ({error})") from error
        images[index] = pixels.transpose(2, 0, 1)
    return len(paths)


def _fill_cifar(source: Source, official: Path, target: Path, workers: int, progress) -> None:
    """The binary version of CIFAR-10: records of one label byte and 3072 pixels, channel by channel."""
    files = {"train": sorted(official.glob("data_batch_*.bin")), "test": [official / "test_batch.bin"]}
    for part in _PARTS:
        count = getattr(source, part)
        try:
            content = np.concatenate([np.fromfile(file, np.uint8) for file in files[part]])
            records = content.reshape(count, 1 + 3 * source.size**2)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{official} has not the {count} {part} images of {source.name}. Fetch it: {source.command} --again"
            ) from error
        images, labels = _mapped(target, source, part, "w+")
        images[:], labels[:] = records[:, 1:].reshape(images.shape), records[:, 0]
        progress(count, source.train + source.test)
