"""Group commit, with the disk in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from tulle.store.contract import Put
from tulle.store.errors import LeaseNotFound, StoreFull, StoreUnavailable
from tulle.store.mirror import Draft, Mirror
from tulle.store.writer import Writer


class Disk:
    """Commits wait at it until they are let through, or fail with an error."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.let: asyncio.Queue[StoreUnavailable | None] = asyncio.Queue()

    async def commit(self, draft: Draft) -> None:
        self.commits.append([event.key for event in draft.events])
        if error := await self.let.get():
            raise error


class Bench:
    def __init__(self) -> None:
        self.disk = Disk()
        self.mirror = Mirror(1, 0, {}, ())
        self.published: list[int] = []
        self.writer = Writer(self.mirror, self.disk.commit, lambda draft: self.published.append(draft.revision))

    def put(self, key: str, lease: int = 0) -> asyncio.Task[int | None]:
        put = Put(key, b"", lease)
        return asyncio.create_task(self.writer.change(lambda draft: draft.transaction((), (put,))))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def with_bench(story: Callable[[Bench], Awaitable[None]]) -> Callable[[], Coroutine[None, None, None]]:
    async def test() -> None:
        bench = Bench()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bench.writer.run(), name="writer")
            await story(bench)
            running.cancel()

    return test


@with_bench
async def test_what_comes_during_a_commit_shares_the_next_one(bench: Bench) -> None:
    first = bench.put("a")
    await bench.settle()
    others = [bench.put("b"), bench.put("c")]
    await bench.settle()
    assert bench.disk.commits == [["a"]] and not first.done() and not bench.mirror.items
    bench.disk.let.put_nowait(None)
    assert await first == 2
    await bench.settle()
    assert bench.disk.commits == [["a"], ["b", "c"]]
    bench.disk.let.put_nowait(None)
    assert await asyncio.gather(*others) == [3, 4]
    assert bench.published == [2, 4] and bench.mirror.revision == 4


@with_bench
async def test_a_commit_that_fails_changes_nothing_and_everyone_in_it_is_told(bench: Bench) -> None:
    failing = [bench.put("a"), bench.put("b")]
    bench.disk.let.put_nowait(StoreFull("full"))
    results = await asyncio.gather(*failing, return_exceptions=True)
    assert [str(result) for result in results] == ["full", "full"] and results[0] is not results[1]
    assert not bench.mirror.items and not bench.published
    bench.disk.let.put_nowait(None)
    assert await bench.put("c") == 2
    assert list(bench.mirror.items) == ["c"]


@with_bench
async def test_a_change_that_is_refused_does_not_stop_its_neighbours(bench: Bench) -> None:
    results = asyncio.gather(bench.put("a"), bench.put("b", lease=7), bench.put("c"), return_exceptions=True)
    bench.disk.let.put_nowait(None)
    first, refused, second = await results
    assert (first, second) == (2, 3) and isinstance(refused, LeaseNotFound)


@with_bench
async def test_a_caller_that_goes_before_its_change_has_begun_changes_nothing(bench: Bench) -> None:
    first = bench.put("a")
    await bench.settle()
    gone, stays = bench.put("gone"), bench.put("stays")
    await bench.settle()
    first.cancel()
    gone.cancel()
    for _ in range(2):
        bench.disk.let.put_nowait(None)
    await stays
    assert bench.disk.commits == [["a"], ["stays"]], "the first one had begun"
    assert list(bench.mirror.items) == ["a", "stays"]


async def test_whoever_waits_at_the_end_is_told_so() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.writer.run())
    begun = bench.put("a")
    await bench.settle()
    waiting = bench.put("b")
    await bench.settle()
    running.cancel()
    for call in (begun, waiting, bench.put("c")):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call
