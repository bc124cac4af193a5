"""`GET /metrics`: a server of HTTP/1.1 for one page, made for whoever asks.

Bounded: connections, bytes and seconds of a request's head, bytes that were not fetched yet, seconds that a page may take. A
connection is kept for the next request (RFC 9112, 9.3). When there is too much, who has been idle or has fetched for the longest
time has to go.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tulle.agent.exits import AgentError
from tulle.agent.figures.page import CONTENT_TYPE

PATH = "/metrics"
_MOST_CONNECTIONS = 64
_MOST_BYTES = 48 << 20
_HEAD_BYTES = 16384
_HEAD_SECONDS = 10.0
_IDLE_SECONDS = 90.0  # more than there is between two requests of whoever scrapes each minute
_FETCH_SECONDS = 15.0
_PART = 65536
_FIRST = re.compile(r"([A-Z]+) (\S+) HTTP/1\.([01])")
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
_REASONS |= {431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class _Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    keeps: bool


@asynccontextmanager
async def metrics_door(address: str, port: int, page: Callable[[], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Serves `page` within the block; where, as `host:port`. port: 0 for any free one. Raises AgentError if it is taken."""
    door = _Door(page)
    try:
        server = await asyncio.start_server(door.serve, address, port, limit=_HEAD_BYTES, backlog=128)
    except OSError as error:
        raise AgentError(f"can't serve metrics at {_at(address, port)}: {error.strerror}; see --metrics") from error
    try:
        yield _at(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()
        await door.close()


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class _Door:
    def __init__(self, page: Callable[[], Awaitable[bytes]]) -> None:
        self._page = page
        self._idle: dict[asyncio.StreamWriter, None] = {}  # the one that is idle for the longest time comes first
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._fetching: dict[
            asyncio.StreamWriter, int
        ] = {}  # how many bytes; the one that does so for the longest time comes first
        self._turn = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        if len(self._tasks) >= _MOST_CONNECTIONS:
            next(iter(self._idle), writer).transport.abort()
            if not self._idle:
                return
            del self._idle[next(iter(self._idle))]
        self._tasks[task] = writer
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # a TimeoutError is one
                await self._serve(reader, writer)
        finally:
            del self._tasks[task]
            self._idle.pop(writer, None)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def close(self) -> None:
        """Cuts off all that are open."""
        tasks = list(self._tasks)
        for task, writer in self._tasks.items():
            writer.transport.abort()
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seconds = _HEAD_SECONDS
        while True:
            try:
                head = await self._head(reader, writer, seconds)
            except asyncio.LimitOverrunError:
                await _answer(writer, 431, b"", keeps=False)
                return
            request = _parsed(head)
            if request is None:
                await _answer(writer, 400, b"", keeps=False)
                return
            await self._respond(request, writer)
            if not request.keeps:
                return
            seconds = _IDLE_SECONDS

    async def _head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> bytes:
        self._idle[writer] = None
        async with asyncio.timeout(seconds):
            head = await reader.readuntil(b"\r\n\r\n")
        self._idle.pop(writer, None)
        return head

    async def _respond(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        if request.path.partition("?")[0] != PATH:
            await _answer(writer, 404, b"the metrics are at /metrics\n", keeps=request.keeps)
        elif request.method not in ("GET", "HEAD"):
            await _answer(writer, 405, b"", {"Allow": "GET, HEAD"}, keeps=request.keeps)
        else:
            headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
            async with self._turn:
                body = await self._page()
                if _wants_gzip(request.headers.get("accept-encoding", "")):
                    body = await asyncio.to_thread(_gzipped, body)
                    headers["Content-Encoding"] = "gzip"
            self._make_room(len(body))
            self._fetching[writer] = len(body)
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    await _answer(writer, 200, body, headers, keeps=request.keeps, head=request.method == "HEAD")
            finally:
                self._fetching.pop(writer, None)

    def _make_room(self, size: int) -> None:
        while self._fetching and sum(self._fetching.values()) + size > _MOST_BYTES:
            slowest = next(iter(self._fetching))
            del self._fetching[slowest]
            slowest.transport.abort()


async def _answer(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    keeps: bool,
    head: bool = False,
) -> None:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in {"Content-Type": "text/plain", **(headers or {})}.items()]
    lines += [] if keeps else ["Connection: close"]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    for start in range(0, 0 if head else len(body), _PART):  # so that little of it is kept for each who fetches slowly
        writer.write(body[start : start + _PART])
        await writer.drain()
    await writer.drain()


def _parsed(head: bytes) -> _Request | None:
    first, *rest = head.decode("latin-1").split("\r\n")
    found = _FIRST.fullmatch(first)
    if found is None:
        return None
    fields = (line.partition(":") for line in rest if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    closes = "close" in headers.get("connection", "").lower() or found[3] == "0"
    return _Request(found[1], found[2], headers, keeps=not (has_body or closes))


def _wants_gzip(accepted: str) -> bool:
    """RFC 9110, 12.5.3."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
