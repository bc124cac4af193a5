"""Where the program's servers really listen: on loopback, and on another port if theirs is somebody else's.

Only so does what comes from outside come through the sidecar, and two programs of one machine may both want 8080. A
bind to a loopback address and a free port is left alone, as is whatever is not TCP.

"Taken" is asked of the kernel with a socket of our own and no SO_REUSEPORT: it would let two programs of one user share
a port. If this program's own tree is known to have bound it, who listens tells (proc(5), /proc/net/tcp): workers may
share, a stranger may not. Once a port was moved, every bind to it in this tree goes the same way.
"""

from __future__ import annotations

import _socket
import errno
import os

from tulle.agent.capture import seccomp_socket as socket
from tulle.agent.capture.seccomp_address import (
    AF_INET,
    AF_INET6,
    LOOPBACK,
    LOOPBACK_6,
    is_loopback,
    is_wildcard,
    parsed,
    sockaddr,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LISTENING = "0A"
_REMEMBERED = 4096  # sockets; what is older is forgotten
_TRIES = 8


class Binds:
    """What this program's tree has bound. `tell` sends a line to the agent.

    may_repeat: a call may come twice, because a signal met the first (`signals_wait` in notify.py).
    """

    def __init__(self, tell: Callable[[str], None], *, may_repeat: bool) -> None:
        self._tell = tell
        self._may_repeat = may_repeat
        self._told: set[tuple[int, int]] = set()
        self._moved: dict[int, int] = {}
        self._own: dict[int, set[int]] = {}
        self._homes: dict[int, dict[int, tuple[bytes, int]]] = {}
        self._rewritten: dict[int, bytes] = {}

    def bind(self, descriptor: int, raw: bytes) -> int | None:
        """Binds a TCP socket in the program's stead: an errno. None: let the kernel do as the program said."""
        family, address, port = parsed(raw) or (0, b"", 0)
        if self._may_repeat and self.original(descriptor) == raw:
            return 0
        place = _place(descriptor, family, address)
        if port == 0:
            if place == address:
                return None
            error = socket.bind(descriptor, sockaddr(family, place, 0))
        else:
            wanted = self._wanted(place, port)
            if (place, wanted) == (address, port):
                self._remember(port, descriptor)
                self._say(port, port)  # which may have been taken before
                return None
            error = self._bind(descriptor, family, place, port, wanted)
        if not error:
            self._rewritten[os.fstat(descriptor).st_ino] = raw
            if len(self._rewritten) > _REMEMBERED:
                del self._rewritten[next(iter(self._rewritten))]
        return error

    def home_of(self, address: bytes, port: int) -> tuple[bytes, int] | None:
        """Where the program itself listens, if it calls its own port at an address where it believes to be."""
        homes = self._homes.get(port)
        if not homes:
            return None
        home = homes.get(len(address)) or homes.get(4)
        if home is None or len(home[0]) > len(address) or home == (address, port):
            return None
        return home if is_loopback(address) or is_wildcard(address) or _is_ours(address) else None

    @property
    def any_rewritten(self) -> bool:
        return bool(self._rewritten)

    def original(self, descriptor: int) -> bytes | None:
        """The address that the program gave for a socket which was bound to another."""
        original = self._rewritten.get(os.fstat(descriptor).st_ino)
        return original if original and socket.local_address(descriptor)[1] else None

    def _wanted(self, place: bytes, port: int) -> int:
        """The port that this tree has in place of `port`; 0 if there is none yet and another must be found."""
        wanted = self._moved.get(port, port)
        return 0 if self._is_strangers(place, wanted) else wanted

    def _bind(self, descriptor: int, family: int, place: bytes, port: int, wanted: int) -> int:
        for _ in range(_TRIES):
            error = socket.bind(descriptor, sockaddr(family, place, wanted))
            if error == errno.EADDRINUSE and wanted and self._is_strangers(place, wanted):
                wanted = 0  # it has just been taken
            else:
                break
        if error:
            return error
        real = socket.local_address(descriptor)[1]
        if real != port:
            self._moved[port] = real
        self._remember(real, descriptor)
        self._homes.setdefault(port, {})[len(place)] = (place, real)
        self._say(port, real)
        return 0

    def _say(self, port: int, real: int) -> None:
        if (port, real) not in self._told:
            self._told.add((port, real))
            self._tell(f"moved {port} {real}")

    def _remember(self, port: int, descriptor: int) -> None:
        own = self._own.setdefault(port, set())
        if len(own) > _REMEMBERED:
            own.clear()
        own.add(os.fstat(descriptor).st_ino)

    def _is_strangers(self, place: bytes, port: int) -> bool:
        """Whether somebody outside this tree has the port. Raises OSError when there are no descriptors left."""
        if _is_free(place, port):
            return False
        own = self._own.get(port)
        return own is None or not _listeners(port) <= own


def _place(descriptor: int, family: int, address: bytes) -> bytes:
    """The loopback address for what was to listen at `address`."""
    if is_loopback(address):
        return address
    return LOOPBACK_6 if family == AF_INET6 and socket.is_ipv6_only(descriptor) else LOOPBACK


def _is_free(place: bytes, port: int) -> bool:
    """Also if nothing but ended connections stands against it, as for servers that set SO_REUSEADDR."""
    family = AF_INET if len(place) == 4 else AF_INET6
    probe = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == AF_INET6:
            probe.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        return socket.bind(probe.fileno(), sockaddr(family, place, port)) != errno.EADDRINUSE
    finally:
        probe.close()


def _is_ours(address: bytes) -> bool:
    """Whether this machine has the address."""
    family = AF_INET if len(address) == 4 else AF_INET6
    probe = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        return socket.bind(probe.fileno(), sockaddr(family, address, 0)) == 0
    finally:
        probe.close()


def _listeners(port: int) -> set[int]:
    """The inodes of the sockets that listen on the port, at whatever address."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:  # noqa: PTH123 (pathlib costs memory)
                for line in lines:
                    fields = line.split(None, 10)
                    if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                        found.add(int(fields[9]))
        except FileNotFoundError:  # no IPv6
            continue
    return found
