"""Two control planes on one store: what one does between another's look and its write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import pytest

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Protocol, Proxy
from tulle.registry.errors import RegistrationRefused, StillAlive
from tulle.registry.registry import Registry
from tulle.store.contract import Delete, Event, KeyValue, NothingNewer, Put, Range, Store, Unchanged

Sidecar = Callable[..., Proxy]
SERVICE_B = ServiceName("default", "service-b")


class Interrupted(Store):
    """A store on which something else happens just before the first transaction."""

    def __init__(self, store: Store, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def transaction(
        self, compares: Sequence[Unchanged | NothingNewer], operations: Sequence[Put | Delete]
    ) -> int | None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await self._store.transaction(compares, operations)

    async def get(self, key: str) -> KeyValue | None:
        return await self._store.get(key)

    async def range(self, prefix: str) -> Range:
        return await self._store.range(prefix)

    def watch(self, prefix: str, after_revision: int) -> AsyncGenerator[tuple[Event, ...], None]:
        return self._store.watch(prefix, after_revision)

    async def grant(self, ttl: float) -> int:
        return await self._store.grant(ttl)

    async def keep_alive(self, lease: int) -> bool:
        return await self._store.keep_alive(lease)

    async def shorten(self, lease: int, seconds: float) -> None:
        await self._store.shorten(lease, seconds)

    async def revoke(self, lease: int) -> None:
        await self._store.revoke(lease)


async def everything(registry: Registry) -> Snapshot:
    async with aclosing(registry.snapshots()) as snapshots:
        return await anext(snapshots)


@pytest.mark.parametrize("protocols", [(Protocol.HTTP, Protocol.GRPC), (Protocol.GRPC, Protocol.HTTP)])
async def test_of_two_that_disagree_about_a_port_the_second_is_refused(
    registry: Registry, store: Store, sidecar: Sidecar, protocols: tuple[Protocol, Protocol]
) -> None:
    await registry.register(sidecar("service-b-0"))  # so that HTTP is known, but by nobody who is alive
    await registry.leave("service-b-0")
    first, second = sidecar("service-b-1", protocol=protocols[0]), sidecar("service-b-2", protocol=protocols[1])
    with pytest.raises(RegistrationRefused, match="on the live instance service-b-1"):
        await Registry(Interrupted(store, lambda: registry.register(first))).register(second)
    snapshot = await everything(registry)
    known = snapshot.services[SERVICE_B]
    assert snapshot.proxies == {"service-b-1": first}
    assert known is not None and [port.protocol for port in known.ports] == [protocols[0]]


async def test_of_two_with_one_id_the_second_is_refused(registry: Registry, store: Store, sidecar: Sidecar) -> None:
    for account in ("service-b", "thief"):  # nothing is new about the service, so only the proxy's own record tells
        await registry.register(sidecar("service-b-0", account=account))
        await registry.leave("service-b-0")
    first, second = sidecar("service-b-1"), sidecar("service-b-1", account="thief")
    with pytest.raises(RegistrationRefused, match="is taken"):
        await Registry(Interrupted(store, lambda: registry.register(first))).register(second)
    assert (await everything(registry)).proxies == {"service-b-1": first}


async def test_a_service_that_comes_alive_is_not_forgotten(registry: Registry, store: Store, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    await registry.leave("service-b-1")
    with pytest.raises(StillAlive):
        await Registry(Interrupted(store, lambda: registry.register(sidecar("service-b-1")))).forget(SERVICE_B)
    assert SERVICE_B in (await everything(registry)).services


async def test_who_registers_while_its_service_is_forgotten_is_known(
    registry: Registry, store: Store, sidecar: Sidecar
) -> None:
    await registry.register(sidecar("service-b-1"))
    await registry.leave("service-b-1")
    await Registry(Interrupted(store, lambda: registry.forget(SERVICE_B))).register(sidecar("service-b-1"))
    snapshot = await everything(registry)
    assert snapshot.proxies.keys() == {"service-b-1"} and snapshot.services.keys() == {SERVICE_B}


async def test_a_lease_that_ends_at_the_last_moment_is_replaced(
    registry: Registry, store: Store, sidecar: Sidecar
) -> None:
    await registry.register(sidecar("service-b-1"))
    changed = sidecar("service-b-1", inbound_port=50000)
    await Registry(Interrupted(store, lambda: registry.leave("service-b-1"))).register(changed)
    assert (await everything(registry)).proxies == {"service-b-1": changed}
    assert await registry.keep_alive("service-b-1")


async def test_healths_of_one_proxy_do_not_undo_each_other(registry: Registry, store: Store, sidecar: Sidecar) -> None:
    changed = sidecar("service-b-1", inbound_port=50000)
    await registry.register(sidecar("service-b-1"))
    late = Registry(Interrupted(store, lambda: registry.register(changed)))
    await late.set_health("service-b-1", "service-b-1", Health.UNHEALTHY)
    expected = sidecar("service-b-1", inbound_port=50000, health=Health.UNHEALTHY)
    assert (await everything(registry)).proxies == {"service-b-1": expected}


async def test_what_two_learn_at_once_is_learned(registry: Registry, store: Store) -> None:
    callee = Destination(SERVICE_B, 80)
    await Registry(Interrupted(store, lambda: registry.learn(SERVICE_B, callee))).learn(SERVICE_B, callee)
    assert (await everything(registry)).callees == {SERVICE_B: (callee,)}
