"""How much of a disk is left to the mesh's own store: traces are the first to give way."""

from __future__ import annotations

import os
from pathlib import Path

_MB = 1024 * 1024
_LEAST_FREE = 64 * _MB
_PART = 4  # of a small disk, a quarter; of one that is smaller still
# The store's write-ahead log may take as much, with what one write of spans takes before the disk is looked at again.
_LEAST_OF_ALL = 8 * _MB
_SPARE = 1.25  # so much more is free before traces take any again, so that they don't begin and end all the time


class NoRoom(OSError):
    """Too little is free, even without any trace."""


def missing(folder: Path, *, spare: bool = False) -> int:
    """So many bytes too few are free on its disk; 0 if there are enough, or nobody knows. Raises OSError."""
    disk = os.statvfs(folder)
    least = least_free(disk.f_blocks * disk.f_frsize)
    return max(0, int(least * (_SPARE if spare else 1)) - disk.f_bavail * disk.f_frsize)


def least_free(size: int) -> int:
    """Of a disk of so many bytes."""
    return min(_LEAST_FREE, max(size // _PART, _LEAST_OF_ALL)) if size else 0
