"""What every store does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from tulle.store.contract import MOST_OPERATIONS, Delete, Event, KeyValue, NothingNewer, Put, Store, Unchanged
from tulle.store.errors import LeaseNotFound, StoreUnavailable

Opened = Callable[[], AbstractAsyncContextManager[Store]]
PATIENCE = 20


async def next_of(batches: AsyncIterator[tuple[Event, ...]]) -> tuple[Event, ...]:
    async with asyncio.timeout(PATIENCE):
        return await anext(batches)


async def until_gone(store: Store, key: str, after_revision: int) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(store.watch(key, after_revision)) as batches:
        async for events in batches:
            if events[-1].value is None:
                return


async def test_what_was_put_is_read_with_its_revision(store: Store) -> None:
    await store.put("a", b"one")
    first = await store.get("a")
    await store.put("a", b"two")
    second = await store.get("a")
    assert first is not None and second is not None
    assert (first.value, second.value) == (b"one", b"two")
    assert 0 < first.revision < second.revision
    assert await store.get("b") is None


async def test_a_range_is_sorted_and_holds_only_its_prefix(store: Store) -> None:
    for key in ("team/b", "team/a", "teams", "tea", "team/a/x"):
        await store.put(key, key.encode())
    listing = await store.range("team/")
    assert [item.key for item in listing.items] == ["team/a", "team/a/x", "team/b"]
    assert listing.revision >= max(item.revision for item in listing.items)
    assert len((await store.range("")).items) == 5


async def test_a_deleted_key_is_gone_and_deleting_nothing_changes_nothing(store: Store) -> None:
    await store.put("a", b"")
    await store.delete("a")
    assert await store.get("a") is None
    before = (await store.range("")).revision
    await store.delete("a")
    assert (await store.range("")).revision == before


async def test_a_transaction_is_one_revision(store: Store) -> None:
    await store.put("old", b"")
    revision = await store.transaction((), (Put("a", b"1"), Put("b", b"2"), Delete("old"), Delete("none")))
    assert revision is not None
    listing = await store.range("")
    assert listing.revision == revision
    assert listing.items == (KeyValue("a", b"1", revision), KeyValue("b", b"2", revision))


async def test_a_comparison_that_does_not_hold_stops_the_whole_transaction(store: Store) -> None:
    await store.put("a", b"1")
    found = await store.get("a")
    assert found is not None
    stale, absent = Unchanged("a", found.revision - 1), Unchanged("a", 0)
    for compare in (stale, absent, Unchanged("b", 7)):
        assert await store.transaction((Unchanged("b", 0), compare), (Put("a", b"2"), Put("b", b""))) is None
    assert (await store.range("")).items == (found,)
    assert await store.transaction((Unchanged("a", found.revision), Unchanged("b", 0)), (Put("a", b"2"),))


async def test_of_many_who_swap_at_once_one_wins(store: Store) -> None:
    async def swap(n: int) -> int | None:
        return await store.transaction((Unchanged("a", 0),), (Put("a", b"%d" % n),))

    won = [n for n, revision in enumerate(await asyncio.gather(*map(swap, range(50)))) if revision]
    found = await store.get("a")
    assert found is not None and [b"%d" % n for n in won] == [found.value]


async def test_no_counter_is_lost_among_concurrent_swaps(store: Store) -> None:
    async def increment() -> None:
        while True:
            found = await store.get("n")
            revision, count = (found.revision, int(found.value)) if found else (0, 0)
            if await store.transaction((Unchanged("n", revision),), (Put("n", b"%d" % (count + 1)),)):
                return

    await asyncio.gather(*(increment() for _ in range(25)))
    found = await store.get("n")
    assert found is not None and found.value == b"25"


async def test_a_prefix_can_be_required_to_have_nothing_newer(store: Store) -> None:
    await store.put("team/a", b"")
    seen = (await store.range("team/")).revision
    await store.put("elsewhere", b"")
    assert await store.transaction((NothingNewer("team/", seen),), (Put("x", b"1"),))
    await store.put("team/b", b"")
    assert await store.transaction((NothingNewer("team/", seen),), (Put("x", b"2"),)) is None
    _, revision = await asyncio.gather(
        store.delete("team/b"), store.transaction((NothingNewer("team/", seen),), (Put("x", b"3"),))
    )
    assert revision, "what was deleted is not newer"


@pytest.mark.parametrize(
    "operations",
    [
        (Put("a", b""), Delete("a")),
        (Put("", b""),),
        (Put("\ud800", b""),),
        tuple(Put(f"k{n}", b"") for n in range(MOST_OPERATIONS + 1)),
    ],
    ids=["a key twice", "no key", "no text", "too many"],
)
async def test_an_improper_transaction_is_refused(store: Store, operations: tuple[Put, ...]) -> None:
    with pytest.raises(ValueError):
        await store.transaction((), operations)
    assert (await store.range("")).items == ()


async def test_a_watch_tells_everything_after_its_revision_in_order(store: Store) -> None:
    await store.put("team/a", b"before")
    start = (await store.range("")).revision
    async with aclosing(store.watch("team/", start)) as batches:
        await store.put("team/b", b"1")
        await store.put("other", b"")
        await store.transaction((), (Put("team/c", b"2"), Delete("team/a"), Put("unseen", b"")))
        events: list[Event] = []
        while len(events) < 3:
            events += await next_of(batches)
    assert [(event.key, event.value) for event in events] == [("team/b", b"1"), ("team/c", b"2"), ("team/a", None)]
    revisions = [event.revision for event in events]
    assert start < revisions[0] < revisions[1] == revisions[2]


async def test_a_watch_wakes_for_what_comes_later(store: Store) -> None:
    start = (await store.range("")).revision
    async with aclosing(store.watch("a", start)) as batches:
        waiting = asyncio.create_task(next_of(batches))
        await store.put("elsewhere", b"")
        await store.put("a", b"1")
        assert [event.value for event in await waiting] == [b"1"]


async def test_a_slow_reader_gets_all_it_missed_at_once(store: Store) -> None:
    start = (await store.range("")).revision
    async with aclosing(store.watch("", start)) as batches:
        for n in range(20):
            await store.put("a", b"%d" % n)
        events = await next_of(batches)
    assert [event.value for event in events] == [b"%d" % n for n in range(20)]


async def test_a_watch_from_the_future_waits_for_it(store: Store) -> None:
    start = (await store.range("")).revision
    async with aclosing(store.watch("", start + 1)) as batches:
        await store.put("a", b"too early")
        await store.put("a", b"now")
        assert [event.value for event in await next_of(batches)] == [b"now"]


async def test_a_key_goes_with_its_lease_and_watchers_are_told(store: Store) -> None:
    lease = await store.grant(0.5)
    await store.transaction((), (Put("a", b"", lease), Put("b", b"", lease), Put("stays", b"")))
    listing = await store.range("")
    async with aclosing(store.watch("", listing.revision)) as batches:
        events = await next_of(batches)
    assert {(event.key, event.value) for event in events} == {("a", None), ("b", None)}
    assert len({event.revision for event in events}) == 1
    assert [item.key for item in (await store.range("")).items] == ["stays"]
    assert not await store.keep_alive(lease)


async def test_a_lease_that_is_kept_alive_lives(store: Store) -> None:
    lease, other = await store.grant(1.0), await store.grant(1.0)
    await store.transaction((), (Put("kept", b"", lease), Put("not kept", b"", other)))
    listing = await store.range("")
    gone = asyncio.create_task(until_gone(store, "not kept", listing.revision))
    while not gone.done():
        assert await store.keep_alive(lease)
        await asyncio.sleep(0.1)
    await gone
    assert await store.get("kept") is not None


async def test_keeping_alive_writes_nothing(store: Store) -> None:
    lease = await store.grant(60)
    before = (await store.range("")).revision
    for _ in range(10):
        assert await store.keep_alive(lease)
    assert (await store.range("")).revision == before


async def test_a_revoked_lease_takes_its_keys_at_once(store: Store) -> None:
    lease = await store.grant(60)
    await store.put("a", b"", lease)
    await store.revoke(lease)
    assert await store.get("a") is None
    assert not await store.keep_alive(lease)
    await store.revoke(lease)
    with pytest.raises(LeaseNotFound):
        await store.put("a", b"", lease)
    with pytest.raises(LeaseNotFound):
        await store.put("a", b"", lease + 1000)
    assert await store.get("a") is None


async def test_a_shortened_lease_ends_soon_unless_it_is_kept_alive(store: Store) -> None:
    doomed, saved = await store.grant(60), await store.grant(60)
    await store.transaction((), (Put("doomed", b"", doomed), Put("saved", b"", saved)))
    start = (await store.range("")).revision
    await store.shorten(saved, 0.3)
    await store.keep_alive(saved)
    await store.shorten(doomed, 0.3)
    await until_gone(store, "doomed", start)
    assert await store.get("saved") is not None
    await store.shorten(doomed, 0.3)


async def test_the_last_put_decides_under_which_lease_a_key_lies(store: Store) -> None:
    first, second = await store.grant(60), await store.grant(60)
    await store.transaction((), (Put("moved", b"", first), Put("freed", b"", first)))
    await store.put("moved", b"", second)
    await store.put("freed", b"")
    await store.revoke(first)
    assert [(item.key, item.lease) for item in (await store.range("")).items] == [("freed", 0), ("moved", second)]
    await store.revoke(second)
    assert [item.key for item in (await store.range("")).items] == ["freed"]


async def test_a_key_that_moves_as_its_lease_ends_stays(store: Store) -> None:
    first, second = await store.grant(60), await store.grant(60)
    await store.transaction((), (Put("moved", b"", first), Put("left", b"", first)))
    # At once, so that a store may do both in one commit; in this order.
    await asyncio.gather(store.put("moved", b"", second), store.put("late", b"", first), store.revoke(first))
    assert [(item.key, item.lease) for item in (await store.range("")).items] == [("moved", second)]


async def test_everything_is_there_after_a_restart_and_leases_have_their_whole_time(opened: Opened) -> None:
    async with opened() as store:
        lease = await store.grant(1.0)
        await store.transaction((), (Put("leased", b"1", lease), Put("plain", b"2")))
        await store.put("deleted", b"")
        await store.delete("deleted")
        await store.shorten(lease, 0.01)
        before = await store.range("")
    async with opened() as store:
        assert await store.range("") == before
        assert await store.keep_alive(lease)
        assert await store.grant(1.0) != lease
        await until_gone(store, "leased", before.revision)
        assert [item.key for item in (await store.range("")).items] == ["plain"]


async def test_a_closed_store_says_so(opened: Opened) -> None:
    async with opened() as store:
        lease = await store.grant(60)
        start = (await store.range("")).revision
        waiting = asyncio.create_task(next_of(store.watch("", start)))
        await asyncio.sleep(0)
    for call in (
        store.get("a"),
        store.range(""),
        store.put("a", b""),
        store.grant(1),
        store.keep_alive(lease),
        waiting,
    ):
        with pytest.raises(StoreUnavailable):
            await call


async def test_a_cancelled_caller_leaves_the_store_in_order(store: Store) -> None:
    calls = [asyncio.create_task(store.put("a", b"%d" % n)) for n in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results[1::2]] == [type(None)] * 50
    found = await store.get("a")
    assert found is not None and found.value == b"99"
