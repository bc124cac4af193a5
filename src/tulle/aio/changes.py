"""Waiting until something is true, without polling.

State flows between tasks, not events: who waits looks at the state again each time its key was touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable


class Changes:
    """Wakes those who wait on a key; a key without waiters costs nothing."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[asyncio.Future[None]]] = {}

    def touch(self, key: Hashable) -> None:
        """What `key` stands for may have changed."""
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)

    async def until(self, key: Hashable, true: Callable[[], bool]) -> None:
        """Return once `true()`; it is asked now, and again after each touch of `key`."""
        while not true():
            future = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(key, []).append(future)
            try:
                await future
            finally:
                if not future.done() or future.cancelled():
                    left = [f for f in self._waiting.get(key, ()) if f is not future]
                    if left:
                        self._waiting[key] = left
                    else:
                        self._waiting.pop(key, None)
