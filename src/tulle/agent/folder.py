"""The agent's folder, `<data>/proxies/<proxy>`: Envoy's working directory, with the private keys in it.

Its agent holds a lock on it; a folder that nobody holds was left by an agent that the machine took down with it, and
the next agent removes it. At the end the reaper removes the folder, also when the agent was killed; what is here is
for the case that the reaper was killed as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tulle.agent.exits import AgentError
from tulle.agent.shared_memory import remove_shared_memory

_STALE_SECONDS = 60.0  # a younger one may just not be locked yet


@dataclass(frozen=True, slots=True)
class Folder:
    """lock: the open, locked folder."""

    path: Path
    lock: int

    @property
    def admin(self) -> Path:
        """Envoy's admin socket."""
        return self.path / "admin.sock"

    @property
    def bootstrap(self) -> Path:
        return self.path / "bootstrap.json"

    def replace(self, name: str, text: str) -> None:
        """Writes a file so that any reader sees the old or the new one, whole, and nobody else reads it at all.

        The file is written in the folder and moved to its place, for Envoy watches `sds` for files that are moved in.
        """
        aside = self.path / f".{Path(name).name}.new"
        with writable(self.path):
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            aside.replace(self.path / name)


@contextmanager
def agent_folder(data: Path, proxy: str) -> Iterator[Folder]:
    """The new folder of `proxy`, gone after the block."""
    proxies = data / "proxies"
    path = proxies / proxy
    with writable(proxies):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)  # where no control plane is, nobody else has made it
        proxies.mkdir(mode=0o700, exist_ok=True)
        _remove_stale(proxies)
        path.mkdir(mode=0o700)
        (path / "sds").mkdir(mode=0o700)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Folder(path, lock)
    finally:
        _remove(path)
        os.close(lock)


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Tells the user what to do when `place` can't be written to."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "make room there"
        else:
            hint = "give another state folder with --data or TULLE_DATA, to `tulle up` as well"
        raise AgentError(f"can't write to {place}: {error.strerror}; {hint}") from error


def _remove(path: Path) -> None:
    remove_shared_memory(str(path))
    if path.exists():
        import shutil  # rarely needed, and large

        shutil.rmtree(path, ignore_errors=True)  # two agents, or the reaper, may be at it at once


def _remove_stale(proxies: Path) -> None:
    for path in proxies.iterdir():
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            if os.fstat(folder).st_mtime < time.time() - _STALE_SECONDS:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
        except BlockingIOError:
            continue
        finally:
            os.close(folder)
