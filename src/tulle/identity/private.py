"""Files that only their owner may read: written whole or not at all, and refused when others could have read them.

Nothing here locks: the store's lock already keeps a second control plane out of the data folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


class StateUnusable(Exception):
    """Something in the data folder can't be used. The message names the file and the fix."""


def create_private(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600 that after a crash at any moment is there in full or not at all."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    aside.rename(path)
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """A private file's content. Raises FileNotFoundError, or StateUnusable if it is not private."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise StateUnusable(
                f"{path} can be read or changed by others (mode {stat.S_IMODE(status.st_mode):04o}). If nobody but you "
                f"has read it, run: chmod 600 {path}"
            )
        if status.st_uid not in (0, os.geteuid()):
            raise StateUnusable(
                f"{path} belongs to another user (uid {status.st_uid}): run tulle as that user, or use another --data"
            )
        return file.read()


def sync_folder(folder: Path) -> None:
    """Makes renames within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
