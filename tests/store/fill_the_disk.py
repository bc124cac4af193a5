"""Writes until there is no space, checks that nothing untrue is said, makes space, goes on. Exits 0 if all was well.

usage: fill_the_disk.py FOLDER            on a disk of about 1 MB
       fill_the_disk.py FOLDER limit      anywhere: the size of files is limited by RLIMIT_FSIZE
"""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import aclosing
from pathlib import Path

from tulle.store.contract import Range, Store
from tulle.store.errors import StoreFull, StoreUnavailable
from tulle.store.sqlite import open_store


async def main(folder: Path, limited: bool) -> None:
    folder.mkdir(exist_ok=True)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(300_000))
    async with open_store(folder) as store:
        lease = await store.grant(60)
        await store.put("leased", b"", lease)
        start = await store.range("")
        if limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        acknowledged, error = await fill(store)
        await fill_up(store)
        assert isinstance(error, StoreUnavailable if limited else StoreFull), error
        assert str(folder) in str(error)
        print(f"{len(acknowledged)} acknowledged, then: {error}")
        listing = await store.range("filler/")
        assert [item.key for item in listing.items] == acknowledged
        assert await told(store, start) == ["leased", *acknowledged]
        await store.shorten(lease, 0)
        await asyncio.sleep(1)  # it expires, but its key can't be deleted
        assert not await store.keep_alive(lease)
        assert await store.get("leased") is not None

        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ballast.unlink()
        await store.put("after", b"")
        async with asyncio.timeout(20), aclosing(store.watch("leased", start.revision)) as batches:
            assert [event.value for event in await anext(batches)] == [None]
        last = await store.range("")
    async with open_store(folder) as store:
        assert await store.range("") == last
        assert [item.key for item in last.items if item.key != "small"] == ["after", *acknowledged]


async def fill(store: Store) -> tuple[list[str], Exception]:
    """The keys that were acknowledged, and why the next ones were not."""
    acknowledged: list[str] = []
    while True:
        keys = [f"filler/{len(acknowledged) + n:05}" for n in range(5)]
        results = await asyncio.gather(*(store.put(key, bytes(10_000)) for key in keys), return_exceptions=True)
        acknowledged += [key for key, result in zip(keys, results, strict=True) if result is None]
        if errors := [result for result in results if isinstance(result, Exception)]:
            return acknowledged, errors[0]


async def fill_up(store: Store) -> None:
    """Until not even a small change has room any more."""
    for n in range(10_000):
        try:
            await store.put("small", b"%d" % n)
        except StoreUnavailable:
            return


async def told(store: Store, start: Range) -> list[str]:
    """The keys that a watcher knows of by now."""
    async with aclosing(store.watch("filler/", start.revision)) as batches:
        return ["leased", *(event.key for event in await anext(batches))]


asyncio.run(main(Path(sys.argv[1]), len(sys.argv) > 2))
