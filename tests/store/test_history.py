"""A watch never lies: what it tells, applied to what was listed, is what the store holds. Or it says that it can't."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.store.contract import Delete, Put, Store, Unchanged
from tulle.store.errors import Compacted
from tulle.store.sqlite import open_store

KEYS = st.sampled_from(["a", "a/b", "a/c", "b"])
WRITES = st.dictionaries(KEYS, st.none() | st.tuples(st.binary(max_size=2), st.booleans()), max_size=3)
SWAP = st.tuples(st.sets(KEYS, max_size=1), WRITES)  # keys that must be absent; what to write, under the lease or not
STEP = st.one_of(st.lists(SWAP, min_size=1, max_size=4), st.sampled_from(["revoke", "read"]))
Swap = tuple[set[str], dict[str, tuple[bytes, bool] | None]]


class Model:
    """What the store should hold."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.leased: set[str] = set()

    def swap(self, absent: set[str], writes: dict[str, tuple[bytes, bool] | None]) -> bool:
        if absent & self.items.keys():
            return False
        for key, write in writes.items():
            self.items.pop(key, None)
            self.leased.discard(key)
            if write is not None:
                self.items[key] = write[0]
                if write[1]:
                    self.leased.add(key)
        return True

    def revoke(self) -> None:
        for key in self.leased:
            del self.items[key]
        self.leased.clear()


class Replica:
    """What someone knows who listed a prefix once, and has watched it since."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.items: dict[str, bytes] = {}
        self.revision = 1

    async def read(self, store: Store) -> None:
        """All that there is to read now."""
        async with aclosing(store.watch(self.prefix, self.revision)) as batches:
            try:
                async with asyncio.timeout(0):
                    events = await anext(batches)
            except TimeoutError:
                return
        revisions = [event.revision for event in events]
        assert revisions == sorted(revisions) and revisions[0] > self.revision
        self.revision = revisions[-1]
        for event in events:
            assert event.key.startswith(self.prefix)
            if event.value is None:
                del self.items[event.key]
            else:
                self.items[event.key] = event.value


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_replaying_a_watch_over_a_listing_gives_the_store(steps: list[str | list[Swap]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(replay(Path(folder), steps))


async def replay(folder: Path, steps: list[str | list[Swap]]) -> None:
    model, replicas = Model(), (Replica(""), Replica("a/"))
    async with open_store(folder) as store:
        lease = await store.grant(60)
        for step in steps:
            if step == "read":
                await asyncio.gather(*(replica.read(store) for replica in replicas))
            elif step == "revoke":
                await store.revoke(lease)
                model.revoke()
                lease = await store.grant(60)
            elif not isinstance(step, str):  # all at once: one commit, in this order
                done = await asyncio.gather(*(transaction(store, lease, *swap) for swap in step))
                assert done == [model.swap(*swap) for swap in step]
        for replica in replicas:
            await replica.read(store)
            assert replica.items == {key: value for key, value in model.items.items() if key.startswith(replica.prefix)}
        listing = await store.range("")
    assert {item.key: item.value for item in listing.items} == model.items
    async with open_store(folder) as store:
        assert await store.range("") == listing


async def transaction(store: Store, lease: int, absent: set[str], writes: dict[str, tuple[bytes, bool] | None]) -> bool:
    operations = [
        Delete(key) if write is None else Put(key, write[0], lease if write[1] else 0) for key, write in writes.items()
    ]
    return await store.transaction([Unchanged(key, 0) for key in absent], operations) is not None


async def test_who_reads_too_slowly_is_told_to_list_again(tmp_path: Path) -> None:
    async with open_store(tmp_path, history=10) as store:
        start = (await store.range("")).revision
        async with aclosing(store.watch("", start)) as slow, aclosing(store.watch("", start)) as quick:
            for n in range(8):
                await store.put("a", b"%d" % n)
            assert len(await anext(quick)) == 8
            for n in range(3):
                await store.put("a", b"%d" % n)
            assert len(await anext(quick)) == 3
            with pytest.raises(Compacted):
                await anext(slow)
        with pytest.raises(Compacted):
            await anext(store.watch("", start))
        listing = await store.range("")
        await store.put("b", b"")
        assert [event.key for event in await anext(store.watch("", listing.revision))] == ["b"]


async def test_a_revision_is_forgotten_whole(tmp_path: Path) -> None:
    async with open_store(tmp_path, history=3) as store:
        first = await store.transaction((), (Put("a", b""), Put("b", b"")))
        assert first is not None
        second = await store.transaction((), (Put("c", b""), Put("d", b"")))
        with pytest.raises(Compacted):
            await anext(store.watch("", first - 1))
        assert [(one.key, one.revision) for one in await anext(store.watch("", first))] == [
            ("c", second),
            ("d", second),
        ]


async def test_what_happened_before_a_restart_can_not_be_watched(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        start = (await store.range("")).revision
        await store.put("a", b"")
    async with open_store(tmp_path) as store:
        with pytest.raises(Compacted):
            await anext(store.watch("", start))
        await store.put("b", b"")
        assert [event.key for event in await anext(store.watch("", start + 1))] == ["b"]
