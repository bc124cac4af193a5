"""What the kernel tells of sockets that listen and of the processes that hold them (proc(5), sock_diag(7)).

Only what this user may see: another user's process shows its parent, not its sockets.
"""
# ruff: noqa: PTH110, PTH115, PTH123, PTH208
# Read ten times a second at the start of a program: pathlib would make it twice as slow.

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tulle.agent import sock_diag

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket that listens: its inode, where, and whose it is. Several may share an address and a port (SO_REUSEPORT)."""

    inode: str
    address: str
    port: int
    user: int


def listeners() -> frozenset[Listener]:
    """All that listen in this network namespace."""
    found: set[Listener] = set()
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            found.update(
                Listener(str(inode), address, port, user) for inode, address, port, user in sock_diag.listening(family)
            )
    except OSError:  # a kernel without it
        found.update(_tables())
    return frozenset(found)


def _tables() -> Iterator[Listener]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/net/{table}", buffering=4096) as rows:  # no IPv6
            next(rows, "")
            for row in rows:
                fields = row.split(maxsplit=10)
                if fields[3] != _LISTEN:  # the kernel writes those that listen first
                    break
                address, _, port = fields[1].rpartition(":")
                yield Listener(fields[9], _address(address), int(port, 16), int(fields[7]))


def _address(text: str) -> str:
    """Each group of eight digits is a word in the machine's own byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root: int) -> set[int]:
    """All processes below `root`, without itself.

    One that a process has started while another of its children ended may be missing until the next look.
    """
    # Not in every kernel (CONFIG_PROC_CHILDREN). Without it every process of the machine has to be looked at.
    children = _children if os.path.exists(f"/proc/{root}/task/{root}/children") else _children_by_parent()
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = [child for child in children(waiting.pop()) if child not in found]
        found.update(below)
        waiting.extend(below)
    return found


def _children(process: int) -> list[int]:
    """None if it has ended."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with suppress(OSError), open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _children_by_parent() -> Callable[[int], list[int]]:
    """The same of each process, as it is now, from what each says of its parent."""
    children: dict[int, list[int]] = {}
    for process in processes():
        with suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:
            children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(process)
    return lambda process: children.get(process, [])


def sockets_of(process: int) -> set[str]:
    """The inodes of the sockets that a process has open; none if they can't be seen."""
    folder = f"/proc/{process}/fd"
    found = set()
    with suppress(OSError):
        for descriptor in os.listdir(folder):
            with suppress(OSError):
                link = os.readlink(f"{folder}/{descriptor}")
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found


def users_of(process: int) -> set[int]:
    """The users as which a process runs, those among them that it has put off; none if they can't be seen."""
    with suppress(OSError), open(f"/proc/{process}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Uid:"):
                return set(map(int, line.split()[1:]))
    return set()


def described(process: int) -> str:
    """`process 4711 (python b.py)`."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()[:80]
    except OSError:
        command = "ended meanwhile"
    return f"process {process} ({command})"
