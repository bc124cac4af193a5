"""DNS over TCP: several queries on a connection, in pieces, without end, and from those who never fetch the answers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tulle.agent.dns import connections


def framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


async def read(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def test_queries_on_one_connection_are_answered_as_the_answers_are_found(dns: Any, wire: Any) -> None:
    dns.nameserver.answer = lambda *_: None
    reader, writer = await asyncio.open_connection(dns.address, dns.port)
    writer.write(framed(wire.query("www.example.com", id_=1)) + framed(wire.query("service-b", id_=2)))
    first, second = wire.decode(await read(reader)), wire.decode(await read(reader))
    assert (first.id, first.addresses) == (2, ["127.64.0.7"])
    assert (second.id, second.rcode) == (1, 2)
    writer.write(framed(wire.query("service-b", id_=3)))  # and it is still there
    assert wire.decode(await read(reader)).id == 3
    writer.close()


async def test_a_query_may_come_byte_by_byte(dns: Any, wire: Any) -> None:
    reader, writer = await asyncio.open_connection(dns.address, dns.port)
    writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in framed(wire.query("service-b")) + framed(wire.query("service-b", "AAAA")):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert wire.decode(await read(reader)).addresses == ["127.64.0.7"]
    assert wire.decode(await read(reader)).addresses == []
    writer.close()


async def test_thousands_of_queries_at_once_are_all_answered(dns: Any, wire: Any) -> None:
    count = 1000
    reader, writer = await asyncio.open_connection(dns.address, dns.port)
    writer.write(b"".join(framed(wire.query(("service-b", "a.b.c.d")[i % 2], id_=i)) for i in range(count)))
    writer.write_eof()
    got = [await read(reader) for _ in range(count)]
    assert {int.from_bytes(packet[:2], "big") for packet in got} == set(range(count))
    assert await reader.read() == b""  # closed by the server, as nothing more is asked


async def test_what_is_no_query_costs_nothing_but_itself(dns: Any, wire: Any) -> None:
    reader, writer = await asyncio.open_connection(dns.address, dns.port)
    reply = wire.query("service-b", flags=0x8180)
    writer.write(framed(b"") * 100 + framed(b"x") * 100 + framed(reply) * 100 + framed(wire.query("service-b")))
    assert wire.decode(await read(reader)).addresses == ["127.64.0.7"]
    writer.close()


async def test_who_never_fetches_answers_is_read_no_further(dns: Any, wire: Any) -> None:
    _, writer = await asyncio.open_connection(dns.address, dns.port, limit=1024)
    query = framed(wire.query("service-b"))
    writer.transport.set_write_buffer_limits(high=1 << 16)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            while True:
                writer.write(query * 1000)
                await writer.drain()
    assert (await dns.ask("service-b", by="TCP")).addresses == ["127.64.0.7"]
    writer.transport.abort()


async def test_too_many_connections_cost_the_oldest_that_is_idle(dns: Any, wire: Any) -> None:
    opened = [await asyncio.open_connection(dns.address, dns.port) for _ in range(70)]
    for reader, writer in opened[-60:]:
        writer.write(framed(wire.query("service-b")))
        assert wire.decode(await read(reader)).addresses == ["127.64.0.7"]
    assert await opened[0][0].read() == b""
    for _, writer in opened:
        writer.close()


async def test_an_idle_connection_is_closed(dns: Any, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection(dns.address, dns.port)
    writer.write(framed(wire.query("service-b")) + b"\0")  # and half a message is no work either
    await read(reader)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_the_end_of_the_server_ends_its_connections(serving_dns: Any) -> None:
    async with serving_dns() as dns:
        reader, writer = await asyncio.open_connection(dns.address, dns.port)
        await dns.ask("service-b", by="TCP")
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(dns.address, dns.port)
