"""A value that changes, and readers that each want its newest: a slow one misses what was in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Newest(Generic[Value]):
    def __init__(self) -> None:
        self._value: Value | None = None
        self._changed = asyncio.Event()

    def put(self, value: Value) -> None:
        if value != self._value:
            self._value = value
            self._changed.set()
            self._changed = asyncio.Event()

    async def newest(self) -> Value:
        """Waits for the first."""
        while self._value is None:
            await self._changed.wait()
        return self._value

    async def each(self) -> AsyncIterator[Value]:
        """The newest now, and again after each change, for ever."""
        while True:
            changed = self._changed
            yield await self.newest()
            await changed.wait()
