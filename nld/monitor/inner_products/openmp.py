"""Machine code on the threads that torch computes with.

Between two of its operations, torch's OpenMP threads wait for the next one without giving up their
cores, for milliseconds. A thread of one's own would have to share a core with such a thread; a
function handed to the same team runs at once. Where torch's OpenMP library cannot be called (no
libgomp or libomp), threads of Python take its place.
"""

import ctypes
import threading
from functools import cache
from pathlib import Path
from typing import Any

import torch

_callable = cache(ctypes.CFUNCTYPE(None, ctypes.c_int64))  # calling it gives up Python's lock


def run(function: int, data: int, threads: int = 1) -> None:
    """Call ``void function(int64_t data)`` on each of some threads at once, and wait for all.

    Args:
        function: address of the function.
        data: its argument, as a rule an address; how the threads part the work is for the function to say.
    """
    team = _team() if threads > 1 else None
    if team is not None:
        team(function, data, threads, 0)
        return
    call = _callable(function)
    others = [threading.Thread(target=call, args=(data,)) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    call(data)
    for thread in others:
        thread.join()


@cache
def _team() -> Any:
    """``GOMP_parallel(function, data, threads, flags)`` of the OpenMP library that torch is linked with, or None."""
    for library in (Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"):
        try:
            team = ctypes.CDLL(str(library)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        team.argtypes, team.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        return team
    return None
