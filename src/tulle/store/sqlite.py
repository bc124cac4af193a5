"""The store of one machine: SQLite for what must last, memory for all that is read."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from tulle.store.contract import MOST_OPERATIONS, Delete, Event, KeyValue, NothingNewer, Put, Range, Store, Unchanged
from tulle.store.database import Database
from tulle.store.errors import StoreError
from tulle.store.folder import held
from tulle.store.leases import TICK_SECONDS, Leases
from tulle.store.log import Log
from tulle.store.mirror import Draft, Mirror
from tulle.store.writer import Writer

HISTORY = 10_000

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_store(
    folder: Path,
    *,
    history: int = HISTORY,
    clock: Callable[[], float] = time.monotonic,
    wrote: Callable[[float, bool], None] = lambda seconds, succeeded: None,
) -> AsyncIterator[Store]:
    """The store in `folder`, held by this process within the block. The last `history` events can be watched.

    wrote: told of each write how many seconds it took, and whether it succeeded.
    Raises StoreLocked, StoreCorrupt, StoreUnavailable.
    """
    loop = asyncio.get_running_loop()
    with held(folder), ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") as thread:
        database = Database(folder / "store.db")

        async def commit(draft: Draft) -> None:
            began, succeeded = time.perf_counter(), False
            try:
                await loop.run_in_executor(thread, database.commit, draft)
                succeeded = True
            finally:
                wrote(time.perf_counter() - began, succeeded)

        try:
            mirror = await loop.run_in_executor(thread, database.open)
            store = _SqliteStore(mirror, commit, history, clock)
            async with asyncio.TaskGroup() as tasks:
                work = (
                    tasks.create_task(store.write(), name="store: write"),
                    tasks.create_task(store.expire_leases(), name="store: expire leases"),
                )
                try:
                    yield store
                finally:
                    for task in work:
                        task.cancel()
        finally:
            thread.submit(database.close).result()


class _SqliteStore(Store):
    def __init__(
        self,
        mirror: Mirror,
        commit: Callable[[Draft], Awaitable[None]],
        history: int,
        clock: Callable[[], float],
    ) -> None:
        self._mirror = mirror
        self._clock = clock
        self._leases = Leases(mirror.leases, clock())
        self._recent = Log(mirror.revision, history)
        self._writer = Writer(mirror, commit, self._publish)

    async def get(self, key: str) -> KeyValue | None:
        self._writer.check_open()
        return self._mirror.items.get(key)

    async def range(self, prefix: str) -> Range:
        self._writer.check_open()
        return self._mirror.range(prefix)

    async def transaction(
        self, compares: Sequence[Unchanged | NothingNewer], operations: Sequence[Put | Delete]
    ) -> int | None:
        _check(compares, operations)
        return await self._writer.change(lambda draft: draft.transaction(compares, operations))

    def watch(self, prefix: str, after_revision: int) -> AsyncGenerator[tuple[Event, ...], None]:
        return self._recent.watch(prefix, after_revision)

    async def grant(self, ttl: float) -> int:
        if not 0 < ttl < math.inf:
            raise ValueError(f"a lease of {ttl} s")
        return await self._writer.change(lambda draft: draft.grant(ttl))

    async def keep_alive(self, lease: int) -> bool:
        self._writer.check_open()
        return self._leases.keep_alive(lease, self._clock())

    async def shorten(self, lease: int, seconds: float) -> None:
        self._writer.check_open()
        self._leases.shorten(lease, seconds, self._clock())

    async def revoke(self, lease: int) -> None:
        await self._revoke((lease,))

    async def write(self) -> None:
        """The task that writes, until it is cancelled: the end of the store."""
        try:
            await self._writer.run()
        finally:
            self._recent.close()

    async def expire_leases(self) -> None:
        """The task that ends leases, until it is cancelled."""
        failed = False
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if expired := self._leases.tick(self._clock()):
                try:
                    await self._revoke(expired)
                    failed = False
                except StoreError as error:
                    if not failed:
                        _log.error("the keys of %d expired leases can't be deleted yet: %s", len(expired), error)
                    failed = True

    async def _revoke(self, leases: Iterable[int]) -> None:
        await self._writer.change(lambda draft: draft.revoke(leases))

    def _publish(self, draft: Draft) -> None:
        for lease, ttl in draft.leases.items():
            if ttl is None:
                self._leases.remove(lease)
            else:
                self._leases.add(lease, ttl, self._clock())
        self._recent.append(draft.events)


def _check(compares: Sequence[Unchanged | NothingNewer], operations: Sequence[Put | Delete]) -> None:
    if max(len(compares), len(operations)) > MOST_OPERATIONS:
        raise ValueError(f"a transaction of more than {MOST_OPERATIONS} comparisons or operations")
    keys = [operation.key for operation in operations]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a transaction that changes a key twice: {sorted(keys)}")
    if not all(keys):
        raise ValueError("a transaction that changes a key without a name")
    for key in keys:
        key.encode()  # raises UnicodeEncodeError, a ValueError, for text that can't be stored
