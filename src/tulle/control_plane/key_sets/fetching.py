"""One GET, to an address that was looked at before. Bounded in time and size, whatever the other side does.

The standard library's clients bound single reads and follow redirects and proxies; here the whole exchange has one deadline,
and the connection goes to the very address that was allowed, so that a name can't mean another one a moment later.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import cast

from tulle.control_plane.key_sets.addresses import Allowed, Place, place_of

MOST_BYTES = 1024 * 1024
_MOST_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"

# The IP addresses of a host.
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchFailed(Exception):
    """Nothing could be fetched. The message says why, without what was answered."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """By the machine's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def fetch(uri: str, allowed: Allowed, seconds: float, look_up: LookUp = look_up) -> bytes:
    """What is there. Raises FetchFailed; Refused if it may not be asked for."""
    place = place_of(uri)
    try:
        async with asyncio.timeout(seconds):
            addresses = await look_up(place.host, place.port)
            allowed.check(place.host, addresses)
            return _body(await _exchanged(place, addresses))
    except TimeoutError:
        raise FetchFailed(f"{place.authority} did not answer in full within {seconds:g}s") from None
    except ssl.SSLError as error:
        raise FetchFailed(
            f"TLS with {place.authority}: {getattr(error, 'verify_message', '') or error.reason}"
        ) from error
    except OSError as error:
        raise FetchFailed(f"{place.authority}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise FetchFailed(f"{place.host!r} is no name of a host") from error


async def _exchanged(place: Place, addresses: Sequence[str]) -> bytes:
    """The answer, verbatim, of the first address that takes the connection."""
    context = ssl.create_default_context() if place.secure else None
    refusal = OSError("has no address")
    for address in addresses:
        try:
            reader, writer = await asyncio.open_connection(
                address, place.port, ssl=context, server_hostname=place.host if context else None, limit=_CHUNK
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            refusal = error
            continue
        try:
            lines = [
                f"GET {place.path} HTTP/1.1",
                f"Host: {place.authority}",
                "Accept: application/json",
                "Accept-Encoding: identity",
                "User-Agent: tulle",
                "Connection: close",
                *("", ""),
            ]
            writer.write("\r\n".join(lines).encode("ascii"))
            await writer.drain()
            return await _read(reader)
        finally:
            writer.transport.abort()
    raise refusal


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Until it is complete: also of a server that keeps the connection."""
    found = bytearray()
    while chunk := await reader.read(_CHUNK):
        found += chunk
        head = found.find(b"\r\n\r\n") + 4
        if head < 4:
            if len(found) > _MOST_HEAD:
                raise FetchFailed("the head of the answer is too long")
            continue
        if len(found) - head > MOST_BYTES + _CHUNK:
            raise FetchFailed(f"the answer is longer than {MOST_BYTES} bytes")
        length = _length(bytes(found[:head]))
        if (length is not None and len(found) - head >= length) or (length is None and found.endswith(_END_OF_CHUNKS)):
            break
    return bytes(found)


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


def _body(answer: bytes) -> bytes:
    try:
        response = HTTPResponse(cast(socket.socket, _Answer(answer)), method="GET")
        response.begin()
        status, body = response.status, response.read(MOST_BYTES + 1)
    except (HTTPException, ValueError, OSError) as error:
        raise FetchFailed(f"the answer is no proper HTTP ({type(error).__name__})") from error
    if 300 <= status < 400:
        raise FetchFailed(f"it answers {status}, and redirects are not followed: write the URI to which it leads")
    if status != 200:
        raise FetchFailed(f"it answers {status}")
    if len(body) > MOST_BYTES:
        raise FetchFailed(f"the answer is longer than {MOST_BYTES} bytes")
    return body


class _Answer:
    """As much of a socket as HTTPResponse asks for."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, *args: object, **kwargs: object) -> BytesIO:
        return BytesIO(self._answer)
