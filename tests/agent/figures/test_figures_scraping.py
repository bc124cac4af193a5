"""The program is asked for its own metrics, and whatever it does, ours are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tulle.agent.figures import scraping
from tulle.agent.figures.own import is_ours
from tulle.agent.figures.scraping import Scraping

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def program(*parts: bytes, ends: bool = True) -> AsyncIterator[tuple[Scraping, list[bytes]]]:
    """One that answers each request with these bytes."""
    heads: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
        if not ends:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Scraping(None, "/metrics", lambda: ("127.0.0.1", (port, 1)), is_ours), heads
    finally:
        over.set()
        server.close()


def answer(body: bytes, kind: bytes = b"text/plain; version=0.0.4", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (status, kind, len(body), body)


async def test_a_program_is_asked_for_the_text_format(tmp_path: object) -> None:
    async with program(answer(b"# TYPE a gauge\na 1\n")) as (asked, heads):
        assert await asked.lines() == ["# TYPE a gauge", "a 1"]
    assert heads[0].startswith(b"GET /metrics HTTP/1.1\r\n") and b"version=0.0.4" in heads[0]


async def test_what_it_says_in_open_metrics_is_understood() -> None:
    async with program(answer(b"# TYPE a counter\na_total 1\n# EOF\n", b"application/openmetrics-text")) as (asked, _):
        assert await asked.lines() == ["# TYPE a_total counter", "a_total 1"]


async def test_names_of_ours_are_left_out_and_counted() -> None:
    async with program(answer(b"istio_requests_total 7\nb 1\n")) as (asked, _):
        assert await asked.lines() == ["b 1"]
        assert asked.left_out == 1


@pytest.mark.parametrize(
    "parts",
    [
        [answer(b"a 1\n", status=b"500 X")],
        [answer(b"<html></html>")],
        [b"nonsense\r\n\r\n"],
        [b""],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"a 1\n" * (1 << 20), b"a 1\n" * 10],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"],
    ],
)
async def test_anything_else_is_a_failure_that_is_counted(parts: list[bytes]) -> None:
    async with program(*parts) as (asked, _):
        assert await asked.lines() == []
        assert asked.failures == 1 and asked.problem


async def test_one_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "_SECONDS", 0.1)
    async with program(b"HTTP/1.1 200 OK\r\n\r\na 1\n", ends=False) as (asked, _):
        assert await asked.lines() == []
        assert asked.failures == 1


async def test_one_that_does_not_listen_is_a_failure_too() -> None:
    asked = Scraping(None, "/metrics", lambda: ("127.0.0.1", ()), is_ours)
    assert await asked.lines() == []
    assert asked.problem == "the program does not listen"
