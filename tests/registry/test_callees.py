"""Who calls whom is remembered, and services are forgotten only when nobody is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Proxy
from tulle.registry.errors import StillAlive
from tulle.registry.registry import Registry
from tulle.store.contract import Store

Sidecar = Callable[..., Proxy]
SERVICE_A = ServiceName("default", "service-a")
SERVICE_B = ServiceName("default", "service-b")


async def everything(registry: Registry) -> Snapshot:
    async with aclosing(registry.snapshots()) as snapshots:
        return await anext(snapshots)


async def test_what_a_service_calls_is_learned_once(registry: Registry, store: Store) -> None:
    destinations = [
        Destination(SERVICE_B, 8080),
        Destination(SERVICE_B, 80),
        Destination(ServiceName("prod", "db"), 80),
    ]
    await asyncio.gather(*(registry.learn(SERVICE_A, destination) for destination in destinations * 3))
    await registry.learn(SERVICE_B, destinations[2])
    assert (await everything(registry)).callees == {
        SERVICE_A: (destinations[1], destinations[0], destinations[2]),
        SERVICE_B: (destinations[2],),
    }
    before = (await store.range("")).revision
    await registry.learn(SERVICE_A, destinations[0])
    assert (await store.range("")).revision == before


async def test_a_service_with_live_instances_is_not_forgotten(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    await registry.register(sidecar("service-a-1"))
    with pytest.raises(StillAlive, match=r"service-b.default has live instances \(service-b-1\): stop them first"):
        await registry.forget(SERVICE_B)
    assert SERVICE_B in (await everything(registry)).services


async def test_forgetting_a_service_forgets_whom_it_calls(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-a-1"))
    for port in range(1, 251):
        await registry.learn(SERVICE_A, Destination(SERVICE_B, port))
    await registry.learn(SERVICE_B, Destination(SERVICE_A, 80))
    await registry.learn(ServiceName("default", "service-a-too"), Destination(SERVICE_B, 80))
    await registry.leave("service-a-1")
    await registry.forget(SERVICE_A)
    snapshot = await everything(registry)
    assert snapshot.services == {}
    assert set(snapshot.callees) == {SERVICE_B, ServiceName("default", "service-a-too")}
    await registry.forget(SERVICE_A)
