"""Resources are written all or none, keep their age, and are told to whoever follows."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing

import pytest

from tulle.model.actions import Action
from tulle.model.names import ServiceName
from tulle.model.resources.common import Destination
from tulle.model.resources.resource import Origin, Ref, Resource
from tulle.model.resources.virtual_service import HTTPRoute, HTTPRouteDestination, VirtualService
from tulle.model.workload import Health, Proxy, Workload
from tulle.registry.registry import Registry
from tulle.sources.errors import Conflict, TooMany
from tulle.sources.records import key_of
from tulle.sources.stored import Declared, Outcome
from tulle.store.contract import MOST_OPERATIONS, Store

PATIENCE = 20


def ref(name: str, namespace: str = "default") -> Ref:
    return Ref("VirtualService", namespace, name)


def virtual_service(name: str, *hosts: str, namespace: str = "default", line: int = 0, **labels: str) -> Resource:
    route = HTTPRoute(route=(HTTPRouteDestination(destination=Destination(host=name)),))
    spec = VirtualService(hosts=hosts or (name,), http=(route,))
    return Resource(ref(name, namespace), spec, labels, origin=Origin("mesh.yaml", line))


def done(outcomes: list[Outcome]) -> list[tuple[Ref, Action]]:
    return [(one.ref, one.action) for one in outcomes]


async def the(declared: Declared, name: str) -> Resource:
    stored = await declared.get(ref(name))
    assert stored is not None
    return stored.resource


async def test_what_was_applied_is_read_as_it_was_given(declared: Declared) -> None:
    given = virtual_service("reviews", "reviews", "reviews.com", line=7, team="books")
    assert done(await declared.apply([given])) == [(given.ref, Action.CREATED)]
    found = await the(declared, "reviews")
    assert (found.spec, found.labels, found.origin) == (given.spec, {"team": "books"}, Origin("mesh.yaml", 7))
    assert (found.created, found.generation) == (1000.0, 1)


async def test_a_change_of_the_specification_is_a_generation_and_keeps_the_age(declared: Declared) -> None:
    await declared.apply([virtual_service("reviews")])
    outcomes = await declared.apply([virtual_service("reviews", "other"), virtual_service("ratings")])
    assert [one.action for one in outcomes] == [Action.CONFIGURED, Action.CREATED]
    assert ((await the(declared, "reviews")).created, (await the(declared, "reviews")).generation) == (1000.0, 2)
    await declared.apply([virtual_service("reviews", "other", team="books")])
    assert (await the(declared, "reviews")).generation == 2
    assert (await the(declared, "reviews")).labels == {"team": "books"}


async def test_the_same_document_again_is_unchanged_also_when_its_line_has_moved(declared: Declared) -> None:
    await declared.apply([virtual_service("reviews", line=1)])
    (outcome,) = await declared.apply([virtual_service("reviews", line=1)])
    revision = (await declared.listed())[0]
    (moved,) = await declared.apply([virtual_service("reviews", line=40)])
    assert outcome.action is moved.action is Action.UNCHANGED
    assert (await the(declared, "reviews")).origin.line == 40
    assert (await declared.listed())[0] == revision + 1


async def test_a_dry_run_says_what_would_be_and_writes_nothing(declared: Declared) -> None:
    assert done(await declared.apply([virtual_service("a")], dry_run=True)) == [(ref("a"), Action.CREATED)]
    assert await declared.get(ref("a")) is None
    await declared.apply([virtual_service("a")])
    assert done(await declared.delete([ref("a")], dry_run=True)) == [(ref("a"), Action.DELETED)]
    assert await declared.get(ref("a")) is not None


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(declared: Declared) -> None:
    await declared.apply([virtual_service("a"), virtual_service("b")])
    read = await declared.get(ref("a"))
    assert read is not None
    await declared.apply([virtual_service("a", "theirs")])
    with pytest.raises(Conflict, match="VirtualService default/a was changed by somebody else"):
        await declared.apply(
            [virtual_service("b", "mine"), virtual_service("a", "mine")], expected={ref("a"): read.revision}
        )
    assert (await the(declared, "a")).spec == virtual_service("a", "theirs").spec
    assert (await the(declared, "b")).generation == 1
    with pytest.raises(Conflict):
        await declared.delete([ref("a")], expected={ref("a"): read.revision})


async def test_concurrent_applies_of_the_same_resources_leave_one_of_them_whole(declared: Declared) -> None:
    names = [f"s{n}" for n in range(20)]

    async def apply(host: str) -> None:
        await declared.apply([virtual_service(name, host) for name in names])

    await asyncio.gather(*(apply(f"host-{n}") for n in range(15)))
    found = [await the(declared, name) for name in names]
    assert len({one.spec.hosts for one in found if isinstance(one.spec, VirtualService)}) == 1
    assert {one.generation for one in found} == {15}


async def test_a_resource_twice_or_more_than_one_transaction_is_refused(declared: Declared) -> None:
    with pytest.raises(ValueError, match="VirtualService default/a is given twice"):
        await declared.apply([virtual_service("a"), virtual_service("a")])
    with pytest.raises(TooMany, match=f"at most {MOST_OPERATIONS}"):
        await declared.apply([virtual_service(f"a{n}") for n in range(MOST_OPERATIONS + 1)])
    assert await declared.listed() == (1, [])


async def test_what_is_deleted_is_gone_and_what_was_not_there_is_not_told(declared: Declared) -> None:
    await declared.apply([virtual_service("a"), virtual_service("b")])
    assert done(await declared.delete([ref("b"), ref("c")])) == [(ref("b"), Action.DELETED)]
    assert [one.resource.ref for one in (await declared.listed())[1]] == [ref("a")]


async def test_an_outcome_has_what_was_and_what_is(declared: Declared) -> None:
    [created] = await declared.apply([virtual_service("a")])
    [configured] = await declared.apply([virtual_service("a", "a", "b")])
    [deleted] = await declared.delete([ref("a")])
    assert created.before is None and created.after is not None and created.after.generation == 1
    assert configured.before is not None and configured.before.spec == created.after.spec
    assert configured.after is not None and configured.after.generation == 2
    assert deleted.before is not None and deleted.before.spec == configured.after.spec
    assert deleted.after is None


async def test_a_list_is_of_a_kind_and_of_a_namespace(declared: Declared) -> None:
    await declared.apply([virtual_service("b"), virtual_service("a"), virtual_service("a", namespace="shop")])
    listed = [one.resource.ref for one in (await declared.listed("VirtualService", "default"))[1]]
    assert listed == [ref("a"), ref("b")]
    assert [one.resource.ref for one in (await declared.listed(namespace="shop"))[1]] == [ref("a", "shop")]
    assert (await declared.listed("Sidecar"))[1] == []


async def test_who_follows_is_told_everything_first_and_then_what_changes(declared: Declared) -> None:
    await declared.apply([virtual_service("a"), virtual_service("b")])
    async with aclosing(declared.snapshots()) as snapshots, asyncio.timeout(PATIENCE):
        assert set((await anext(snapshots)).resources) == {ref("a"), ref("b")}
        await declared.apply([virtual_service("a", "other"), virtual_service("c")])
        told = (await anext(snapshots)).resources
        assert {ref: resource and resource.generation for ref, resource in told.items()} == {ref("a"): 2, ref("c"): 1}
        await declared.delete([ref("b"), ref("c")])
        assert (await anext(snapshots)).resources == {ref("b"): None, ref("c"): None}


async def test_a_record_that_cannot_be_read_is_skipped_and_told_once(
    store: Store, declared: Declared, caplog: pytest.LogCaptureFixture
) -> None:
    await declared.apply([virtual_service("a"), virtual_service("b")])
    await store.put(key_of(ref("a")), b'{"spec": {"fieldOfTheFuture": 1}}')
    await store.put("declared/Novel/default/a", b"{}")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert [one.resource.ref for one in (await declared.listed())[1]] == [ref("b")]
    assert len(caplog.records) == 2
    assert "declared/VirtualService/default/a in the store is skipped" in caplog.text
    assert "fieldOfTheFuture" in caplog.text
    async with aclosing(declared.snapshots()) as snapshots:
        assert set((await anext(snapshots)).resources) == {ref("b")}
    await declared.apply([virtual_service("a")])
    assert (await the(declared, "a")).generation == 1


async def test_ten_thousand_resources_are_one_revision_and_leases_and_endpoints_go_on(
    store: Store, declared: Declared
) -> None:
    registry = Registry(store, lease_seconds=60)
    proxy = _proxy(Health.STARTING)
    await registry.register(proxy)
    many = [virtual_service(f"s{n}") for n in range(10_000)]
    waits: list[float] = []

    async def live() -> None:
        healths = (Health.HEALTHY, Health.UNHEALTHY)
        while True:
            for health in healths:
                began = time.monotonic()
                assert await registry.keep_alive(proxy.id)
                await registry.set_health(proxy.id, proxy.id, health)
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0)

    async with aclosing(registry.snapshots()) as alive, aclosing(declared.snapshots()) as snapshots:
        await anext(alive)
        await anext(snapshots)
        before = (await declared.listed())[0]
        living = asyncio.create_task(live(), name="live")
        await declared.apply(many)
        async with asyncio.timeout(PATIENCE):
            told = await anext(snapshots)
            assert (await anext(alive)).proxies[proxy.id] is not None
        living.cancel()
        await asyncio.wait([living])
    assert len(told.resources) == 10_000
    revisions = {stored.revision for stored in (await declared.listed())[1]}
    assert len(revisions) == 1 and revisions.pop() > before
    assert waits and max(waits) < 4.0  # a lease; a stalled loop would cost all of them


def _proxy(health: Health) -> Proxy:
    return Proxy(
        "web-1", "127.0.0.1", 40000, 40001, (Workload("web-1", ServiceName("default", "web"), "web", health=health),)
    )
