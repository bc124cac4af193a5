"""A request's body as a whole, no longer than it may be."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY = 1024 * 1024

# What a decoder of msgspec raises for bytes that are not what it reads; the last is for values within values without end.
MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


async def body_of(request: Request, limit: int = MAX_BODY) -> bytes:
    """Raises a refusal if it is longer than `limit` bytes, having kept no more than that and one read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            # The rest is not read, so nothing else can come on this connection.
            raise HTTPException(413, f"the request is longer than {limit} bytes", {"connection": "close"})
    return bytes(body)
