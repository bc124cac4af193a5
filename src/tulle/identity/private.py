"""Files that only their owner may read: written whole or not at all, and refused when others could have read them.

Nothing here locks: the store's lock already keeps a second control plane out of the data folder.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
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


def check_private(folder: Path) -> None:
    """Refuses a folder in which anything at all is open to others, or somebody else's. Raises StateUnusable.

    Nothing in the state folder is for others, so no file needs to be known here. What is not there yet is made private by
    who makes it. A link has no mode of its own, and is not followed: but the folder itself may be one.
    """
    if not folder.exists():
        return
    own = (0, os.geteuid())
    loose: dict[str, list[str]] = {"700": [], "600": []}
    for path, status in [(folder, folder.stat()), *_entries(folder)]:
        if status.st_uid not in own:
            raise StateUnusable(
                f"{path} belongs to another user (uid {status.st_uid}): run tulle as that user, or use another --data"
            )
        if stat.S_IMODE(status.st_mode) & 0o077 and not stat.S_ISLNK(status.st_mode):
            loose["700" if stat.S_ISDIR(status.st_mode) else "600"].append(str(path))
    if fixes := [f"chmod {mode} {shlex.join(paths)}" for mode, paths in loose.items() if paths]:
        count = sum(map(len, loose.values()))
        first = (loose["700"] + loose["600"])[0]
        raise StateUnusable(
            f"{first}{f' and {count - 1} more' if count > 1 else ''} can be read or changed by others. If nobody but you "
            f"has, run: {' && '.join(fixes)}"
        )


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All below the folder. Agents go on while the control plane does not run, so what was there may be gone."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in found:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield Path(entry.path), status
        if stat.S_ISDIR(status.st_mode):
            yield from _entries(Path(entry.path))


def sync_folder(folder: Path) -> None:
    """Makes renames within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
