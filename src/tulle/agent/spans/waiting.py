"""Exports that wait for the control plane: so many bytes and no more, the oldest go first, and what went is counted."""

from __future__ import annotations

import asyncio
from collections import deque

MOST_BYTES = 4 * 1024 * 1024
_AT_ONCE = 512 * 1024


class Waiting:
    """lost: how many spans were dropped, ever."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._exports: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self.lost = 0

    @property
    def spans(self) -> int:
        return sum(spans for _, spans in self._exports)

    def add(self, export: bytes, spans: int) -> None:
        if spans:
            self._exports.append((export, spans))
            self._bytes += len(export)
            self._shorten()
            if self._exports:
                self._some.set()

    async def some(self) -> None:
        """Waits until there is something."""
        await self._some.wait()

    def take(self) -> list[tuple[bytes, int]]:
        """The oldest, as much as is sent at once; one at least, if there is one."""
        taken: list[tuple[bytes, int]] = []
        size = 0
        while self._exports and (not taken or size + len(self._exports[0][0]) <= _AT_ONCE):
            taken.append(self._exports.popleft())
            size += len(taken[-1][0])
        self._bytes -= size
        if not self._exports:
            self._some.clear()
        return taken

    def put_back(self, taken: list[tuple[bytes, int]]) -> None:
        """What could not be sent, and is older than all that came meanwhile."""
        self._exports.extendleft(reversed(taken))
        self._bytes += sum(len(export) for export, _ in taken)
        self._shorten()
        if self._exports:
            self._some.set()

    def lose(self, taken: list[tuple[bytes, int]]) -> None:
        """What nobody will ever take."""
        self.lost += sum(spans for _, spans in taken)

    def _shorten(self) -> None:
        while self._bytes > self._most:
            export, spans = self._exports.popleft()
            self._bytes -= len(export)
            self.lost += spans
