"""Connects the program's own socket to where its call should go, and answers when that is done.

On loopback a connect is done at once, unless the listener's queue is full, as in a burst. Then the caller waits, with
its socket in the poll set, and nobody else does. A door that refuses is being restarted: it is tried again for a while.

The socket is made non-blocking for as long as this takes, or the reaper would stand still; the flag belongs to the open
socket, so it is the program's as well, and is put back before the answer. A second connect(2) on a socket that is being
connected tells how it went (0, EALREADY, or the error) and leaves the socket as a connect that waited would.

The PROXY header is to be the first bytes on the connection, so a caller is answered when they are written; if it knew
of the connection earlier, its own might be first. One that does not want to wait (O_NONBLOCK) would stand still for as
long as the queue is full, and its event loop with it. After a moment it is told EINPROGRESS: the header then goes with
the connect itself, by which the kernel puts it before all else (TCP_FASTOPEN_NO_COOKIE, tcp(7); who listens need not
know of it).
"""

from __future__ import annotations

import errno
import os
import select
import time

from tulle.agent.capture import seccomp_socket as socket
from tulle.agent.capture.seccomp_address import proxy_header
from tulle.agent.capture.timer import Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tulle.agent.capture.notify import Listener

TICK_SECONDS = 0.025
REFUSED_SECONDS = 2.0
CONNECT_SECONDS = 120.0  # about what the kernel takes to give up (tcp(7), tcp_syn_retries)
MOMENT_SECONDS = 0.05
_LOOK_SECONDS = 0.25
_SLOWEST_RETRY_SECONDS = 0.2
_REPEAT_SECONDS = 1.0
_REMEMBERED = 256


class Attempt:
    """A call that waits for its socket to be connected.

    header: the destination that a PROXY header should tell. patient: try again when refused. data: to be sent next, for
    a call that does both (sendto with MSG_FASTOPEN), whose result is the number of bytes.
    """

    __slots__ = (
        *("data", "descriptor", "flags", "header", "id", "impatient", "listener"),
        *("next", "patient", "pause", "since", "to"),
    )

    def __init__(self, listener: Listener, id_: int, descriptor: int, to: bytes) -> None:
        self.listener = listener
        self.id = id_
        self.descriptor = descriptor
        self.to = to
        self.header: tuple[bytes, int] | None = None
        self.patient = False
        self.data: bytes | None = None
        self.flags: int | None = None
        self.impatient = False
        self.since = self.next = 0.0
        self.pause = 0.0  # until it is tried anew; 0 while it is being connected


class Connector:
    """Every connect that is under way. Their descriptors and the timer's are put into `epoll`.

    may_repeat: a call may come twice, because a signal met the first (`signals_wait` in notify.py). source: address and
    port that PROXY headers are to name as the source.
    """

    def __init__(self, epoll: select.epoll, source: tuple[bytes, int], *, may_repeat: bool) -> None:
        self._epoll = epoll
        self._source = source
        self._may_repeat = may_repeat
        self._timer = Timer(TICK_SECONDS)
        self._waiting: dict[int, Attempt] = {}
        self._sockets: dict[int, Attempt] = {}  # the same by inode
        self._done: dict[int, tuple[float, bytes, tuple[bytes, int] | None]] = {}
        self._epoll.register(self._timer.fileno(), select.EPOLLIN)

    @property
    def timer(self) -> int:
        return self._timer.fileno()

    def begin(self, attempt: Attempt) -> None:
        """Takes the attempt over, its descriptor with it."""
        if self._sockets and (earlier := self._sockets.get(_inode(attempt))):
            if earlier.listener.still_waits(earlier.id):  # another thread's
                self._finish(attempt, errno.EALREADY)
                return
            attempt.flags, attempt.since = earlier.flags, earlier.since
            self._forget(earlier)
            os.close(earlier.descriptor)
        else:
            attempt.flags = socket.stop_blocking(attempt.descriptor)
        attempt.impatient = attempt.flags is None and attempt.data is None
        if not self._try(attempt):
            now = time.monotonic()
            attempt.since = attempt.since or now  # 0 at the first try of all
            self._wait(attempt, now + (attempt.pause or MOMENT_SECONDS))
            self.keep_time()

    def ready(self, descriptor: int) -> None:
        """To be called when epoll has told of a descriptor."""
        attempt = self._waiting.get(descriptor)
        if attempt and not attempt.pause:
            self._go_on(attempt)

    def ring(self) -> None:
        """To be called when the timer is readable: looks after those whose time it is."""
        self._timer.rung()
        now = time.monotonic()
        for attempt in [attempt for attempt in self._waiting.values() if attempt.next <= now]:
            if not attempt.listener.still_waits(attempt.id):
                self._leave(attempt)
            elif attempt.pause:
                self._go_on(attempt)
            elif attempt.impatient:
                self._hurry(attempt)
            elif now > attempt.since + CONNECT_SECONDS:
                socket.disconnect(attempt.descriptor)
                self._leave(attempt, errno.ETIMEDOUT)
            else:
                attempt.next = now + _LOOK_SECONDS
        self.keep_time()

    def drop(self, listener: Listener) -> None:
        """Nobody is left under this listener."""
        for attempt in [attempt for attempt in self._waiting.values() if attempt.listener is listener]:
            self._leave(attempt)

    def keep_time(self, wanted: bool = False) -> None:
        """Has the timer run while somebody waits, or while it is wanted for another reason."""
        self._timer.run(wanted or bool(self._waiting))

    def close(self) -> None:
        for attempt in list(self._waiting.values()):
            self._leave(attempt)
        self._timer.close()

    def _go_on(self, attempt: Attempt) -> None:
        self._forget(attempt)
        self._try_or_wait(attempt)

    def _try_or_wait(self, attempt: Attempt) -> None:
        if not self._try(attempt):
            self._wait(attempt, time.monotonic() + (attempt.pause or _LOOK_SECONDS))

    def _wait(self, attempt: Attempt, until: float) -> None:
        attempt.next = until
        self._waiting[attempt.descriptor] = self._sockets[_inode(attempt)] = attempt

    def _try(self, attempt: Attempt) -> bool:
        """Whether it is answered."""
        error = socket.connect(attempt.descriptor, attempt.to)
        fresh = error == errno.EINPROGRESS
        if fresh:
            error = socket.connect(attempt.descriptor, attempt.to)
        elif error == 0 and socket.forget_fast_open(attempt.descriptor):
            return self._try(attempt)
        elif error == errno.EISCONN and self._may_repeat and self._was_done(attempt):
            return self._finish(attempt, 0)
        if error == 0 and (fresh or attempt.since):
            return self._connected(attempt)
        if error == errno.EALREADY and (fresh or attempt.since):
            if socket.is_bound_to_another_device(attempt.descriptor):
                socket.disconnect(attempt.descriptor)
                return self._finish(attempt, errno.ENETUNREACH)
            if attempt.impatient and not attempt.header:
                return self._finish(attempt, errno.EINPROGRESS)
            attempt.pause = 0.0
            try:
                self._epoll.register(attempt.descriptor, select.EPOLLOUT)
            except OSError:  # epoll's limits (max_user_watches): asked by the clock, then
                attempt.pause = TICK_SECONDS
            return False
        if error == errno.ECONNREFUSED and attempt.patient:
            now = time.monotonic()
            if not attempt.since or now < attempt.since + REFUSED_SECONDS:
                attempt.pause = min(2 * attempt.pause or TICK_SECONDS, _SLOWEST_RETRY_SECONDS)
                return False
        return self._finish(attempt, error)

    def _hurry(self, attempt: Attempt) -> None:
        """Lets the caller go, with the header on its way before anything that it may send."""
        attempt.impatient = False
        self._forget(attempt)
        socket.disconnect(attempt.descriptor)
        header = proxy_header(*self._source, *attempt.header) if attempt.header else b""
        if socket.send_ahead(attempt.descriptor, header, attempt.to):
            self._finish(attempt, errno.EINPROGRESS)
        else:
            self._try_or_wait(attempt)

    def _connected(self, attempt: Attempt) -> bool:
        if attempt.header:
            _, error = socket.send(attempt.descriptor, proxy_header(*self._source, *attempt.header))
            if error:
                return self._finish(attempt, error)
        if attempt.data is None:
            return self._finish(attempt, 0)
        return self._finish(attempt, *reversed(socket.send(attempt.descriptor, attempt.data)))

    def _finish(self, attempt: Attempt, error: int, value: int = 0) -> bool:
        socket.restore(attempt.descriptor, attempt.flags)
        if error:
            attempt.listener.fail(attempt.id, error)
        else:
            attempt.listener.answer(attempt.id, value)
            if self._may_repeat:
                self._remember(attempt)
        os.close(attempt.descriptor)
        return True

    def _remember(self, attempt: Attempt) -> None:
        self._done[_inode(attempt)] = (time.monotonic(), attempt.to, attempt.header)
        if len(self._done) > _REMEMBERED:
            del self._done[next(iter(self._done))]

    def _was_done(self, attempt: Attempt) -> bool:
        """Whether this is a call that was answered a moment ago, once more."""
        then, *what = self._done.pop(_inode(attempt), (0.0,))
        return what == [attempt.to, attempt.header] and time.monotonic() < then + _REPEAT_SECONDS

    def _leave(self, attempt: Attempt, error: int = 0) -> None:
        """Gives up. Without an error nobody waits for an answer any more."""
        self._forget(attempt)
        if error:
            self._finish(attempt, error)
        else:
            socket.restore(attempt.descriptor, attempt.flags)
            os.close(attempt.descriptor)

    def _forget(self, attempt: Attempt) -> None:
        if not attempt.pause:  # the program has the socket as well, so closing ours would leave it in the poll set
            self._epoll.unregister(attempt.descriptor)
        del self._waiting[attempt.descriptor], self._sockets[_inode(attempt)]


def _inode(attempt: Attempt) -> int:
    return os.fstat(attempt.descriptor).st_ino
