"""Downloads and archives: a file arrives whole and once, an archive writes nothing outside its folder."""

import errno
import gzip
import hashlib
import http.server
import io
import subprocess
import tarfile
import threading
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from nld.errors import DataError
from nld.experiment.datasets import fetch
from nld.experiment.datasets.fetch import SOURCES, Source

TINY = Source(name="tiny", url="", sha256="", folder="tiny-200", classes=3, train=12, test=6, size=8)


def _zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _tar(path, members, mode="w:xz", **special):
    with tarfile.open(path, mode) as archive:
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


def _lying_zip(path):
    """A zip whose index says of the only member that it has ten bytes; it has a million."""
    _zip(path, {"tiny-200/file": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    return path


def _sparse_tar(path):
    """A tar of a few bytes with a member of a gigabyte: a hole."""
    sparse = path.with_suffix(".hole")
    with sparse.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["tar", "--sparse", "-cf", path, "-C", path.parent, sparse.name], check=True)
    sparse.unlink()
    return path


def _long_header_tar(path):
    """A tar whose first header says that a name of a gigabyte follows, and so it does."""
    info = tarfile.TarInfo("tiny-200/file")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with gzip.open(path, "wb", 1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(256):
            file.write(bytes(1 << 20))
    return path


ZEROS = bytes(30_000_000)
MOST = 100  # members
BOMBS = {  # an archive of few bytes that unpacks to many
    "zip": lambda path: _zip(path, {"tiny-200/a": b"1", "tiny-200/file": ZEROS}, zipfile.ZIP_DEFLATED),
    "zip of many": lambda path: _zip(path, {f"tiny-200/{n}": b"" for n in range(MOST + 1)}),
    "zip by bzip2": lambda path: _zip(path, {"tiny-200/file": ZEROS}, zipfile.ZIP_BZIP2),
    "zip that lies": _lying_zip,
    "tar.xz": lambda path: _tar(path, {"tiny-200/a": b"1", "tiny-200/file": ZEROS}),
    "tar.bz2": lambda path: _tar(path, {"tiny-200/file": ZEROS}, mode="w:bz2"),
    "tar of many": lambda path: _tar(path, {f"tiny-200/{n}": b"" for n in range(MOST + 1)}),
    "tar with a hole": _sparse_tar,
    "tar with an endless name": _long_header_tar,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_archive_that_unpacks_to_more_than_was_promised_is_refused_and_leaves_nothing(tmp_path, monkeypatch, bomb):
    monkeypatch.setattr(Source, "most_members", MOST)
    archive, target = BOMBS[bomb](tmp_path / "archive"), tmp_path / "deep" / "out"
    tracemalloc.start()
    with pytest.raises(DataError):
        fetch.unpack(archive, target, most_members=MOST, most_bytes=TINY.most_bytes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6  # of the gigabyte that some of them promise
    assert [path.name for path in tmp_path.rglob("*")] == ["archive"]
    (tmp_path / "scratch").mkdir()
    with pytest.raises(DataError):
        fetch.official_folder(TINY, [archive], tmp_path / "scratch")
    assert not list((tmp_path / "scratch").iterdir())


def test_a_failed_archive_leaves_what_was_there_before(tmp_path):
    (tmp_path / "out" / "tiny-200").mkdir(parents=True)
    (tmp_path / "out" / "tiny-200" / "mine").write_text("mine")
    archive = _zip(tmp_path / "archive", {"tiny-200/a/b": b"1", "../evil": b"2"})
    with pytest.raises(DataError):
        fetch.unpack(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["tiny-200", "mine"]


def test_an_archive_for_which_there_is_no_room_is_not_called_damaged(tmp_path, monkeypatch):
    archive = _zip(tmp_path / "archive", {"tiny-200/a": b"1"})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nld.experiment.datasets.unpack._copy", full)
    with pytest.raises(DataError, match="No space left on device; free space there"):
        fetch.unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["archive"]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_bounds_of_a_source_leave_room_for_what_it_is(source):
    official = {"tiny-imagenet": (120_609, 240_000_000), "cifar-10": (9, 185_000_000)}  # members and bytes, about
    members, content = official[source.name]
    assert 1.5 * members < source.most_members < 1e6
    assert 1.5 * content < source.most_bytes < 1e10


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
