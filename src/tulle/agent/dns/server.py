"""The DNS server's sockets: UDP packets and TCP connections in, replies out. What the replies are is the resolver's affair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

from tulle.agent.console import Console
from tulle.agent.dns.connections import Connection, Connections
from tulle.agent.dns.forwarding import NAMESERVER_PORT, PATIENCE_SECONDS, Forwarder
from tulle.agent.dns.mesh_names import MeshNames, Names
from tulle.agent.dns.outside import Outside
from tulle.agent.dns.resolver import Resolver
from tulle.agent.dns.troubles import Troubles

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_HELD_BYTES = 1 << 20  # the kernel's own use counts: 768 bytes for a short query, and it doubles what it is told


@asynccontextmanager
async def serve(
    sockets: Sequence[socket.socket],
    names: Names,
    nameservers: Callable[[], Sequence[str]],
    console: Console,
    *,
    namespace: str,
    outside: Callable[[], Outside] = Outside,
    nameserver_port: int = NAMESERVER_PORT,
    patience: float = PATIENCE_SECONDS,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[None]:
    """Serves DNS within the block on sockets that are bound, UDP and TCP, and closes them.

    namespace: of the program, in which a bare name is one. outside: what is said of hosts that are
    none of the mesh's. The rest is for tests.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()
    connections = Connections()
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
            task = group.create_task(work, name=name)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return task

        troubles = Troubles(console, loop.time)
        mesh = MeshNames(names, spawn, clock or loop.time)
        forwarder = Forwarder(nameservers, nameserver_port, patience, troubles)
        resolver = Resolver(mesh, forwarder, namespace, outside, spawn, troubles)
        doors: list[asyncio.DatagramTransport | asyncio.Server] = []
        try:
            for bound in sockets:
                if bound.type == socket.SOCK_DGRAM:
                    _hold_many(bound)
                    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(resolver), sock=bound)
                    doors.append(transport)
                else:
                    doors.append(await loop.create_server(lambda: Connection(resolver, connections), sock=bound))
            yield
        finally:
            for door in doors:
                door.close()
            connections.close()
            for task in tasks:
                task.cancel()


def _hold_many(bound: socket.socket) -> None:
    """Some hundred packets, which is what the kernel holds by itself, are less than a program may send in a moment."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):  # for root; for others, as much as they may have
        with suppress(PermissionError):
            bound.setsockopt(socket.SOL_SOCKET, option, _HELD_BYTES)
            return


class _Datagrams(asyncio.DatagramProtocol):
    """Queries by UDP, one a packet."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass in 3.11

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._resolver.answer(data, partial(self._respond, addr), by_tcp=False)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    def _respond(self, address: Any, reply: bytes) -> None:
        # UDP may lose packets, and who asks, asks again: better than to pile them up.
        if reply and not self._is_full and not self._transport.is_closing():
            self._transport.sendto(reply, address)
