"""Long work on the event loop in pieces, so that nothing else waits for the whole of it.

Better than a thread where what is read may change meanwhile: each piece is undisturbed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def in_turns(each: Iterable[T], at_once: int) -> AsyncGenerator[T, None]:
    """The same. After `at_once` of them whatever else is ready on the loop has its turn; `each` must bear that."""
    for number, one in enumerate(each, 1):
        yield one
        if number % at_once == 0:
            await asyncio.sleep(0)
