"""The processor and its arithmetic in one line: what a result that training decides was computed on."""

import torch

from nld.results.arithmetic import is_rounding_twin
from nld.results.provenance import device


def arithmetic_name() -> str:
    """Such as "CPU AMD EPYC, AVX512": processor, PyTorch's instruction set; threads and a moved start where they count.

    Results of equal names are equal to the bit; those of different names agree as far as training lets them.
    """
    parts = [device(), torch.backends.cpu.get_cpu_capability()]
    if torch.get_num_threads() > 1:
        parts.append(f"{torch.get_num_threads()} threads")
    if is_rounding_twin():
        parts.append("start moved by one unit in the last place")
    return ", ".join(parts)
