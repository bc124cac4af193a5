"""The newest changes, for those who watch.

The log is kept in memory and not in the file: one process holds the file, and nobody who watches outlives it. A reader
is no more than the revision that it has seen, so that a slow one costs nothing and can be left behind.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence

from tulle.store.contract import Event
from tulle.store.errors import Compacted, StoreUnavailable


class Log:
    """The newest `limit` events since the store was opened at `revision`; more where the newest batch alone has more.

    So a reader that is up to date is never left behind by one large transaction.
    """

    def __init__(self, revision: int, limit: int) -> None:
        self._events: list[Event] = []
        self._limit = limit
        self._forgotten = revision
        self._closed = False
        self._news = asyncio.Event()

    def append(self, events: Sequence[Event]) -> None:
        earlier = len(self._events)
        self._events.extend(events)
        if excess := min(max(0, len(self._events) - self._limit), earlier):
            self._forgotten = self._events[excess - 1].revision
            del self._events[:excess]
        self._wake()

    def close(self) -> None:
        """Nothing more will come: whoever watches gets StoreUnavailable."""
        self._closed = True
        self._wake()

    async def watch(self, prefix: str, after_revision: int) -> AsyncGenerator[tuple[Event, ...], None]:
        """As `Store.watch`."""
        seen = after_revision
        while True:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            news = self._news
            events = self._after(seen)
            if events:
                seen = events[-1].revision
            if wanted := tuple(event for event in events if event.key.startswith(prefix)):
                yield wanted
            else:
                await news.wait()

    def _after(self, revision: int) -> list[Event]:
        if revision < self._forgotten:
            raise Compacted(
                f"changes after revision {revision} are asked for, but only those after {self._forgotten} are kept"
            )
        return self._events[bisect_right(self._events, revision, key=lambda event: event.revision) :]

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
