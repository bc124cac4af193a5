"""A small HTTP/1.1 client on asyncio's streams, over a Unix socket or TCP.

http.client blocks, and asyncio has none. Enough for the control plane's API, Envoy's admin socket and health checks.
Whatever goes wrong is an OSError: callers have one thing to catch.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from socket import IPPROTO_TCP, SO_PEERCRED, SOL_SOCKET, TCP_USER_TIMEOUT
from typing import TYPE_CHECKING, Any

from tulle.aio.unix import short_path

if TYPE_CHECKING:
    import ssl

_LIMIT = 1 << 20  # bytes in a head or a line
_MOST_BODY = 128 << 20  # Envoy says all that it has counted in one chunk, however long that is
_PART = 1 << 16
_LONGEST_NUMBER = 18
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class BadResponse(ConnectionError):
    """The other side does not speak HTTP/1.1, or stopped in the middle."""


@asynccontextmanager
async def over_unix(socket: Path) -> AsyncIterator[Connection]:
    """A connection to a Unix socket, closed after the block."""
    async with _closing(await unix_connection(socket)) as connection:
        yield connection


async def unix_connection(socket: Path) -> Connection:
    """A connection to a Unix socket, for the caller to close."""
    with short_path(socket) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LIMIT)
    return Connection(reader, writer)


@asynccontextmanager
async def over_tcp(address: str, port: int) -> AsyncIterator[Connection]:
    """A TCP connection, closed after the block."""
    reader, writer = await asyncio.open_connection(address, port, limit=_LIMIT)
    if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
        # Where nobody listens, on an ephemeral port, a socket may get that very port, and so reach itself (RFC 9293, 3.5).
        writer.close()
        raise ConnectionRefusedError(f"nothing listens on {address}:{port}")
    async with _closing(Connection(reader, writer)) as connection:
        yield connection


@asynccontextmanager
async def over_tls(host: str, port: int, context: ssl.SSLContext, seconds: float) -> AsyncIterator[Connection]:
    """A TLS connection, closed after the block. seconds: for its beginning, and until what was sent is confirmed."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT, ssl=context)
    # Else a machine that has vanished would be waited for a quarter of an hour (tcp(7)).
    writer.get_extra_info("socket").setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, int(1000 * seconds))
    async with _closing(Connection(reader, writer)) as connection:
        yield connection


class Connection:
    """A request and its response, in that order; both may also flow at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._headers: dict[str, str] = {}

    @property
    def peer(self) -> int:
        """The process that listens at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
        credentials = self._writer.get_extra_info("socket").getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)

    @property
    def ip(self) -> str:
        """The IP address of the other end of a TCP connection."""
        return str(self._writer.get_extra_info("peername")[0])

    @property
    def certificate(self) -> dict[str, Any]:
        """The verified certificate of the other end of a TLS connection, as `ssl` decodes it."""
        return dict(self._writer.get_extra_info("peercert") or {})

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = b"",
        host: str = "localhost",
        *,
        keep: bool = False,
    ) -> None:
        """Sends the request. `body` None: the body follows by `send_chunk`. keep: more requests follow."""
        framing = "Transfer-Encoding: chunked" if body is None else f"Content-Length: {len(body)}"
        if body is not None and not keep:
            framing += "\r\nConnection: close"
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", framing, *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        await self._writer.drain()

    async def send_chunk(self, data: bytes) -> None:
        """Sends a part of the body; an empty one ends it."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def response(self) -> int:
        """Reads the response's head; its status."""
        while True:
            status, self._headers = _parsed(await self._until(b"\r\n\r\n"))
            if status >= 200:  # 1xx are announcements
                return status

    def header(self, name: str) -> str:
        """Of the response, by its name in lower case; "" if it has none of that name."""
        return self._headers.get(name, "")

    async def body(self, most: int = _MOST_BODY) -> bytes:
        """The whole body of the response. Raises BadResponse if it has more than `most` bytes."""
        parts, size = [], self._length or 0
        if size <= most:
            size = 0
            async for part in self._parts():
                parts.append(part)
                size += len(part)
                if size > most:
                    break
        if size > most:
            raise BadResponse(f"the response has more than {most} bytes")
        return b"".join(parts)

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of the response as they come; ends where the body ends."""
        rest = b""
        async for part in self._parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > _LIMIT:
                raise BadResponse("a line is too long")

    def close(self) -> None:
        self._writer.close()

    async def closed(self) -> None:
        # Nothing is lost when closing fails: the response was read, or the error is on its way already.
        with suppress(OSError):
            await self._writer.wait_closed()

    @property
    def _length(self) -> int | None:
        """Of the body, if the head says it and it is not to come in chunks."""
        length = self._headers.get("content-length", "")
        return _number(length) if length and not self._is_chunked else None

    @property
    def _is_chunked(self) -> bool:
        return "chunked" in self._headers.get("transfer-encoding", "").lower()

    async def _parts(self) -> AsyncIterator[bytes]:
        if self._is_chunked:
            while size := _chunk_size(await self._until(b"\r\n")):
                async for part in self._several(size):
                    yield part
                if await self._until(b"\r\n") != b"\r\n":
                    raise BadResponse(f"a chunk is longer than {size} bytes")
            await self._until(b"\r\n")
        elif self._length is not None:
            async for part in self._several(self._length):
                yield part
        else:
            while part := await self._reader.read(_PART):
                yield part

    async def _several(self, size: int) -> AsyncIterator[bytes]:
        """So many bytes, as they come."""
        while size:
            part = await self._reader.read(min(size, _PART))
            if not part:
                raise BadResponse("the connection was closed")
            size -= len(part)
            yield part

    async def _until(self, end: bytes) -> bytes:
        try:
            return await self._reader.readuntil(end)
        except asyncio.IncompleteReadError as error:
            raise BadResponse("the connection was closed") from error
        except asyncio.LimitOverrunError as error:
            raise BadResponse("the response is too long") from error


@asynccontextmanager
async def _closing(connection: Connection) -> AsyncIterator[Connection]:
    try:
        yield connection
    finally:
        connection.close()
        await connection.closed()


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise BadResponse(f"no HTTP response: {first[:80]!r}")
    fields = (line.partition(":") for line in rest if line)
    return _number(status[:3]), {name.strip().lower(): value.strip() for name, _, value in fields}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):  # `²` is a digit as well
        raise BadResponse(f"no number: {text[:20]!r}")
    return int(text)


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(digits):
        raise BadResponse(f"no chunk size: {line[:20]!r}")
    return int(digits, 16)
