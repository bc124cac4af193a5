"""All sources as one: what is alive and what is declared, told in one stream of snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from tulle.model.snapshot import Snapshot


async def merged(*sources: AsyncGenerator[Snapshot, None]) -> AsyncGenerator[Snapshot, None]:
    """First one that is complete, of all sources together; then what each has to tell, as it comes.

    Closes the sources. Revisions never go back: they are those of the newest that was seen.
    """
    waiting: dict[asyncio.Task[Snapshot], AsyncGenerator[Snapshot, None]] = {}
    try:
        first = [await anext(source) for source in sources]
        whole = Snapshot(
            max(one.revision for one in first),
            {id: proxy for one in first for id, proxy in one.proxies.items()},
            {name: known for one in first for name, known in one.services.items()},
            {name: callees for one in first for name, callees in one.callees.items()},
            {ref: resource for one in first for ref, resource in one.resources.items()},
            {uri: keys for one in first for uri, keys in one.key_sets.items()},
            next((one.revoked for one in first if one.revoked is not None), None),
        )
        yield whole
        revision = whole.revision
        waiting = {_next(source): source for source in sources}
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = waiting.pop(task)
                snapshot = task.result()
                waiting[_next(source)] = source
                revision = max(revision, snapshot.revision)
                yield replace(snapshot, revision=revision)
    finally:
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
        for source in sources:
            await source.aclose()


def _next(source: AsyncGenerator[Snapshot, None]) -> asyncio.Task[Snapshot]:
    return asyncio.create_task(_one(source), name="next snapshot")


async def _one(source: AsyncGenerator[Snapshot, None]) -> Snapshot:
    return await anext(source)
