"""Which nameservers the machine uses: /etc/resolv.conf, read as the C library reads it (resolv.conf(5))."""

from __future__ import annotations

import os
import socket
from pathlib import Path

PATH = Path("/etc/resolv.conf")

_MOST_NAMESERVERS = 3  # MAXNS
_DEFAULT = "127.0.0.1"


def read_nameservers(path: Path = PATH) -> tuple[str, ...]:
    """At least one, in the order in which they are asked; IPv6 ones perhaps with a scope (`fe80::1%eth0`).

    Raises OSError if the file can't be read; where there is none, the machine itself is asked.
    """
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return (_DEFAULT,)
    found: list[str] = []
    for line in text.splitlines():
        # A keyword starts its line; so comments, which start with # or ;, are no keywords either.
        keyword, *values = line.split() if line[:1].strip() else [""]
        if keyword == "nameserver" and values and (address := _address(values[0])):
            found.append(address)
    return tuple(found[:_MOST_NAMESERVERS]) or (_DEFAULT,)


class Nameservers:
    """Gives the nameservers of a file that changes, as it does when a machine joins another network."""

    def __init__(self, path: Path = PATH) -> None:
        self._path = path
        self._read: tuple[str, ...] = (_DEFAULT,)
        self._state: tuple[int, ...] | None = ()

    def __call__(self) -> tuple[str, ...]:
        """The nameservers now. While the file can't be read: those of the last time."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked for each query; Path.stat takes twice as long
            state = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
        except FileNotFoundError:
            state = None
        except OSError:
            return self._read
        if state != self._state:
            try:
                self._read, self._state = read_nameservers(self._path), state
            except OSError:
                self._state = ()  # looked at again the next time
        return self._read


def _address(text: str) -> str | None:
    """An address as programs write it; None for what the C library would pass over as well."""
    address = text.partition("#")[0].partition(";")[0]
    try:
        return socket.inet_ntoa(socket.inet_aton(address))
    except OSError:
        number, percent, scope = address.partition("%")
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, number)) + percent + scope
    except OSError:
        return None
