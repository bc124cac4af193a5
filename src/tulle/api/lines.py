"""Lines out of a request body that never ends, each as soon as it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.types import Receive

MAX_LINE = 64 * 1024


class LineTooLong(Exception):
    """A line is longer than MAX_LINE bytes."""


async def lines_of(receive: Receive) -> AsyncGenerator[bytes]:
    """The body's lines without their ends, until the body ends or the client is gone.

    A last line without an end is dropped. Raises LineTooLong, having kept no more of it than its limit and one read.
    """
    rest = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        *lines, rest = (rest + message.get("body", b"")).split(b"\n")
        for line in lines:
            if len(line) > MAX_LINE:
                raise LineTooLong
            yield line
        if len(rest) > MAX_LINE:
            raise LineTooLong
