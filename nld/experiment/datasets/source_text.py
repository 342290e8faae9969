"""Text of the Python standard library, a byte a token: what the language models of the book learn.

The library differs between versions of Python, and distributions patch it, so an excerpt is shipped rather than read
from the interpreter that happens to run. It is the concatenation, in alphabetical order and unchanged, of the 63
top-level modules of CPython 3.11.7 between 8,000 and 40,000 bytes that are ASCII, name no copyright or license of
their own and are not written by the build. Copyright (c) 2001-2023 Python Software Foundation, under the PSF License
Version 2, which lies beside it as ``standard_library.license.txt``.
"""

import functools
import hashlib
import lzma
from pathlib import Path

import numpy as np

from nld.errors import Damaged

EXCERPT = Path(__file__).with_name("standard_library.txt.xz")
CHECKSUM = "67771f31315edeb9668b89e7f451dfefc10c749e30c9e6ede03c00aee416d2ac"  # sha256 of the text
VOCABULARY = 256


@functools.cache
def excerpt() -> bytes:
    """The whole text, 1,253,188 bytes.

    Raises:
        Damaged: it is not the text that was shipped.
    """
    text = lzma.decompress(EXCERPT.read_bytes())
    if (got := hashlib.sha256(text).hexdigest()) != CHECKSUM:
        raise Damaged(f"expected a text with sha256 {CHECKSUM} in {EXCERPT}, got {got}; install nld again")
    return text


@functools.cache
def training_text() -> np.ndarray:
    """The first nine tenths, uint8, shape (bytes,)."""
    return _bytes()[: _split()]


@functools.cache
def validation_text() -> np.ndarray:
    """The last tenth: other modules, uint8, shape (bytes,)."""
    return _bytes()[_split() :]


def unigram_entropy(text: np.ndarray) -> float:
    """-sum p log p over the frequencies p of its bytes, in ℓ (nats): what a model that sees no context can reach."""
    counts = np.bincount(text, minlength=VOCABULARY)
    frequencies = counts[counts > 0] / len(text)
    return float(-(frequencies * np.log(frequencies)).sum())


def _bytes() -> np.ndarray:
    return np.frombuffer(excerpt(), np.uint8)


def _split() -> int:
    return len(excerpt()) * 9 // 10
