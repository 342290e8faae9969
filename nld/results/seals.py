"""Seals: checksums that are written with what they cover and looked at before it is read.

A folder is sealed by a file SHA256SUMS, which ``sha256sum -c`` understands; its last line is the checksum of the lines
above it. A JSON file is sealed by a member of its own: the checksum of the file with zeros in the seal's place. So no
bit of an entry changes unseen, those of the seal included.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from nld.errors import InvalidInput

SUMS = "SHA256SUMS"
MEMBER = "sha256_of_this_file_with_zeros_here"
BLANK = "0" * 64
_LAST = "# sha256 of the lines above: "
_SEAL = re.compile(rf'"{MEMBER}": "([0-9a-f]{{64}})"'.encode())
# What this process has found whole, and how the files looked then: an entry is read once, and again when one of them
# was touched. The time of a change (ctime) cannot be set back as the time of writing can.
_whole: dict[Path, tuple] = {}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def difference(path: Path, checksum: str) -> str:
    """What is wrong with a file that should have this checksum, in words; empty if nothing."""
    try:
        return "" if digest(path) == checksum else f"{path} was altered or cut off: its checksum differs"
    except (FileNotFoundError, IsADirectoryError):
        return f"{path} is missing"


def sums(files: Iterable[tuple[str, str]]) -> str:
    """The text of a SHA256SUMS for names and checksums, with its own checksum as the last line."""
    lines = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(files))
    return f"{lines}{_LAST}{hashlib.sha256(lines.encode()).hexdigest()}\n"


def read_sums(path: Path) -> dict[str, str]:
    """Checksum by name, as a SHA256SUMS lists them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what was written: a line or its own checksum differs.
    """
    try:
        text = path.read_bytes().decode()
        rows = [line.split("  ", 1) for line in text.splitlines() if not line.startswith("#")]
        checksums = {name: checksum for checksum, name in rows}
    except ValueError:
        raise InvalidInput(f"{path} was altered or cut off: it is no list of checksums") from None
    if sums(checksums.items()) != text:
        raise InvalidInput(f"{path} was altered or cut off: its own checksum differs")
    return checksums


def seal_folder(folder: Path) -> None:
    """Write the checksums of all files that lie in a folder."""
    files = [(path.name, digest(path)) for path in folder.iterdir() if path.name != SUMS]
    (folder / SUMS).write_text(sums(files), "utf-8")


def sealed_files(folder: Path) -> list[Path]:
    """The files of a sealed folder, by name, without its list of checksums."""
    return [folder / name for name in sorted(read_sums(folder / SUMS))]


def seal_text(text: str) -> str:
    """The text of a JSON file in which ``MEMBER`` has the value ``BLANK``, with its checksum there instead."""
    content = text.encode()
    start, end = _place(content)
    return (content[:start] + hashlib.sha256(content).hexdigest().encode() + content[end:]).decode()


def flaw(path: Path) -> str:
    """What is wrong with a sealed folder or JSON file, in words that begin with the file's name; empty if nothing.

    Raises:
        OSError: it is there and cannot be read.
    """
    looks = _looks(path)
    if looks and _whole.get(path) == looks:
        return ""
    words = _folder_flaw(path) if path.is_dir() else _file_flaw(path)
    if not words:
        _whole[path] = looks
    return words


def _folder_flaw(folder: Path) -> str:
    try:
        listed = read_sums(folder / SUMS)
    except FileNotFoundError:
        return f"{folder / SUMS} is missing, lost or never written by an earlier version"
    except ValueError as error:
        return str(error)
    return next(filter(None, (difference(folder / name, checksum) for name, checksum in listed.items())), "")


def _file_flaw(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{path} is missing"
    try:
        start, end = _place(content)
    except ValueError:
        return f"{path} was altered or cut off, or an earlier version wrote it: it holds no checksum"
    blank = content[:start] + BLANK.encode() + content[end:]
    if hashlib.sha256(blank).hexdigest().encode() != content[start:end]:
        return f"{path} was altered or cut off: its checksum differs"
    return ""


def _place(content: bytes) -> tuple[int, int]:
    """Where the checksum of a JSON file stands.

    Raises:
        ValueError: nowhere.
    """
    matches = list(_SEAL.finditer(content))
    if not matches:
        raise InvalidInput(f"expected a member {MEMBER!r}, found none")
    return matches[-1].span(1)


def _looks(path: Path) -> tuple:
    """Size, times and place on the disk of an entry's files; nothing if one cannot be looked at."""
    try:
        files = sorted(os.scandir(path), key=lambda file: file.name) if path.is_dir() else [path]
        stats = [(os.path.basename(file), file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats)
