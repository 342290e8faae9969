"""A record on disk that grows while a training runs."""

import os
import time
import warnings
from collections.abc import Sequence

import torch
import xarray as xr

from nld.monitor import monitor_record as records
from nld.monitor.preconditions import require_new_file
from nld.monitor.sharded import is_first

FLUSH = 30.0  # seconds after which a stream is appended to


class Stream:
    """The file that finished steps go to.

    Of parameters that ``fully_shard`` has sharded every process finishes the same steps: the first of them writes, and
    the others let go of theirs and open no file, be its path the same or on a disk that they do not see.

    Args:
        path: a new file.
        parameters: that are tracked.
        digits: significant digits that the file keeps, None for all.

    Raises:
        ValueError: this process is to write, and the file exists or has no folder.
    """

    def __init__(self, path: str | os.PathLike, parameters: Sequence[torch.Tensor], digits: int | None = None):
        self.path, self.writes, self.digits = path, is_first(parameters), digits
        self._due = 0.0  # when it is appended to next, by the monotonic clock
        if self.writes:
            require_new_file(path)

    def late(self, now: float) -> bool:
        """Whether it is time to append."""
        return now >= self._due

    def read(self, lazy: bool) -> xr.Dataset | None:
        """What the file holds; None where there is none, or none of this process."""
        return records.load(self.path, lazy=lazy) if self.writes and os.path.exists(self.path) else None

    def take(self, record: xr.Dataset) -> bool:
        """Append a record's steps; False if the disk did not take them, so that they are tried again with the next."""
        self._due = time.monotonic() + FLUSH
        if not self.writes:
            return True
        try:
            records.append(record, self.path, self.digits)
        except OSError as error:  # a disk that is full or a file that others read must not end a training
            warnings.warn(
                f"expected to append to {os.fspath(self.path)!r}, got {type(error).__name__}: {error}; the steps "
                "stay in memory and are tried again with the next: close what has the file open, or free the disk",
                stacklevel=3,
            )
            return False
        return True
