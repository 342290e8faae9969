"""Data: what is read is what was stored, what is wrong is named with its cure, a batch is a function of its step."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nld.experiment import Experiment, batches, cache, data, fetch, run
from nld.experiment.fetch import DataError, Source

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
    with pytest.raises(ValueError, match="there are digits, tiny-imagenet, cifar-10"):
        run(Experiment(dataset="mnist"))


# -- archives --------------------------------------------------------------------------------------------------------


def _zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _tar(path, members, **special):
    with tarfile.open(path, "w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in special.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [_zip, _tar])
@pytest.mark.parametrize("name", ["../evil", "/tmp/nld-evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_archive_members_outside_are_refused(tmp_path, pack, name):
    archive = pack(tmp_path / "archive", {"good": b"1", name: b"2"})
    with pytest.raises(DataError, match="outside"):
        fetch.official_folder(TINY, [archive], tmp_path / "scratch" / "deep")
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = _tar(tmp_path / "archive", {"tiny-200/x": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        fetch.unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("pack", [_zip, _tar])
def test_parts_of_the_layout_from_several_archives(tmp_path, pack):
    suffix = ".zip" if pack is _zip else ".tar.xz"
    (tmp_path / "given").mkdir()
    for part in "ab":
        pack(tmp_path / "given" / f"{part}{suffix}", {f"tiny-200/{part}/file": part.encode()})
    folder = fetch.official_folder(TINY, [tmp_path / "given"], tmp_path / "scratch")
    assert (folder / "a" / "file").read_text() + (folder / "b" / "file").read_text() == "ab"
    assert fetch.official_folder(TINY, [folder], tmp_path / "s") == folder
    assert fetch.official_folder(TINY, [folder.parent], tmp_path / "s") == folder


@pytest.mark.parametrize("pack", [_zip, _tar])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, pack, keep):
    content = np.random.default_rng(0).bytes(20000)
    archive = pack(tmp_path / "archive", {"tiny-200/file": content})
    archive.write_bytes(archive.read_bytes()[: int(keep * archive.stat().st_size)])
    with pytest.raises(DataError, match="fetch it again"):
        fetch.official_folder(TINY, [archive], tmp_path / "scratch")


# -- download --------------------------------------------------------------------------------------------------------


@pytest.fixture
def host():
    """A host on the loopback that breaks its first connections off and counts what it sends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body, start = state["body"], 0
            if state["ranges"] and (asked := self.headers.get("Range")):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = len(body) if not state["breaks"] else start + (len(body) - start) // 2
            state["breaks"] -= bool(state["breaks"])
            # Counted before they go: once the last byte has left, the test no longer waits for this thread.
            state["sent"] += end - start
            self.wfile.write(body[start:end])

        def log_message(self, format, *args):
            pass

    state = {"body": np.random.default_rng(0).bytes(300_000), "ranges": True, "breaks": 0, "sent": 0}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    digest = hashlib.sha256(state["body"]).hexdigest()
    yield state, replace(TINY, url=f"http://127.0.0.1:{server.server_port}/file.bin", sha256=digest)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("ranges", "breaks"), [(True, 0), (True, 2), (False, 1)])
def test_download_is_whole_and_sends_nothing_twice(tmp_path, host, ranges, breaks, monkeypatch):
    state, source = host
    state.update(ranges=ranges, breaks=breaks)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    seen = []
    path = fetch.download(source, tmp_path, lambda have, total: seen.append((have, total)))
    assert path.read_bytes() == state["body"]
    assert seen[-1] == (300_000, 300_000)
    assert state["sent"] == (300_000 if ranges else 450_000)
    fetch.download(source, tmp_path)
    assert state["sent"] == (300_000 if ranges else 450_000)


def test_download_goes_on_in_the_next_call(tmp_path, host, monkeypatch):
    state, source = host
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    state["breaks"] = 100
    with pytest.raises(DataError, match=r"of 300000 bytes.*go on with: nld data fetch tiny"):
        fetch.download(source, tmp_path)
    sent = state["sent"]
    assert 0 < sent < 300_000
    state["breaks"] = 0
    assert fetch.download(source, tmp_path).read_bytes() == state["body"]
    assert state["sent"] == 300_000


def test_a_file_that_changed_at_the_host_is_refused(tmp_path, host):
    state, source = host
    state["body"] = b"something else"
    with pytest.raises(DataError, match="checksum differs"):
        fetch.download(source, tmp_path)
    assert not list(tmp_path.iterdir())


# -- batches ---------------------------------------------------------------------------------------------------------


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
