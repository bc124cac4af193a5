"""bind() of other processes, answered with another socket: what the agent (for Envoy) and the reaper (for the program)
have in common in the mode netns.

A call that waits is taken from the listener of a seccomp filter (`notify.py`), and whoever is asked may put a socket of
its choice in the place of the caller's, under the same number and with the same flags. Its registrations with epoll are
lost by that, which hurts only a program that registers a socket before it binds it.
Only TCP sockets with a port of the caller's choice are asked about; the kernel does the others as if nobody had looked.
Cheap to import, see linux.py.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import sys

from tulle.agent.capture.linux import duplicate_of, is_kept_on_exec, read_memory
from tulle.agent.capture.notify import Listener, Notification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIGKILL = 9
_ADDRESS_SIZES = {_socket.AF_INET: 16, _socket.AF_INET6: 28}  # struct sockaddr_in, sockaddr_in6


class Bind:
    """A call of bind() that waits.

    number: of the caller's descriptor; socket: a duplicate of what is behind it, in the caller's network namespace.
    """

    def __init__(self, listener: Listener, call: Notification, socket: _socket.socket, where: bytes) -> None:
        self._listener = listener
        self._call = call
        self.number = call.arguments[0] & 0xFFFFFFFF
        self.socket = socket
        self.port = int.from_bytes(where[2:4], "big")
        self.address = _socket.inet_ntop(socket.family, where[4:8] if socket.family == _socket.AF_INET else where[8:24])

    def put(self, other: _socket.socket) -> None:
        """Puts the other socket in the place of the caller's. Raises OSError: ENOENT if the caller is gone."""
        kept = is_kept_on_exec(self._call.thread, self.number)
        self._listener.put_descriptor(self._call.id, other.fileno(), self.number, on_exec=kept)


def serve(listener: Listener, decide: Callable[[Bind], bool], *, or_kill: bool = False) -> bool:
    """Answers one call, if one waits. False if there will be none any more: nobody is left under the filter.

    decide: whether it has done what the caller wanted; if not, the kernel is to do it. Its OSError is the caller's.
    or_kill: ends a caller whose call can't be looked into, or for whom `decide` fails.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    ready = poll.poll(0)
    if not ready:
        return True
    if not ready[0][1] & select.POLLIN:
        return False
    call = listener.receive()
    if call is None:
        return True
    bind = None
    try:
        bind = _asked(listener, call)
        if bind and decide(bind):
            listener.answer(call.id)
        else:
            listener.let_run(call.id)
    except OSError as error:
        if or_kill:
            _kill(listener, call)
        elif bind:
            listener.fail(call.id, error.errno or errno.EIO)
        else:
            listener.let_run(call.id)  # the kernel knows what to tell the caller
    finally:
        if bind:
            bind.socket.close()
    return True


def _kill(listener: Listener, call: Notification) -> None:
    if listener.still_waits(call.id):  # so it is the caller's number yet
        os.kill(call.thread, _SIGKILL)


def _asked(listener: Listener, call: Notification) -> Bind | None:
    """What the call is about; None if it is none of our business. Raises OSError if it can't be seen."""
    number, address, size = call.arguments[:3]
    where = read_memory(call.thread, address, min(size & 0xFFFFFFFF, 28))
    socket = _as_socket(duplicate_of(call.thread, number & 0xFFFFFFFF))
    if (
        socket.type == _socket.SOCK_STREAM
        and len(where) >= _ADDRESS_SIZES.get(socket.family, 128)
        and int.from_bytes(where[:2], sys.byteorder) == socket.family
        and where[2:4] != b"\0\0"
        and socket.getsockname()[1] == 0
        and listener.still_waits(call.id)
    ):
        return Bind(listener, call, socket, where)
    socket.close()
    return None


def _as_socket(descriptor: int) -> _socket.socket:
    try:
        return _socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
