"""Every service has one address of its own, for good."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from ipaddress import IPv4Address
from itertools import islice
from socket import inet_aton

from tulle.model.addresses import CANARY_VIP
from tulle.model.names import ServiceName
from tulle.model.vips import NETWORK, candidates
from tulle.model.workload import Proxy
from tulle.registry.keys import vip_holder, vip_key
from tulle.registry.registry import Registry
from tulle.store.contract import Put, Store

Sidecar = Callable[..., Proxy]
SERVICE_B = ServiceName("default", "service-b")


async def vip_of(registry: Registry, service: ServiceName) -> str:
    async with aclosing(registry.snapshots()) as snapshots:
        known = (await anext(snapshots)).services[service]
    assert known is not None
    return known.vip


async def test_a_service_that_only_calls_has_an_address_as_well(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1", port=None))
    assert IPv4Address(await vip_of(registry, SERVICE_B)) in NETWORK


async def test_the_address_stays_when_the_service_is_forgotten_and_comes_again(
    registry: Registry, store: Store, sidecar: Sidecar
) -> None:
    taken = next(candidates(SERVICE_B))
    await store.transaction((), (Put(vip_key(taken), vip_holder(ServiceName("default", "somebody"))),))
    await registry.register(sidecar("service-b-1"))
    first = await vip_of(registry, SERVICE_B)
    await registry.leave("service-b-1")
    await registry.forget(SERVICE_B)
    await registry.register(sidecar("service-b-2"))
    assert await vip_of(registry, SERVICE_B) == first != taken


async def test_an_address_that_another_service_has_is_passed_over(
    registry: Registry, store: Store, sidecar: Sidecar
) -> None:
    first, second = islice(candidates(SERVICE_B), 2)
    await store.transaction((), (Put(vip_key(first), vip_holder(ServiceName("default", "somebody"))),))
    await registry.register(sidecar("service-b-1"))
    assert await vip_of(registry, SERVICE_B) == second


def test_no_service_has_an_address_that_is_tulles_own() -> None:
    addresses = [IPv4Address(vip) for vip in islice(candidates(SERVICE_B), 10_000)]
    assert len(set(addresses)) == 10_000
    assert all(address in NETWORK for address in addresses)
    last = IPv4Address(max(map(inet_aton, candidates(SERVICE_B))))
    assert last < IPv4Address(CANARY_VIP)
    assert str(last) == "127.127.254.255"
