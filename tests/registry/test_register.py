"""An instance comes, lives and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec.structs import replace

from tulle.model.names import ServiceName
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.vips import candidates
from tulle.model.workload import Health, Protocol, Proxy
from tulle.registry.errors import NotRegistered, RegistrationRefused
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

Sidecar = Callable[..., Proxy]
SERVICE_B = ServiceName("default", "service-b")
VIP = next(candidates(SERVICE_B))
PATIENCE = 20


async def everything(registry: Registry) -> Snapshot:
    async with aclosing(registry.snapshots()) as snapshots:
        return await anext(snapshots)


async def revision(store: Store) -> int:
    return (await store.range("")).revision


async def until_gone(registry: Registry, proxy: str) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(registry.snapshots()) as snapshots:
        seen = False
        async for snapshot in snapshots:
            seen = seen or snapshot.proxies.get(proxy) is not None
            if not seen or snapshot.proxies.get(proxy, ...) is None:
                return


async def test_who_registers_is_alive_and_its_service_is_known(registry: Registry, sidecar: Sidecar) -> None:
    proxy = sidecar("service-b-1", port_name="web")
    await registry.register(proxy)
    snapshot = await everything(registry)
    assert snapshot.proxies == {"service-b-1": proxy}
    assert snapshot.services == {
        SERVICE_B: KnownService(
            SERVICE_B, (KnownPort(80, Protocol.HTTP, "web"),), ("spiffe://cluster.local/ns/default/sa/service-b",), VIP
        )
    }
    assert await registry.keep_alive("service-b-1")


async def test_saying_the_same_again_writes_nothing(registry: Registry, store: Store, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    before = await revision(store)
    await registry.register(sidecar("service-b-1"))
    await registry.keep_alive("service-b-1")
    await registry.set_health("service-b-1", "service-b-1", Health.HEALTHY)
    assert await revision(store) == before


async def test_an_agent_that_comes_back_with_other_ports_is_believed(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    again = sidecar("service-b-1", inbound_port=50000, health=Health.UNHEALTHY)
    await registry.register(again)
    assert (await everything(registry)).proxies == {"service-b-1": again}


async def test_what_is_known_of_a_service_is_the_union_of_its_instances(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1", port=8080, account="other"))
    await registry.register(sidecar("service-b-2", port_name="web"))
    await registry.register(sidecar("service-b-3", port_name="www"))
    await registry.register(sidecar("service-b-4", port=None))
    await registry.leave("service-b-1")
    assert (await everything(registry)).services == {
        SERVICE_B: KnownService(
            SERVICE_B,
            (KnownPort(80, Protocol.HTTP, "web"), KnownPort(8080, Protocol.HTTP)),
            ("spiffe://cluster.local/ns/default/sa/other", "spiffe://cluster.local/ns/default/sa/service-b"),
            VIP,
        )
    }


async def test_a_service_stays_known_when_nobody_is_left(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    await registry.leave("service-b-1")
    snapshot = await everything(registry)
    assert snapshot.proxies == {} and SERVICE_B in snapshot.services
    assert not await registry.keep_alive("service-b-1")
    await registry.leave("service-b-1")
    await registry.abandon("service-b-1")


async def test_health_is_changed_in_its_place(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1", health=Health.STARTING))
    await registry.set_health("service-b-1", "service-b-1", Health.HEALTHY)
    assert (await everything(registry)).proxies == {"service-b-1": sidecar("service-b-1", health=Health.HEALTHY)}
    await registry.leave("service-b-1")
    assert (await everything(registry)).proxies == {}, "it still lay under its lease"
    for proxy, workload in (("service-b-1", "service-b-1"), ("nobody", "nobody")):
        with pytest.raises(NotRegistered, match="register it first"):
            await registry.set_health(proxy, workload, Health.HEALTHY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "Service_B"}, "proxy id 'Service_B' is no DNS label"),
        ({"id": "../b"}, "proxy id '../b' is no DNS label"),
        ({"id": "b" * 64}, f"proxy id '{'b' * 64}' is no DNS label"),
        ({"address": "localhost"}, "'localhost' is no IP address"),
        ({"address": "0.0.0.0"}, "0.0.0.0 is not that of one machine"),
        ({"address": "::ffff:127.0.0.1"}, "write 127.0.0.1"),
        ({"inbound_port": 0}, "the proxy's inbound port is 0: use 1 to 65535"),
        ({"workloads": ()}, "serves no workload"),
    ],
)
async def test_an_invalid_proxy_is_refused(
    registry: Registry, store: Store, sidecar: Sidecar, change: dict[str, object], told: str
) -> None:
    with pytest.raises(RegistrationRefused) as refusal:
        await registry.register(replace(sidecar("service-b-1"), **change))
    assert told in str(refusal.value)
    assert (await store.range("")).items == ()


async def test_all_that_is_wrong_is_told_at_once(registry: Registry, sidecar: Sidecar) -> None:
    with pytest.raises(RegistrationRefused) as refusal:
        await registry.register(sidecar("-1", namespace="Prod", account="a/b", port=70000, port_name="Web"))
    told = str(refusal.value)
    for part in (
        "service name ''",
        "namespace 'Prod'",
        "service account 'a/b'",
        "service port is 70000",
        "port name 'Web'",
    ):
        assert part in told


async def test_ports_and_ids_within_one_proxy_must_agree(registry: Registry, sidecar: Sidecar) -> None:
    one, two = sidecar("service-b-1"), sidecar("service-b-2", protocol=Protocol.GRPC)
    with pytest.raises(RegistrationRefused, match=r"port 80 of service-b\.default is both http and grpc here"):
        await registry.register(replace(one, workloads=one.workloads + two.workloads))
    with pytest.raises(RegistrationRefused, match="workload ids of proxy service-b-1 are not all different"):
        await registry.register(replace(one, workloads=one.workloads * 2))
    twice = replace(one.workloads[0], ports=one.workloads[0].ports * 2)
    with pytest.raises(RegistrationRefused, match="service ports of service-b-1 are not all different: 80, 80"):
        await registry.register(replace(one, workloads=(twice,)))


@pytest.mark.parametrize("other", [{"account": "thief"}, {"namespace": "prod"}])
async def test_an_id_that_is_alive_is_not_given_away(
    registry: Registry, sidecar: Sidecar, other: dict[str, str]
) -> None:
    await registry.register(sidecar("service-b-1"))
    with pytest.raises(
        RegistrationRefused, match="proxy id service-b-1 is taken: it is alive as service-b-1 of service-b"
    ):
        await registry.register(sidecar("service-b-1", **other))
    assert (await everything(registry)).proxies == {"service-b-1": sidecar("service-b-1")}
    await registry.leave("service-b-1")
    await registry.register(sidecar("service-b-1", **other))


async def test_a_live_instance_fixes_the_protocol_of_a_port(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-b-1"))
    await registry.register(sidecar("service-b-2", port=9000, protocol=Protocol.GRPC))
    with pytest.raises(RegistrationRefused) as refusal:
        await registry.register(sidecar("service-b-3", protocol=Protocol.GRPC))
    assert "port 80 of service-b.default can't be grpc: it is http on the live instance service-b-1" in str(
        refusal.value
    )
    await registry.leave("service-b-1")
    await registry.register(sidecar("service-b-3", protocol=Protocol.GRPC))
    known = (await everything(registry)).services[SERVICE_B]
    assert known is not None
    assert known.ports == (KnownPort(80, Protocol.GRPC), KnownPort(9000, Protocol.GRPC))


async def test_a_silent_proxy_is_gone_after_its_lease(store: Store, sidecar: Sidecar) -> None:
    registry = Registry(store, lease_seconds=0.5)
    await registry.register(sidecar("service-b-1"))
    await until_gone(registry, "service-b-1")
    assert not await registry.keep_alive("service-b-1")


async def test_an_abandoned_proxy_is_gone_after_the_grace(registry: Registry, sidecar: Sidecar) -> None:
    for id in ("service-b-1", "service-b-2", "service-b-3"):
        await registry.register(sidecar(id))
        await registry.abandon(id)
    await registry.register(sidecar("service-b-2"))
    assert await registry.keep_alive("service-b-3")
    await until_gone(registry, "service-b-1")
    assert set((await everything(registry)).proxies) == {"service-b-2", "service-b-3"}, (
        "they came back within the grace"
    )


async def test_who_was_registered_is_so_after_a_restart_for_one_lease(tmp_path: Path, sidecar: Sidecar) -> None:
    async with open_store(tmp_path) as store:
        registry = Registry(store, lease_seconds=1.5)
        for id in ("service-b-1", "service-b-2"):
            await registry.register(sidecar(id))
            await registry.abandon(id)
    async with open_store(tmp_path) as store:
        registry = Registry(store, lease_seconds=1.5)
        assert set((await everything(registry)).proxies) == {"service-b-1", "service-b-2"}
        before = await revision(store)
        gone = asyncio.create_task(until_gone(registry, "service-b-1"))
        while not gone.done():
            await registry.register(sidecar("service-b-2"))
            await asyncio.sleep(0.1)
        await gone
        assert await revision(store) == before + 1, "only the end of the other one was written"


async def test_a_thousand_register_at_once(registry: Registry, sidecar: Sidecar) -> None:
    start = time.monotonic()
    await asyncio.gather(*(registry.register(sidecar(f"service-{n % 100}-{n}")) for n in range(1000)))
    assert time.monotonic() - start < 15
    snapshot = await everything(registry)
    assert (len(snapshot.proxies), len(snapshot.services)) == (1000, 100)
