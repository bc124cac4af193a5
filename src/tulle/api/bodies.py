"""A request's body as a whole, no longer than it may be."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY = 1024 * 1024


async def body_of(request: Request, limit: int = MAX_BODY) -> bytes:
    """Raises a refusal if it is longer than `limit` bytes, having kept no more than that and one read."""
    body, told = bytearray(), request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise _too_long(limit)
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_long(limit)
    return bytes(body)


def _too_long(limit: int) -> HTTPException:
    # The rest is not read, so nothing else can come on this connection.
    return HTTPException(413, f"the request is longer than {limit} bytes", {"connection": "close"})
