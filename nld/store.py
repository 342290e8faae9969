"""Where results are kept: a folder of content-addressed entries, each written whole or not at all.

Layout below the root of the store (``NLD_STORE``, or ``.nld`` in the working directory):
``executed/`` notebooks, ``figures/`` drawn figures with data and provenance, ``logs/``.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


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


def failure(error: OSError) -> str:
    """A failed write to the store or to an output in words: what failed, and what to do."""
    place = error.filename or root()
    if isinstance(error, FileNotFoundError):
        return f"expected {place}, found none"
    return f"cannot write {place}: {error.strerror}; free space there or make it writable, then run the command again"


@contextlib.contextmanager
def new_entry(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
