"""Takes back a rewritten bind when the socket turns out to be a client's.

A bind does not tell whether a server or a client makes it. A client that has bound 0.0.0.0 or an address of this
machine, and was put on loopback, could call no other machine. What is bound stays bound, so the program gets a new
socket under the same number, bound as it said, with the options that clients set before they connect. If it is in an
epoll set already, it is not any more: the one thing that this loses.
"""

from __future__ import annotations

import _socket
import fcntl
import os

from tulle.agent.capture import seccomp_socket as socket
from tulle.agent.capture.linux import is_kept_on_exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tulle.agent.capture.notify import Listener, Notification

_SOL, _IP, _IPV6, _TCP = _socket.SOL_SOCKET, _socket.IPPROTO_IP, _socket.IPPROTO_IPV6, _socket.IPPROTO_TCP
_TIME_OR_LINGER = 16
_OPTIONS = (  # socket(7), ip(7), ipv6(7), tcp(7)
    *((_SOL, name) for name in (_socket.SO_REUSEADDR, _socket.SO_REUSEPORT, _socket.SO_KEEPALIVE)),
    *((_SOL, name) for name in (_socket.SO_PRIORITY, _socket.SO_LINGER, _socket.SO_RCVTIMEO, _socket.SO_SNDTIMEO)),
    (_IP, _socket.IP_TOS),
    (_IPV6, _socket.IPV6_V6ONLY),
    *((_TCP, name) for name in (_socket.TCP_NODELAY, _socket.TCP_KEEPIDLE, _socket.TCP_KEEPINTVL)),
    *((_TCP, name) for name in (_socket.TCP_KEEPCNT, _socket.TCP_USER_TIMEOUT)),
)


def unbind(listener: Listener, call: Notification, descriptor: int, original: bytes) -> None:
    """Puts a socket that is bound to `original` in place of the one that the call names. Raises OSError."""
    old = _socket.socket(fileno=os.dup(descriptor))
    new = _socket.socket(old.family, old.type, old.proto)
    try:
        for level, name in _OPTIONS:
            _copy(old, new, level, name)
        if socket.bind(new.fileno(), original):
            return  # it can't be had any more: the call fails as the kernel says
        fcntl.fcntl(new.fileno(), fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL))
        number = call.arguments[0] & 0xFFFFFFFF
        listener.put_descriptor(call.id, new.fileno(), number, on_exec=is_kept_on_exec(call.thread, number))
    finally:
        old.close()
        new.close()


def _copy(old: _socket.socket, new: _socket.socket, level: int, name: int) -> None:
    try:  # noqa: SIM105 (contextlib costs memory)
        new.setsockopt(level, name, old.getsockopt(level, name, _TIME_OR_LINGER))
    except OSError:
        pass  # not an option of this kind of socket
