"""Snapshots add up to what the registry holds, however slowly they are read."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import KnownService, Snapshot
from tulle.model.workload import Health, Proxy
from tulle.registry.errors import RegistryError
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

Sidecar = Callable[..., Proxy]
PATIENCE = 20
IDS = st.sampled_from(["a-1", "a-2", "b-1", "c-1"])
SERVICES = st.sampled_from([ServiceName("default", name) for name in "abc"])
STEP = st.one_of(
    st.tuples(st.just("register"), IDS, st.sampled_from([80, 81])),
    st.tuples(st.just("set_health"), IDS, st.sampled_from(Health)),
    st.tuples(st.just("leave"), IDS, st.none()),
    st.tuples(st.just("learn"), SERVICES, SERVICES),
    st.tuples(st.just("forget"), SERVICES, st.none()),
    st.tuples(st.just("spoil"), IDS, st.none()),
    st.tuples(st.just("read"), st.none(), st.none()),
)


class Reader:
    """Merges snapshots as they come."""

    def __init__(self, registry: Registry) -> None:
        self.snapshots = registry.snapshots()
        self.revision = 0
        self.proxies: dict[str, Proxy] = {}
        self.services: dict[ServiceName, KnownService] = {}
        self.callees: dict[ServiceName, tuple[Destination, ...]] = {}

    async def read(self, revision: int) -> None:
        """Until what was known at this revision is known here."""
        while self.revision < revision:
            async with asyncio.timeout(PATIENCE):
                self.merge(await anext(self.snapshots))

    def merge(self, snapshot: Snapshot) -> None:
        assert snapshot.revision >= self.revision
        first, self.revision = not self.revision, snapshot.revision
        assert not first or None not in (*snapshot.proxies.values(), *snapshot.services.values())
        for id, proxy in snapshot.proxies.items():
            if proxy is None:
                del self.proxies[id]
            else:
                self.proxies[id] = proxy
        for name, service in snapshot.services.items():
            if service is None:
                del self.services[name]
            else:
                self.services[name] = service
        for caller, callees in snapshot.callees.items():
            assert callees == tuple(sorted(callees))
            self.callees[caller] = callees
            if not callees:
                del self.callees[caller]

    def state(self) -> tuple[object, ...]:
        return self.proxies, self.services, self.callees


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=25), history=st.sampled_from([2, 1000]))
def test_merged_snapshots_equal_a_full_read(
    sidecar: Sidecar, steps: list[tuple[str, object, object]], history: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(merged_equals_read(Path(folder), sidecar, steps, history))


async def merged_equals_read(
    folder: Path, sidecar: Sidecar, steps: list[tuple[str, object, object]], history: int
) -> None:
    async with open_store(folder, history=history) as store:
        registry = Registry(store, lease_seconds=60)
        eager, lazy = Reader(registry), Reader(registry)
        await lazy.read(1)
        for word, subject, argument in steps:
            if word == "read":
                await eager.read((await store.range("")).revision)
                continue
            with suppress(RegistryError):
                await step(registry, store, sidecar, word, subject, argument)
        await registry.register(sidecar("last-1"))
        now = (await store.range("")).revision
        fresh = Reader(registry)
        for reader in (eager, lazy, fresh):
            await reader.read(now)
            await reader.snapshots.aclose()
        assert eager.state() == lazy.state() == fresh.state()
        assert "last-1" in fresh.proxies


async def step(
    registry: Registry, store: Store, sidecar: Sidecar, word: str, subject: object, argument: object
) -> None:
    match word, subject, argument:
        case "register", str(id), int(port):
            await registry.register(sidecar(id, port=port))
        case "set_health", str(id), Health() as health:
            await registry.set_health(id, id, health)
        case "leave", str(id), _:
            await registry.leave(id)
        case "learn", ServiceName() as caller, ServiceName() as callee:
            await registry.learn(caller, Destination(callee, 80))
        case "forget", ServiceName() as service, _:
            await registry.forget(service)
        case "spoil", str(id), _:
            await store.put(f"registry/proxies/{id}", b"{}", await store.grant(60))


async def next_of(snapshots: AsyncIterator[Snapshot]) -> Snapshot:
    async with asyncio.timeout(PATIENCE):
        return await anext(snapshots)


async def test_the_first_snapshot_comes_also_from_an_empty_mesh(registry: Registry) -> None:
    async with aclosing(registry.snapshots()) as snapshots:
        first = await next_of(snapshots)
    assert (first.proxies, first.services, first.callees) == ({}, {}, {})


async def test_each_later_one_holds_only_what_changed(registry: Registry, sidecar: Sidecar) -> None:
    await registry.register(sidecar("service-a-1"))
    async with aclosing(registry.snapshots()) as snapshots:
        first = await next_of(snapshots)
        await registry.register(sidecar("service-a-2"))
        second = await next_of(snapshots)
        await registry.leave("service-a-1")
        third = await next_of(snapshots)
    assert set(first.proxies) == {"service-a-1"} and len(first.services) == 1
    assert (set(second.proxies), second.services, second.callees) == ({"service-a-2"}, {}, {})
    assert third.proxies == {"service-a-1": None}
    assert first.revision < second.revision < third.revision


async def test_a_slow_reader_gets_one_snapshot_for_many_changes(registry: Registry, sidecar: Sidecar) -> None:
    async with aclosing(registry.snapshots()) as snapshots:
        await next_of(snapshots)
        for n in range(50):
            await registry.register(sidecar("service-a-1", inbound_port=1000 + n))
        await registry.register(sidecar("service-a-2"))
        await registry.leave("service-a-2")
        merged = await next_of(snapshots)
    assert merged.proxies == {"service-a-1": sidecar("service-a-1", inbound_port=1049)}, (
        "what came and went is not told"
    )


async def test_who_was_left_behind_is_told_what_vanished(tmp_path: Path, sidecar: Sidecar) -> None:
    async with open_store(tmp_path, history=5) as store:
        registry = Registry(store)
        a, b = ServiceName("default", "service-a"), ServiceName("default", "service-b")
        for id in ("service-a-1", "service-a-2"):
            await registry.register(sidecar(id))
        await registry.learn(a, Destination(b, 80))
        async with aclosing(registry.snapshots()) as snapshots:
            await next_of(snapshots)
            await registry.leave("service-a-1")
            await registry.leave("service-a-2")
            await registry.forget(a)
            for n in range(10):
                await registry.register(sidecar("service-b-1", inbound_port=1000 + n))
            caught_up = await next_of(snapshots)
        assert caught_up.proxies == {
            "service-a-1": None,
            "service-a-2": None,
            "service-b-1": sidecar("service-b-1", inbound_port=1009),
        }
        assert caught_up.services.keys() == {a, b} and caught_up.services[a] is None
        assert caught_up.callees == {a: ()}


async def test_a_record_that_can_not_be_read_stops_no_other(
    registry: Registry, store: Store, sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {
        "registry/proxies/service-a-1": b"\xff",
        "registry/proxies/service-a-2": b'{"id": "service-a-2"}',
        "registry/services/default/service-z": b"[]",
        "registry/services/default": b"{}",
        "registry/callees/default/service-a/nowhere": b"",
        "registry/else/x": b"",
    }
    for key, value in bad.items():
        await store.put(key, value)
    await registry.register(sidecar("service-b-1"))
    for _ in range(2):
        async with aclosing(registry.snapshots()) as snapshots:
            assert (await next_of(snapshots)).proxies == {"service-b-1": sidecar("service-b-1")}
    with pytest.raises(RegistryError):
        await registry.set_health("service-a-1", "service-a-1", Health.HEALTHY)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(bad)
    for key in bad:
        assert any(f"the record at {key} in the store is skipped: " in warning for warning in warnings)


async def test_a_record_that_was_spoiled_is_told_as_gone_and_registering_repairs_it(
    registry: Registry, store: Store, sidecar: Sidecar
) -> None:
    await registry.register(sidecar("service-a-1"))
    async with aclosing(registry.snapshots()) as snapshots:
        await next_of(snapshots)
        await store.put("registry/proxies/service-a-1", b"?")
        assert (await next_of(snapshots)).proxies == {"service-a-1": None}
        await registry.register(sidecar("service-a-1"))
        assert (await next_of(snapshots)).proxies == {"service-a-1": sidecar("service-a-1")}
    assert await registry.keep_alive("service-a-1")


async def test_what_others_keep_in_the_store_is_not_the_registrys(registry: Registry, store: Store) -> None:
    await store.put("registry", b"")
    await store.put("tokens/x", b"")
    async with aclosing(registry.snapshots()) as snapshots:
        assert (await next_of(snapshots)).proxies == {}
