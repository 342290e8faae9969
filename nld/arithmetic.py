"""The arithmetic in which numbers are computed: what may change the last bits although code and seeds are the same.

Sums of floating-point numbers depend on their order, and so on the processor's vector instructions, on the settings
that choose among them, and on the number of threads. A result says under which of them it was computed.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

# Environment variables that choose instructions, threads or a start moved by one unit in the last place. The first
# four move PyTorch only, MKL_ENABLE_INSTRUCTIONS on Intel's processors alone; NumPy's own functions move with
# NPY_DISABLE_CPU_FEATURES, which takes the names of numpy.show_config(), its products with OPENBLAS_CORETYPE.
SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
    "NLD_THREADS",
    "NLD_ROUNDING_TWIN",
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
        raise ValueError(f"expected NLD_THREADS to be a positive whole number, got {text!r}")
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
