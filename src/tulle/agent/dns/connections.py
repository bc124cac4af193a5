"""DNS over TCP (RFC 7766): several queries on a connection, answered in whatever order the answers are found.

Bounded: connections, queries in flight on each, what is read ahead, what is not fetched. An idle one is closed.
"""

from __future__ import annotations

import asyncio
from typing import cast

from tulle.agent.dns.resolver import Resolver

_MOST_CONNECTIONS = 64
_MOST_WAITING = 32  # queries of one connection
_IDLE_SECONDS = 10.0  # RFC 7766, 6.2.3: a few seconds


class Connections:
    """Those that are open."""

    def __init__(self) -> None:
        self._open: dict[Connection, None] = {}  # the oldest comes first

    def add(self, connection: Connection) -> None:
        """Takes it in. If there are too many, the oldest that waits for nothing has to go; else this one."""
        if len(self._open) >= _MOST_CONNECTIONS:
            idle = next((other for other in self._open if other.is_idle), connection)
            idle.abort()
            self._open.pop(idle, None)
            if idle is connection:
                return
        self._open[connection] = None

    def remove(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def close(self) -> None:
        """Ends all of them."""
        for connection in self._open:
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection of the program."""

    def __init__(self, resolver: Resolver, connections: Connections) -> None:
        self._resolver = resolver
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._waiting = 0
        self._is_full = False  # what was answered is not fetched
        self._has_ended = False  # nothing more will be asked
        self._is_taking = False
        self._used = self._loop.time()

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._end_if_idle)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._take()

    def eof_received(self) -> bool:
        """Answers what was asked, although nothing more will be."""
        self._has_ended = True
        self._take()
        return True

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._take()

    def _take(self) -> None:
        """Has queries answered, as many as there may be now."""
        if self._is_taking or self._transport.is_closing():
            return
        self._is_taking = True
        for _ in range(_MOST_WAITING):
            if self._is_full or self._waiting >= _MOST_WAITING or not (packet := self._next()):
                break
            self._waiting += 1
            self._resolver.answer(packet, self._respond, by_tcp=True)
        self._is_taking = False
        self._go_on()

    def _go_on(self) -> None:
        """Decides what is next: the rest after a turn for others, more to read, or the end."""
        if self._is_full or self._waiting >= _MOST_WAITING:
            self._transport.pause_reading()
        elif self._has_whole_message():
            self._transport.pause_reading()
            self._loop.call_soon(self._take)
        elif self._has_ended:
            if not self._waiting:
                self._transport.close()
        else:
            self._transport.resume_reading()

    def _has_whole_message(self) -> bool:
        return len(self._received) >= 2 and len(self._received) >= 2 + int.from_bytes(self._received[:2], "big")

    def _next(self) -> bytes:
        """The next message that has come in whole; b"" if there is none, or it is empty."""
        if not self._has_whole_message():
            return b""
        end = 2 + int.from_bytes(self._received[:2], "big")
        packet = bytes(self._received[2:end])
        del self._received[:end]
        return packet

    def _respond(self, reply: bytes) -> None:
        self._waiting -= 1
        self._used = self._loop.time()
        if self._transport.is_closing():
            return
        if reply:
            self._transport.write(len(reply).to_bytes(2, "big") + reply)
        self._take()

    def _end_if_idle(self) -> None:
        left = self._used + _IDLE_SECONDS - self._loop.time()
        if self._waiting:
            left = _IDLE_SECONDS
        if left > 0:
            self._timer = self._loop.call_later(left, self._end_if_idle)
        else:
            self._transport.abort()  # also what was not fetched
