"""Around fork and exec in the mode netns: the child enters the namespace; what it binds is moved to the host's loopback.

A TCP socket that the program binds to a port of its choice is replaced by one of the host's network namespace, on a port
of 127.0.0.1 that the kernel chose, where Envoy reaches it. All binds of one port get the same port outside, with the
options that the program has set, so the kernel's own word counts on whether it is taken, shared (SO_REUSEPORT) or free
again. The program's first socket for an address is bound inside, as it wanted, and handed to the agent, which passes on the
calls that the program makes to itself (netns_self_calls.py).

Left as they are, so reachable from inside only: port 0, UDP, what a 32-bit program or io_uring binds, and a socket for IPv6
only where the host has no ::1. A socket that is bound before it connects (a source port of one's own choice) is the
host's as well; from 127.0.0.1 it reaches nothing but the host's loopback.
"""

# ruff: noqa: SIM105
# contextlib would cost memory for as long as the program runs.

from __future__ import annotations

import _socket
import errno
import os
import sys

from tulle.agent.capture import linux, notify
from tulle.agent.capture.launch import Launch
from tulle.agent.capture.netns_binds import Bind, serve
from tulle.agent.capture.netns_options import copy_options
from tulle.model.addresses import LOOPBACK, PLACEHOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_BACKLOG = 128


def launch(plan: dict[str, Any], tell: Callable[[str], None]) -> Launch:
    """The plan is netns.py's."""
    return _Namespaced(plan, tell)


class _Namespaced(Launch):
    def __init__(self, plan: dict[str, Any], tell: Callable[[str], None]) -> None:
        machine = notify.machine()
        if not machine:
            raise OSError(errno.ENOSYS, "the system calls of this machine are not known")
        self._machine = machine
        self._filter = notify.build_filter(machine, ("bind",))
        self._network = os.open(plan["network"], os.O_RDONLY | os.O_CLOEXEC)
        self._user = os.open(plan["user"], os.O_RDONLY | os.O_CLOEXEC) if plan["user"] else -1
        self._moved = _Moved(plan["cookie"], plan["self_calls"], tell)
        self._ours, self._childs = _socket.socketpair()
        self._listeners: dict[int, notify.Listener] = {}

    def in_child(self) -> None:
        if self._user >= 0:
            linux.enter_namespace(self._user, linux.CLONE_NEWUSER)
        linux.enter_namespace(self._network, linux.CLONE_NEWNET)
        listener = notify.install_filter(self._machine, self._filter)
        linux.send_descriptor(self._childs, listener)

    def after_fork(self, child: int) -> None:
        self._childs.close()  # so that its end is seen
        try:
            listener = notify.Listener(linux.receive_descriptor(self._ours))
            self._listeners[listener.fileno()] = listener
        except EOFError:
            pass  # the child tells itself what went wrong
        self._ours.close()
        self._ours, self._childs = _socket.socketpair()

    def descriptors(self) -> Mapping[int, Callable[[], None]]:
        return dict.fromkeys(self._listeners, self._serve)

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._moved.close()
        self._ours.close()
        self._childs.close()
        os.close(self._network)
        if self._user >= 0:
            os.close(self._user)

    def _serve(self) -> None:
        """Not by turns: who has nothing to say costs one poll."""
        for listener in list(self._listeners.values()):
            if not serve(listener, self._moved.move):
                del self._listeners[listener.fileno()]
                listener.close()


class _Moved:
    """The ports that the program has bound, and where they are outside."""

    def __init__(self, cookie: int | None, self_calls: str, tell: Callable[[str], None]) -> None:
        self._cookie = cookie
        self._tell = tell
        self._outside: dict[int, int] = {}
        self._reservations: list[_socket.socket] = []
        self._inside: set[tuple[int, str, int]] = set()
        self._self_calls = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._self_calls.connect(self_calls)

    def move(self, bind: Bind) -> bool:
        """Gives the program a socket outside. False if there can be none: then it stays inside, where it is."""
        own = bind.socket
        if self._cookie and _cookie(own) != self._cookie:  # a sandbox of the program's own, which is to stay one
            return False
        other = _socket.socket(own.family, own.type, own.proto)
        try:
            copy_options(own, other)
            host = _host(own)
            try:
                other.bind((host, self._outside.get(bind.port) or _free_port(host)))
            except OSError as error:
                if host == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    return False
                raise
            port = other.getsockname()[1]
            self._keep_inside(bind, host, port)
            if bind.port not in self._outside:
                self._outside[bind.port] = port
                self._reserve(port)
                self._tell(f"moved {bind.port} {port}")
            bind.put(other)
        finally:
            other.close()
        return True

    def close(self) -> None:
        self._self_calls.close()
        for reservation in self._reservations:
            reservation.close()

    def _keep_inside(self, bind: Bind, host: str, port: int) -> None:
        """Binds the program's own socket as it wanted, for its calls to itself. Raises what that raises."""
        where = (bind.socket.family, bind.address, bind.port)
        if where in self._inside:
            return
        try:
            bind.socket.bind((bind.address, bind.port))
            bind.socket.listen(_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and bind.port in self._outside:
                return  # by an earlier one of ours, for all addresses
            raise
        self._inside.add(where)
        descriptor = bind.socket.fileno().to_bytes(4, sys.byteorder)
        to = f"{host.removeprefix('::ffff:')} {port}".encode()
        self._self_calls.sendmsg([to], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor)])

    def _reserve(self, port: int) -> None:
        """Has the kernel not give the port to outgoing connections, which get none that anybody has bound on any address."""
        reservation = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self._reservations.append(reservation)
        try:
            reservation.bind((PLACEHOLDER, port))
        except OSError:  # someone has it there already, which does as well
            pass


def _free_port(host: str) -> int:
    """0, for which the kernel chooses; but a port that is for ::1 must be free on 127.0.0.1 as well, for what follows."""
    if host != "::1":
        return 0
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
    finally:
        probe.close()


def _cookie(of: _socket.socket) -> int:
    return int.from_bytes(of.getsockopt(_socket.SOL_SOCKET, linux.SO_NETNS_COOKIE, 8), sys.byteorder)


def _host(own: _socket.socket) -> str:
    """Envoy's way to it: 127.0.0.1 whenever the socket can be reached by IPv4."""
    if own.family == _socket.AF_INET:
        return LOOPBACK
    only = own.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)
    return "::1" if only else "::ffff:127.0.0.1"
