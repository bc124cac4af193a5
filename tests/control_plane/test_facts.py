"""What is alive and what is declared are one stream; its first snapshot is all of both."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

from tulle.control_plane.facts import merged
from tulle.model.names import ServiceName
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.virtual_service import VirtualService
from tulle.model.workload import Proxy, Workload
from tulle.registry.registry import Registry
from tulle.sources.stored import Declared
from tulle.store.sqlite import open_store

PATIENCE = 20


def proxy(id: str) -> Proxy:
    return Proxy(id, "127.0.0.1", 40000, 40001, (Workload(id, ServiceName("default", "web"), "web"),))


def virtual_service(name: str) -> Resource:
    return Resource(Ref("VirtualService", "default", name), VirtualService(hosts=(name,)))


async def test_the_first_snapshot_holds_all_of_every_source_and_later_ones_come_from_each(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store, asyncio.timeout(PATIENCE):
        registry, declared = Registry(store, 60), Declared(store, time.time)
        await declared.apply([virtual_service("a")])
        await registry.register(proxy("web-1"))
        async with aclosing(merged(registry.snapshots(), declared.snapshots())) as snapshots:
            first = await anext(snapshots)
            assert (set(first.proxies), set(first.resources)) == ({"web-1"}, {Ref("VirtualService", "default", "a")})
            assert set(first.services) == {ServiceName("default", "web")}
            await declared.apply([virtual_service("b")])
            second = await anext(snapshots)
            assert set(second.resources) == {Ref("VirtualService", "default", "b")} and not second.proxies
            await registry.register(proxy("web-2"))
            third = await anext(snapshots)
            assert set(third.proxies) == {"web-2"} and not third.resources
            assert first.revision < second.revision < third.revision


async def test_a_source_that_fails_ends_the_stream_with_its_error(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store:
        snapshots = merged(Registry(store, 60).snapshots(), Declared(store, time.time).snapshots())
        await anext(snapshots)
        waiting = asyncio.create_task(anext(snapshots))
        await asyncio.sleep(0)
    await asyncio.wait([waiting], timeout=PATIENCE)
    assert "the store is closed" in str(waiting.exception())
