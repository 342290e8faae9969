"""Unpacking an archive that somebody else made: below one folder, plain files only, no more than was promised.

What an archive promises is the size that its index gives each member and, for all of them together, what the caller
allows. A member outside the folder, a link or a device, or one byte more than promised refuses the whole archive, and
what was written until then is removed.
"""

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from nld.errors import DataError

BLOCK = 1 << 20
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are decompressed a megabyte at once, to any length
OPENERS = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}  # by the first bytes of a file
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Member(NamedTuple):
    """A file of an archive, with the bytes that the index promises; ``reader`` is None for what is no plain file."""

    name: str
    size: int
    is_folder: bool
    reader: Callable[[], IO[bytes]] | None


def unpack(archive: Path, target: Path, *, most_members: int = 1_000_000, most_bytes: int = 1 << 36) -> None:
    """Unpack a zip or tar archive into `target`, which must not hold any of its files yet.

    Args:
        most_members: files and folders that are unpacked at most.
        most_bytes: that all files have together at most.

    Raises:
        DataError: not an archive, truncated, larger than allowed or than promised, or with a member that is no plain
            file or folder below `target`. Nothing of it is left.
    """
    try:
        with contextlib.ExitStack() as undo:  # takes back what was written, unless all of it was
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened:
                    members = (_zip_member(archive, opened, info) for info in opened.infolist())
                    _write(archive, target, members, undo, most_members, most_bytes)
            else:
                with archive.open("rb") as file:
                    start = file.read(8)
                    file.seek(0)
                    opener = next((each for head, each in OPENERS.items() if start.startswith(head)), None)
                    plain = _Bounded(opener(file) if opener else file, archive, most_bytes, most_members)
                    with tarfile.open(fileobj=plain, mode="r|") as opened:
                        _write(archive, target, _tar_members(opened), undo, most_members, most_bytes)
            undo.pop_all()
    except DataError:
        raise
    except Exception as error:  # lzma and zlib have errors of their own
        if isinstance(error, OSError) and error.errno in _FULL:
            raise DataError(f"cannot unpack {archive} into {target}: {error.strerror}; free space there") from error
        cut = isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError))
        flaw = "not a whole zip or tar archive" if cut else "damaged"
        raise DataError(f"{archive} is {flaw} ({error}): delete it and fetch it again") from error


class _Bounded(io.BufferedIOBase):
    """A reader of what is decompressed that ends in an error once more came than the files and their headers can be."""

    def __init__(self, file, archive: Path, most_bytes: int, most_members: int):
        self.file, self.archive = file, archive
        self.left = most_bytes + 4096 * most_members + (1 << 20)  # four blocks of header and padding for each member

    def read(self, size: int | None = -1, /) -> bytes:
        content = self.file.read(size if size is not None and 0 <= size <= BLOCK else BLOCK)
        self.left -= len(content)
        if self.left < 0:
            raise DataError(f"{self.archive} unpacks to more than was promised; nothing was kept, do not trust it")
        return content


def _zip_member(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = info.external_attr >> 28  # the Unix file type, 0 where the archive was not made on Unix
    if info.compress_type not in PLAIN:
        raise DataError(f"{archive}: member {info.filename!r} is compressed in a way that is not read here; unpack it")
    plain = kind in (0, 8) and not info.is_dir()
    return Member(info.filename, info.file_size, info.is_dir(), (lambda: opened.open(info)) if plain else None)


def _tar_members(opened: tarfile.TarFile) -> Iterator[Member]:
    for member in opened:
        plain = member.isreg() and not member.issparse()
        reader = (lambda member=member: opened.extractfile(member)) if plain else None
        yield Member(member.name, member.size, member.isdir(), reader)  # pyright: ignore[reportArgumentType]


def _write(
    archive: Path,
    target: Path,
    members: Iterator[Member],
    undo: contextlib.ExitStack,
    most_members: int,
    most_bytes: int,
) -> None:
    """Write the members; `undo` takes away every file and folder that was not there before."""
    total = 0
    for count, member in enumerate(members, 1):
        path = PurePosixPath(member.name.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]
        total += member.size
        refused = {
            "lies outside the folder it is unpacked into": outside,
            "is a link or a device": member.reader is None and not member.is_folder,
            f"is one more than the {most_members} that were expected": count > most_members,
            f"makes it larger than the {most_bytes} bytes that were expected": total > most_bytes,
        }
        for what, holds in refused.items():
            if holds:
                raise DataError(
                    f"{archive}: member {member.name!r} {what}; nothing was kept, do not trust this archive"
                )
        place = target / path
        folder = place if member.is_folder else place.parent
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for each in reversed(missing):
            undo.callback(shutil.rmtree, each, ignore_errors=True)
        if member.reader is not None:
            with member.reader() as reader, place.open("xb") as writer:
                undo.callback(place.unlink, missing_ok=True)
                _copy(archive, member, reader, writer)


def _copy(archive: Path, member: Member, reader: IO[bytes], writer: IO[bytes]) -> None:
    left = member.size
    while block := reader.read(BLOCK):
        left -= len(block)
        if left < 0:
            raise DataError(f"{archive}: member {member.name!r} is longer than it says; nothing was kept")
        writer.write(block)
    if left:
        raise DataError(f"{archive}: member {member.name!r} ends early: delete the archive and fetch it again")
