"""The arithmetic in which numbers are computed: what may change the last bits although code and seeds are the same.

Sums of floating-point numbers depend on their order, and so on the processor's vector instructions, on the settings
that choose among them, and on the number of threads. A result says under which of them it was computed.
"""

import os

# Environment variables that choose instructions, threads or a start moved by one unit in the last place. The first
# three move PyTorch only; NumPy's own kernels move with the fourth.
SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
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


def is_rounding_twin() -> bool:
    """Whether networks start one unit in the last place away: how far such a twin gets shows what rounding does."""
    return bool(os.environ.get("NLD_ROUNDING_TWIN"))
