"""The door of `/metrics`, for scrapers and for anybody else who finds it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import pytest

from tulle.agent import http1
from tulle.agent.exits import AgentError
from tulle.agent.figures import door
from tulle.agent.figures.door import metrics_door

BIG = b"istio_requests_total 1\n" * 200_000


class Pages:
    def __init__(self) -> None:
        self.page = b"a 1\n"
        self.asked = 0

    async def __call__(self) -> bytes:
        self.asked += 1
        return self.page


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
async def port(pages: Pages) -> AsyncIterator[int]:
    async with metrics_door("127.0.0.1", 0, pages) as where:
        address, _, port = where.rpartition(":")
        assert address == "127.0.0.1"
        yield int(port)


async def get(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    async with http1.over_tcp("127.0.0.1", port) as connection:
        await connection.request(method, path, {k.replace("_", "-"): v for k, v in headers.items()})
        return await connection.response(), await connection.body()


async def said(port: int, text: bytes) -> bytes:
    """All that is answered to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_a_scraper_gets_the_page_in_prometheus_format(port: int) -> None:
    async with http1.over_tcp("127.0.0.1", port) as connection:
        for _ in range(3):  # over one connection
            await connection.request("GET", "/metrics?x=1", {}, keep=True)
            assert await connection.response() == 200
            assert connection.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
            assert await connection.body() == b"a 1\n"


async def test_it_is_compressed_for_who_wants_that(port: int, pages: Pages) -> None:
    pages.page = BIG
    status, body = await get(port, Accept_Encoding="deflate, gzip;q=0.8")
    assert status == 200 and len(body) < len(BIG) / 50
    assert zlib.decompress(body, 31) == BIG
    assert await get(port, Accept_Encoding="gzip;q=0, identity") == (200, BIG)


async def test_nothing_else_is_served(port: int, pages: Pages) -> None:
    assert (await get(port, "/"))[0] == 404
    assert (await get(port, method="POST"))[0] == 405
    assert b"Content-Length: 4\r\n" in await said(port, b"HEAD /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert pages.asked == 1


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET  /metrics HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_request_is_told_so(port: int, text: bytes) -> None:
    assert (await said(port, text)).startswith(b"HTTP/1.1 400 ")


async def test_a_head_without_end_is_cut_off(port: int) -> None:
    answer = await said(port, b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 10_000)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # what was left unread may reset the connection
    assert (await get(port))[0] == 200


async def test_a_request_with_a_body_is_the_last_of_its_connection(port: int) -> None:
    two = b"GET /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
    assert (await said(port, two)).count(b"HTTP/1.1 ") == 1


async def test_who_says_nothing_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_HEAD_SECONDS", 0.05)
    assert await said(port, b"GET /metrics HTT") == b""


async def test_silent_ones_in_any_number_keep_nobody_out(port: int) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    try:
        assert await get(port) == (200, b"a 1\n")
    finally:
        for _, writer in silent:
            writer.close()


async def test_a_hundred_at_once_are_all_served(port: int, pages: Pages) -> None:
    pages.page = BIG[:100_000]

    async def served() -> bool:
        for _ in range(50):
            try:
                return await get(port) == (200, pages.page)
            except OSError:  # one of too many: a scraper comes again
                await asyncio.sleep(0.05)
        return False

    assert all(await asyncio.gather(*(served() for _ in range(100))))


async def test_those_that_fetch_nothing_are_cut_off_and_hold_nobody_up(
    port: int, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_MOST_BYTES", 3 * len(BIG))
    pages.page = BIG * 2
    slow = [await asyncio.open_connection("127.0.0.1", port, limit=1024) for _ in range(10)]
    try:
        for _, writer in slow:
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        pages.page = BIG
        assert await get(port) == (200, BIG)
    finally:
        for _, writer in slow:
            writer.transport.abort()


async def test_a_port_that_is_taken_is_a_mistake_of_the_users(port: int, pages: Pages) -> None:
    with pytest.raises(AgentError, match=f"127.0.0.1:{port}.*--metrics"):
        async with metrics_door("127.0.0.1", port, pages):
            pass


async def test_at_the_end_all_connections_are_closed(pages: Pages) -> None:
    async with metrics_door("127.0.0.1", 0, pages) as where:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(where.rpartition(":")[2]))
        writer.write(b"GET /metr")
        await writer.drain()
        await asyncio.sleep(0)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
