"""The state folder, held by one process at a time.

The lock is flock(2) on a file that is never removed: the kernel frees it when the holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tulle.store.errors import StoreLocked, StoreUnavailable


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder (mode 0700) if it is not there, and hold it for this process within the block.

    Raises StoreLocked, StoreUnavailable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        _take(folder, lock)
        yield
    finally:
        os.close(lock)


def _take(folder: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = b"%d\n" % os.getpid()
        os.pwrite(lock, holder, 0)
        os.ftruncate(lock, len(holder))
    except BlockingIOError as error:
        holder_text = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise StoreLocked(
            f"{folder} is in use by another control plane, process {holder_text}: stop that one, or choose another "
            "folder with --data"
        ) from error
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{folder} can't be used as the state folder: {error.strerror}: make it writable for this user, or choose "
        "another folder with --data"
    )
