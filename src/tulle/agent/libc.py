"""The C library, for what Python lacks: by ctypes, so with no compiler and no package.

Also for the reaper, which is there as long as the program: importing this costs next to nothing.
"""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """The result of a call of `libc`. Raises OSError if it is negative."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, value: int) -> None:
    """Sets something of this thread or process (prctl(2)). Raises OSError."""
    checked(libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, (value, 0, 0, 0))))
