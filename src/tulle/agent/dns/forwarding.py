"""The machine's nameservers, asked on the program's behalf: the bytes that came, and the bytes that come back.

Only the id is replaced by a random one, and each query has a socket, and so a port, of its own: whoever wants to slip in
a false answer has to guess both (RFC 5452). UDP goes by UDP, so that a truncated answer makes the program come
again by TCP. What comes by TCP goes by UDP first, and by TCP if that answer is truncated or does not come: a program may
use TCP where the machine's nameservers do not. One reply a query: zone transfers do not pass.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from tulle.agent.dns import codec
from tulle.agent.dns.codec import Query
from tulle.agent.dns.troubles import Troubles

NAMESERVER_PORT = 53
PATIENCE_SECONDS = 2.0

_MOST_STRAY = 64  # packets that are no answer, before a nameserver is given up


class Forwarder:
    """Asks the nameservers in their order."""

    def __init__(
        self, nameservers: Callable[[], Sequence[str]], port: int, patience: float, troubles: Troubles
    ) -> None:
        """patience: seconds until the next nameserver is asked, and after the last, until nothing is expected any more."""
        self._nameservers = nameservers
        self._port = port
        self._patience = patience
        self._troubles = troubles

    async def ask(self, packet: bytes, query: Query, *, by_tcp: bool) -> bytes | None:
        """The reply, with the query's id; None if no nameserver gives one.

        A nameserver that says that it failed is believed only if no other says anything else.
        """
        servers = tuple(self._nameservers())
        # The only one is asked twice: a packet may get lost.
        reply = await self._first(servers if len(servers) > 1 else servers * 2, packet, query, by_tcp)
        if reply is None:
            self._troubles.tell(
                "nameservers",
                f"no answer for {codec.readable(query)} from the nameservers of resolv.conf ({', '.join(servers)})",
            )
        return reply

    async def _first(self, servers: Sequence[str], packet: bytes, query: Query, by_tcp: bool) -> bytes | None:
        """The first good reply. Who was asked before may still answer while the next one is asked."""
        loop = asyncio.get_running_loop()
        failure, last = None, ""
        running: set[asyncio.Task[bytes | None]] = set()
        async with asyncio.TaskGroup() as group:
            for server in servers:
                if failure and server == last:  # it has answered, so nothing was lost
                    break
                last = server
                running.add(group.create_task(self._attempt(server, packet, query, by_tcp), name="dns: nameserver"))
                end = loop.time() + self._patience
                while running and (left := end - loop.time()) > 0:
                    done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                    for reply in (task.result() for task in done):
                        if reply and not codec.is_failure(reply):
                            for task in running:
                                task.cancel()
                            return reply
                        failure = failure or reply
            for task in running:
                task.cancel()
        return failure

    async def _attempt(self, server: str, packet: bytes, query: Query, by_tcp: bool) -> bytes | None:
        if by_tcp and query.type not in codec.TRANSFERS:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience / 2):
                    reply = await self._asked(server, packet, query, by_tcp=False)
                    if reply and not codec.is_truncated(reply):
                        return reply
        return await self._asked(server, packet, query, by_tcp)

    async def _asked(self, server: str, packet: bytes, query: Query, by_tcp: bool) -> bytes | None:
        id_ = os.urandom(2)
        kind = socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM
        try:
            # Numeric, so it asks nobody; it knows about the scopes of IPv6.
            family, *_, address = socket.getaddrinfo(server, self._port, type=kind, flags=socket.AI_NUMERICHOST)[0]
            with socket.socket(family, kind) as connection:
                connection.setblocking(False)
                ask = _by_tcp if by_tcp else _by_udp
                reply = await ask(connection, address, id_ + packet[2:], query)
        except (OSError, EOFError):  # told when no nameserver is left
            return None
        return reply and packet[:2] + reply[2:]


async def _by_udp(connection: socket.socket, address: object, packet: bytes, query: Query) -> bytes | None:
    """The answer from that address; the kernel keeps away what comes from others."""
    connection.connect(address)  # type: ignore[arg-type]
    connection.send(packet)
    id_ = int.from_bytes(packet[:2], "big")
    for _ in range(_MOST_STRAY):
        reply = await asyncio.get_running_loop().sock_recv(connection, 65535)
        if codec.is_reply(reply, id_, query):
            return reply
    return None


async def _by_tcp(connection: socket.socket, address: object, packet: bytes, query: Query) -> bytes | None:
    await asyncio.get_running_loop().sock_connect(connection, address)  # type: ignore[arg-type]
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(len(packet).to_bytes(2, "big") + packet)
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = await reader.readexactly(length)
    finally:
        writer.transport.abort()
    return reply if codec.is_reply(reply, int.from_bytes(packet[:2], "big"), query) else None
