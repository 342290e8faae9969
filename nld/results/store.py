"""Where results are kept: a folder of content-addressed entries, each written whole or not at all, each sealed.

Layout below the root of the store (``NLD_STORE``, or ``.nld`` in the working directory):
``executed/`` notebooks, ``current/`` which of them the pages show, ``figures/`` drawn figures with data and
provenance, ``runs/``, ``logs/``, and ``damaged/``, what was set aside because its checksums did not hold.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nld.results import seals

LEFT_OVER = 600.0  # seconds after which a hidden folder that nobody finished is a dead process's
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there (`nld store gc` removes what is out of date)"),
    errno.EFBIG: "raise the limit on the size of files, or name another folder",
    errno.ENAMETOOLONG: "choose a shorter name, or a folder nearer to the root of the disk",
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "make it writable, or name a folder that is, with NLD_STORE for the store",
    ),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder belongs: move it away"),
    errno.EIO: "the disk fails: copy what you need to another one, and name that with NLD_STORE",
}


def root() -> Path:
    """The folder of the store."""
    return Path(os.environ.get("NLD_STORE") or ".nld").absolute()


def content_key(content) -> str:
    """Hash of a JSON-serializable value, 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_sealed(path: Path, record: dict) -> None:
    """Write a JSON file with its checksum in it, as ``write_atomically`` does."""
    text = json.dumps({**record, seals.MEMBER: seals.BLANK}, indent=1, ensure_ascii=False)
    write_atomically(path, seals.seal_text(text))


def failure(error: OSError) -> str:
    """A failed read or write of the store or of an output in words: what failed, and what to do."""
    if error.errno is None:  # it was raised with words, not by the system
        return str(error)
    place = error.filename or root()
    if isinstance(error, FileNotFoundError):
        return f"expected {place}, found none"
    advice = _ADVICE.get(error.errno, "free space there or make it writable")
    return f"cannot write {place}: {error.strerror}; {advice}, then run the command again"


@contextlib.contextmanager
def new_entry(path: Path) -> Iterator[Path]:
    """A temporary folder that is sealed and becomes ``path`` when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in left_over(path.parent, LEFT_OVER):
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        seals.seal_folder(temporary)
        os.chmod(temporary, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def left_over(folder: Path, seconds: float) -> list[Path]:
    """Hidden folders in ``folder`` in which nothing was written for so many seconds: their writers were killed."""
    folders = []
    for path in sorted(folder.glob(".*.*")):
        with contextlib.suppress(OSError):  # whoever wrote it just finished
            times = [file.stat().st_mtime for file in (path, *path.iterdir())] if path.is_dir() else []
            if times and time.time() - max(times) > seconds:
                folders.append(path)
    return folders


def heal(path: Path, top: Path | None = None) -> bool:
    """Whether an entry is there and whole; one that is damaged is named, set aside, and not there any more.

    Args:
        path: a sealed folder or file.
        top: root of the store that it belongs to.

    Raises:
        OSError: it is damaged and cannot be set aside.
    """
    if not path.exists():
        return False
    words = seals.flaw(path)
    if words:
        aside = set_aside(path, top or root())
        tell(f"{words}; it was set aside to {aside} and is computed again", top or root())
    return not words


def set_aside(path: Path, top: Path) -> Path:
    """Move an entry below ``damaged/`` of the store, under a name that is free there; where it is now."""
    place = path.relative_to(top) if path.is_relative_to(top) else Path(path.name)
    aside = top / "damaged" / place
    aside.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while aside.exists():
        number += 1
        aside = top / "damaged" / place.with_name(f"{place.name}.{number}")
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        os.rename(path, aside)
    return aside


def told(top: Path) -> Path:
    """The file in which everything is written down that was found damaged."""
    return top / "logs" / "damaged.log"


def tell(line: str, top: Path) -> None:
    """Say on standard error that something is damaged, and write it down.

    In a chapter it is only written down, for what a cell says is published; the build repeats it.
    """
    with contextlib.suppress(OSError):  # said all the same
        told(top).parent.mkdir(parents=True, exist_ok=True)
        with told(top).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    if not os.environ.get("NLD_QUIET"):
        print(f"nld: {line}", file=sys.stderr, flush=True)
