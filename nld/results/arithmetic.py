"""The arithmetic in which numbers are computed: what may change the last bits although code and seeds are the same.

Sums of floating-point numbers depend on their order, and so on the processor's vector instructions, on the settings
that choose among them, and on the number of threads. A result says under which of them it was computed.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

from nld.errors import InvalidInput

# Environment variables that choose instructions, threads, a start moved by one unit in the last place, or judging seeds
# that are run instead of read. The first four move PyTorch only, MKL_ENABLE_INSTRUCTIONS on Intel's processors alone;
# NumPy's own functions move with NPY_DISABLE_CPU_FEATURES, which takes the names of numpy.show_config(), its products
# with OPENBLAS_CORETYPE.
SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
    "NLD_THREADS",
    "NLD_ROUNDING_TWIN",
    "NLD_EVIDENCE",
)


def settings() -> dict[str, str]:
    """Those of ``SETTINGS`` that are set, by name."""
    return {name: value for name in SETTINGS if (value := os.environ.get(name, ""))}


def threads() -> int:
    """Threads that a figure and a run of the quick profile compute with: ``NLD_THREADS``, or one.

    One by default: sums then have one order on every machine with the same instructions, and small networks are not
    faster with more.

    Raises:
        ValueError: ``NLD_THREADS`` is no positive whole number.
    """
    text = os.environ.get("NLD_THREADS") or "1"
    if not text.isdigit() or int(text) < 1:
        raise InvalidInput(f"expected NLD_THREADS to be a positive whole number, got {text!r}")
    return int(text)


def identity() -> dict:
    """All that is known before a computation of its arithmetic: part of the name under which its result is kept."""
    chosen = {name: value for name, value in settings().items() if name not in ("NLD_THREADS", "NLD_ROUNDING_TWIN")}
    return {"threads": threads(), "rounding_twin": is_rounding_twin(), **chosen}


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Compute with so many threads while the block lasts, whatever the machine or OMP_NUM_THREADS has."""
    from threadpoolctl import threadpool_limits

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # for libraries that are loaded in the block
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    torch = sys.modules.get("torch")  # where it is not loaded, it is not loaded for this; it has a count of its own
    own = torch.get_num_threads() if torch else 0
    try:
        with threadpool_limits(count):
            if torch:
                torch.set_num_threads(count)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(own)


def moved(values):
    """Initial values of what is trained, an array, as they are, or each its next larger number in a rounding twin."""
    import numpy as np

    return np.nextafter(values, np.inf) if is_rounding_twin() else values


def threads_now() -> int:
    """Threads that computations have at this moment: those of torch where it is loaded, of OpenMP otherwise."""
    torch = sys.modules.get("torch")
    text = os.environ.get("OMP_NUM_THREADS", "")
    return torch.get_num_threads() if torch else int(text) if text.isdigit() else os.cpu_count() or 1


def is_rounding_twin() -> bool:
    """Whether networks start one unit in the last place away: how far such a twin gets shows what rounding does."""
    return bool(os.environ.get("NLD_ROUNDING_TWIN"))


def kept_evidence_counts() -> bool:
    """Whether kept evidence rules, or judging seeds are run on this processor: ``NLD_EVIDENCE=live``.

    Raises:
        ValueError: the variable says neither.
    """
    text = os.environ.get("NLD_EVIDENCE", "")
    if text not in ("", "kept", "live"):
        raise InvalidInput(f"expected NLD_EVIDENCE to be kept or live, got {text!r}")
    return text != "live"


# Instruction sets that any x86-64 processor can be asked for, and other ways to move the last bit.
NAMED = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "baseline": {
        "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "two-threads": {"NLD_THREADS": "2"},
    "rounding-twin": {"NLD_ROUNDING_TWIN": "1"},
}  # fmt: skip
# NumPy's groups of instructions that the names leave on; the others that this processor has are switched off.
_NUMPY_KEEPS = {"avx2": ("X86_V3", "AVX2", "FMA3"), "baseline": ()}


def named(name: str) -> dict[str, str]:
    """Environment variables of a named arithmetic, NumPy's own included.

    Raises:
        ValueError: no such name.
    """
    if name not in NAMED:
        raise InvalidInput(f"expected an arithmetic among {', '.join(NAMED)}, got {name!r}")
    if name not in _NUMPY_KEEPS:
        return dict(NAMED[name])
    # NumPy lists what it dispatches to nowhere else.
    numpy_core = importlib.import_module("numpy._core._multiarray_umath")
    there = [f for f in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__.get(f)]
    off = [feature for feature in there if feature not in _NUMPY_KEEPS[name]]
    return {**NAMED[name], "NPY_DISABLE_CPU_FEATURES": " ".join(off)}


def main(arguments: list[str]) -> int:
    """``python -m nld.results.arithmetic NAME COMMAND …`` runs a command under a named arithmetic."""
    import subprocess

    if len(arguments) < 2:
        print(f"usage: python -m nld.results.arithmetic {{{','.join(NAMED)}}} COMMAND …", file=sys.stderr)
        return 2
    return subprocess.call(arguments[1:], env={**os.environ, **named(arguments[0])})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
