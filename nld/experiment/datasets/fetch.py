"""Bringing a data set here: from its official host, resumed and checksummed, or from an archive that the user has.

An archive is unpacked by ``unpack`` into a new folder that takes its name only when all is there.
"""

import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nld.errors import DataError
from nld.experiment.datasets.unpack import unpack

_BLOCK = 1 << 20
_ATTEMPTS = 6  # connections of one download before it gives up; the next call goes on where it stopped


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
    def most_members(self) -> int:
        """Files and folders that no archive of it has more of: twice the images, and some."""
        return 2 * (self.train + self.test) + 10_000

    @property
    def most_bytes(self) -> int:
        """Bytes that no archive of it unpacks to more than: twice its pixels as plain bytes, and some."""
        return 2 * (self.train + self.test) * 3 * self.size**2 + (1 << 24)

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
        except OSError as error:  # those of urllib are of its kind
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                return  # nothing lies beyond what we have: it is whole, or the checksum will tell
            reason = error
        time.sleep(min(0.1 * 4**attempt, 10))
    raise DataError(f"could not download {url}: {reason}. What came is kept; go on with: {source.command}") from reason


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
            unpack(archive, unpacked, most_members=source.most_members, most_bytes=source.most_bytes)
        if not (unpacked / source.folder).is_dir():
            found = ", ".join(map(str, archives)) or "no archive"
            raise DataError(
                f"expected a folder {source.folder} in {', '.join(map(str, given))}, found {found} without it"
            )
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise
    return unpacked / source.folder
