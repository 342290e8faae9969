"""Bringing a data set here: from its official host, resumed and checksummed, or from an archive that the user has.

An archive is unpacked into a new folder that takes its name only when all is there, and a member that would land
outside that folder, or is anything but a plain file or folder, refuses the whole archive.
"""

import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

_BLOCK = 1 << 20
_ATTEMPTS = 6  # connections of one download before it gives up; the next call goes on where it stopped


class DataError(RuntimeError):
    """Data are missing, incomplete or altered; the message ends with the command that mends it."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set comes from and what it holds.

    Args:
        folder: the one folder at the top of the official archive.
        train: number of training images.
        test: number of test images.
        size: height and width in pixels.
    """

    name: str
    url: str
    sha256: str
    folder: str
    classes: int
    train: int
    test: int
    size: int

    @property
    def command(self) -> str:
        """The command that mends whatever is wrong with this data set."""
        return f"nld data fetch {self.name}"


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="tiny-imagenet",
            url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            sha256="6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
            folder="tiny-imagenet-200",
            classes=200,
            train=100_000,
            test=10_000,
            size=64,
        ),
        Source(
            name="cifar-10",
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            folder="cifar-10-batches-bin",
            classes=10,
            train=50_000,
            test=10_000,
            size=32,
        ),
    )
}


def download(source: Source, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """The official archive in `folder`, downloaded unless it is there whole; an interrupted download is resumed.

    Args:
        progress: called with the bytes that are here and the bytes in all.

    Raises:
        DataError: the host cannot be reached, or what it sends has another checksum.
    """
    import pooch

    def resuming(url, output, pooch, *, check_only=None) -> None:
        _resume(source, url, partial, progress)
        shutil.move(partial, output)

    name = source.url.rpartition("/")[2]
    partial = folder / f"{name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        path = pooch.retrieve(source.url, f"sha256:{source.sha256}", fname=name, path=folder, downloader=resuming)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise DataError(
            f"what {source.url} sent is not {source.name}: its checksum differs. Run again: {source.command}"
        ) from error
    return Path(path)


def _resume(source: Source, url: str, partial: Path, progress: Callable[[int, int], None] | None) -> None:
    """Append to `partial` from where it ends until the file is whole."""
    reason: Exception | None = None
    for attempt in range(_ATTEMPTS):
        have = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-", "User-Agent": "nld"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                resumed = response.status == 206 and response.headers["Content-Range"].startswith(f"bytes {have}-")
                have = have if resumed else 0  # a host without ranges sends all of it again
                total = have + int(response.headers.get("Content-Length") or 0)
                with partial.open("ab" if resumed else "wb") as file:
                    while block := response.read(_BLOCK):
                        file.write(block)
                        have += len(block)
                        if progress:
                            progress(have, total)
            if have >= total:
                return
            reason = OSError(f"the connection ended after {have} of {total} bytes")
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing lies beyond what we have: it is whole, or the checksum will tell
                return
            reason = error
        except (OSError, urllib.error.URLError) as error:
            reason = error
        time.sleep(min(0.1 * 4**attempt, 10))
    raise DataError(f"could not download {url}: {reason}. What came is kept; go on with: {source.command}") from reason


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip or tar archive into `target`, which must not hold any of its files yet.

    Raises:
        DataError: not an archive, truncated, or with a member that is no plain file or folder below `target`.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _write(archive, target, ((info.filename, _zip_file(opened, info)) for info in opened.infolist()))
        else:
            with tarfile.open(archive, "r|*") as opened:
                _write(archive, target, ((member.name, _tar_file(opened, member)) for member in opened))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(
            f"{archive} is not a whole zip or tar archive ({error}): delete it and fetch it again"
        ) from error
    except Exception as error:  # lzma and zlib have errors of their own
        if isinstance(error, DataError):
            raise
        raise DataError(f"{archive} is damaged ({error}): delete it and fetch it again") from error


def _zip_file(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]] | str:
    kind = info.external_attr >> 28  # the Unix file type, 0 where the archive was not made on Unix
    if info.is_dir():
        return "folder"
    return (lambda: opened.open(info)) if kind in (0, 8) else "special"


def _tar_file(opened: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]] | str:
    if member.isdir():
        return "folder"
    return (lambda: opened.extractfile(member)) if member.isreg() else "special"  # pyright: ignore[reportReturnType]


def _write(archive: Path, target: Path, members: Iterator[tuple[str, Callable[[], IO[bytes]] | str]]) -> None:
    made: set[Path] = set()
    for name, content in members:
        path = PurePosixPath(name.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]
        if outside or content == "special":
            what = "lies outside the folder it is unpacked into" if outside else "is a link or a device"
            raise DataError(f"{archive}: member {name!r} {what}; nothing was kept, do not trust this archive")
        place = target / path
        folder = place if content == "folder" else place.parent
        if folder not in made:
            folder.mkdir(parents=True, exist_ok=True)
            made.add(folder)
        if callable(content):
            with content() as reader, place.open("xb") as writer:
                shutil.copyfileobj(reader, writer, _BLOCK)


def official_folder(source: Source, given: list[Path], scratch: Path) -> Path:
    """The folder with the official layout: given as it is, or unpacked from archives into a new folder in `scratch`.

    Args:
        given: the official folder, a folder that holds it or its archives, or archives. Several archives may each
            hold a part.

    Raises:
        DataError: none of these.
    """
    archives: list[Path] = []
    for path in given:
        if not path.exists():
            raise DataError(f"{path} does not exist; give a folder or an archive of {source.name}")
        if path.is_file():
            archives.append(path)
        elif path.name == source.folder or (path / source.folder).is_dir():
            return path if path.name == source.folder else path / source.folder
        else:
            archives += sorted(
                p for p in path.iterdir() if p.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz"))
            )
    scratch.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix=f"{source.name}.", dir=scratch))
    try:
        for archive in archives:
            unpack(archive, unpacked)
        if not (unpacked / source.folder).is_dir():
            found = ", ".join(map(str, archives)) or "no archive"
            raise DataError(
                f"expected a folder {source.folder} in {', '.join(map(str, given))}, found {found} without it"
            )
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise
    return unpacked / source.folder
