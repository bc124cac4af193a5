"""A cgroup v2 for one program, by which the kernel tells its sockets from all others (cgroups(7)).

It is a child of the agent's own cgroup, so that every limit of that holds for the program too, and no controller is
enabled for it. The agent holds a lock on it; one that nobody holds was left by an agent that was killed together with
its reaper, and the next agent below the same cgroup removes it, if it is empty by then.

This file is loaded in the reaper too (`ended`), so it imports little.
"""

# ruff: noqa: PTH102, PTH106, PTH118, PTH119, PTH123, SIM105
# pathlib and contextlib would cost the reaper memory for as long as the program runs.

from __future__ import annotations

import errno
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_END_SECONDS = 5.0
_STALE_SECONDS = 60.0  # a younger one may just not be locked yet
_PREFIX = "tulle-"
_ROOT_OUT_OF_SIGHT = "/.."  # a path of this form is not below the root of the cgroup namespace


class NoCgroup(Exception):
    """There can be no cgroup of our own; `str` says why, in the user's words."""


class Cgroup:
    """The new, empty cgroup `tulle-<proxy>`, gone after the block with all that is in it. Raises NoCgroup.

    identifier: the kernel's, never used twice. level: how deep it is below the root of the cgroup namespace, which is
    what nftables counts from since Linux 6.12 (and 6.1.112, 6.6.53); before, in a container, from the machine's root.
    """

    def __init__(self, proxy: str) -> None:
        parent, depth = _own()
        self.path = os.path.join(parent, _PREFIX + proxy)
        self.level = depth + 1
        _remove_stale(parent)
        try:
            os.mkdir(self.path, 0o755)
        except OSError as error:
            raise NoCgroup(f"no cgroup can be made in {parent}: {_because(error)}") from error
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.identifier = os.fstat(self._lock).st_ino
            _lock(self._lock)
            self._check(parent)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Cgroup:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            ended(self.path)
        finally:
            os.close(self._lock)

    def _check(self, parent: str) -> None:
        """That a process may be moved from here to there."""
        kind = _read(os.path.join(self.path, "cgroup.type"))
        if kind not in ("domain", "domain threaded"):
            raise NoCgroup(f"the agent's own cgroup {parent} is for threads, not for processes")
        for place in (self.path, parent):
            if not os.access(os.path.join(place, "cgroup.procs"), os.W_OK):
                raise NoCgroup(f"processes can't be moved out of the cgroup {parent}: it is not delegated to this user")


def join(path: str) -> None:
    """Moves the calling process there: the sockets that it makes from now on belong to that cgroup. Raises OSError."""
    procs = os.open(os.path.join(path, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(procs, b"0")
    finally:
        os.close(procs)


def ended(path: str) -> None:
    """Kills what is left in a cgroup and below it, and removes it. Raises OSError if it is still there after a while."""
    deadline = time.monotonic() + _END_SECONDS
    while True:
        try:
            _remove(path)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        try:
            _kill(path)
        except FileNotFoundError:  # the reaper and the agent may be at it at once
            pass
        time.sleep(0.002)  # the dead are counted until the kernel has taken them apart


def _own() -> tuple[str, int]:
    """Where the agent's own cgroup is found, and how deep it is."""
    name = _name()
    mounts = list(_mounts())
    if not mounts:
        raise NoCgroup("no cgroup v2 is mounted")
    if name.startswith(_ROOT_OUT_OF_SIGHT):
        raise NoCgroup("the agent's own cgroup is outside of its cgroup namespace")
    parts = [part for part in name.split("/") if part]
    if captured := next(filter(_is_ours, parts), None):
        raise NoCgroup(f"the agent itself runs in a captured program ({captured}), whose sidecar has its calls")
    for root, place in mounts:
        if (name + "/").startswith(root.rstrip("/") + "/"):
            found = os.path.join(place, name[len(root.rstrip("/")) :].lstrip("/")).rstrip("/")
            if _is_in(found):
                return found, len(parts)
    raise NoCgroup(f"the agent's own cgroup {name} is not below {' or '.join(place for _, place in mounts)}")


def _name() -> str:
    """Of the cgroup v2 of this process; there are others beside it in a hybrid layout."""
    try:
        for line in _read("/proc/self/cgroup").splitlines():
            if line.startswith("0::"):
                return line[3:]
    except FileNotFoundError:
        pass
    raise NoCgroup("the kernel has no cgroup v2")


def _mounts() -> Iterator[tuple[str, str]]:
    """Of cgroup v2: which cgroup is mounted, and where (proc(5), /proc/pid/mountinfo)."""
    for line in _read("/proc/self/mountinfo").splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, place = fields.split()[3:5]
            yield _unescaped(root), _unescaped(place)


def _is_in(path: str) -> bool:
    """Whether this process is in that cgroup, whatever the mounts make it look like."""
    try:
        return str(os.getpid()) in _read(os.path.join(path, "cgroup.procs")).split()
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP  # one for threads: it is there, and no good


def _because(error: OSError) -> str:
    if error.errno == errno.EROFS:
        return "it is mounted read-only, as in a container without privileges"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "it is not delegated to this user"
    if error.errno == errno.EAGAIN:
        return "it may not have more below it (cgroup.max.descendants, cgroup.max.depth)"
    if error.errno == errno.EEXIST:
        return "another sidecar of the same name is there"
    return os.strerror(error.errno or 0)


def _remove(path: str) -> None:
    """With the cgroups that the program has made in it. Raises OSError, EBUSY if anything is in one of them."""
    try:
        for below in _below(path):
            _remove(below)
        os.rmdir(path)
    except FileNotFoundError:
        pass


def _kill(path: str) -> None:
    try:
        kill = os.open(os.path.join(path, "cgroup.kill"), os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # before Linux 5.14
        _kill_one_by_one(path)
        return
    try:
        os.write(kill, b"1")
    finally:
        os.close(kill)


def _kill_one_by_one(path: str) -> None:
    for below in _below(path):
        _kill_one_by_one(below)
    for process in _read(os.path.join(path, "cgroup.procs")).split():
        if process != "0":  # of another pid namespace
            try:
                os.kill(int(process), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # then it is another user's, and stays
                pass


def _remove_stale(parent: str) -> None:
    for below in _below(parent):
        if _is_ours(os.path.basename(below)):
            try:
                place = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if os.fstat(place).st_mtime < time.time() - _STALE_SECONDS:
                    _lock(place)
                    _remove(below)
            except OSError as error:  # locked, not empty, or not ours to remove: it stays
                if error.errno not in (errno.EWOULDBLOCK, errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
            finally:
                os.close(place)


def _is_ours(name: str) -> bool:
    """Not a unit of systemd, such as tulle-a.service: those have a dot, and the ids of proxies have none."""
    return name.startswith(_PREFIX) and "." not in name


def _lock(place: int) -> None:
    import fcntl  # the reaper needs it not

    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _below(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def _unescaped(path: str) -> str:
    for escaped, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        path = path.replace(escaped, character)
    return path
