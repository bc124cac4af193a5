"""HTTP/1.1 requests as the door reads them: heads and whole bodies, however framed and packed, none of them large."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import NamedTuple

MOST_BODY = 4 * 1024 * 1024  # bytes, unpacked; four times what SDKs gather at most
_BODY_SECONDS = 10.0
_GZIP = 31  # zlib: with a header and a trailer as gzip writes them


class Refusal(Exception):
    """status: of the answer, `404 Not Found`."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Head(NamedTuple):
    """headers: their names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


async def head_of(reader: asyncio.StreamReader) -> Head | None:
    """None where the connection ends. Raises Refusal, OSError."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise Refusal("431 Request Header Fields Too Large") from error
    first, *rest = text.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise Refusal("400 Bad Request")
    fields = (line.partition(":") for line in rest if line)
    return Head(words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in fields})


async def body_of(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body, unpacked. Raises Refusal, OSError."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _framed(reader, headers)
    except TimeoutError as error:
        raise Refusal("408 Request Timeout") from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the body did not come whole") from error
    match headers.get("content-encoding", "identity"):
        case "identity":
            return body
        case "gzip":
            return _unpacked(body)
        case _:
            raise Refusal("415 Unsupported Media Type")


async def _framed(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refusal("400 Bad Request")
    if len(length) > len(str(MOST_BODY)) or int(length) > MOST_BODY:
        raise Refusal("413 Content Too Large")
    return await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := await _chunk_size(reader):
        if len(body) + size > MOST_BODY:
            raise Refusal("413 Content Too Large")
        body += (await reader.readexactly(size + 2))[:-2]
    while (await _line(reader)).strip():  # fields after the body
        pass
    return bytes(body)


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    digits = (await _line(reader)).partition(b";")[0].strip()
    if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise Refusal("400 Bad Request")
    return int(digits, 16)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise Refusal("400 Bad Request") from error


def _unpacked(body: bytes) -> bytes:
    """A few bytes may claim to be a great many; no more are made than may be."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(body, MOST_BODY)
    except zlib.error as error:
        raise Refusal("400 Bad Request") from error
    if not unpacking.eof:
        raise Refusal("413 Content Too Large" if unpacking.unconsumed_tail else "400 Bad Request")
    return unpacked
