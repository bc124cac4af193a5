"""What an agent that drains waits for: no sidecar that may still send calls to its service is left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from envoy_like import EnvoyLike
from tulle.api.doors import Unreachable
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.sessions import AgentReports
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.revocations import Revocations
from tulle.model.names import Destination, ServiceName
from tulle.model.resources.common import LabelSelector
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import Location, Resolution, ServiceEntry
from tulle.model.resources.service_entry import ServicePort as EntryPort
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.workload import Capture, Health, Protocol, Proxy, ServicePort, Workload
from tulle.registry.registry import Registry
from tulle.resolve.mesh import Mesh
from tulle.store.sqlite import open_store
from tulle.xds import resources as xds
from tulle.xds.resources import CDS, EDS, LDS, VHDS

Connect = Callable[..., EnvoyLike]

A, B, C = (ServiceName("default", name) for name in ("service-a", "service-b", "service-c"))


def proxy(id: str, *services: ServiceName, ports: tuple[ServicePort, ...] = ()) -> Proxy:
    workloads = (Workload(f"w{n}", service, service.name, ports=ports) for n, service in enumerate(services))
    return Proxy(id, "127.0.0.1", 20001, 30001, tuple(replace(w, health=Health.DRAINING) for w in workloads))


B1 = proxy("b1", B, ports=(ServicePort(80, 8080),))
A_CALLS_B = {A: (Destination(B, 80),), C: (Destination(A, 80),)}


@pytest.fixture
async def reports(tmp_path: Path, mesh: LiveMesh) -> AsyncIterator[AgentReports]:
    async with open_store(tmp_path) as store:
        yield AgentReports(Registry(store), mesh, EnrolledRecords(store, time.time), Revocations(store, time.time))


async def is_held_up(propagation: asyncio.Task[Any]) -> bool:
    for _ in range(10):  # as many turns as a task needs that waits for nothing
        await asyncio.sleep(0)
    return not propagation.done()


async def propagate(reports: AgentReports) -> asyncio.Task[None]:
    return asyncio.create_task(reports.propagated("b1", Health.DRAINING), name="propagation")


async def follow(mesh: LiveMesh, *snapshots: Snapshot) -> None:
    async def given() -> AsyncIterator[Snapshot]:
        for snapshot in snapshots:
            yield snapshot

    await mesh.follow(given(), asyncio.Event())


@pytest.mark.parametrize("caller", [proxy("a1", A), proxy("a1", C, A)], ids=["its only program", "one of its programs"])
async def test_a_caller_that_is_not_connected_is_waited_for(
    mesh: LiveMesh, reports: AgentReports, connect: Connect, caller: Proxy
) -> None:
    await follow(mesh, Snapshot(1, {"b1": B1, "a1": caller}, callees=A_CALLS_B))
    propagation = await propagate(reports)
    assert await is_held_up(propagation)
    connect("a1").settle()
    mesh.changes.touch("a1")
    async with asyncio.timeout(20):
        await propagation


async def test_a_caller_that_goes_is_waited_for_no_longer(mesh: LiveMesh, reports: AgentReports) -> None:
    await follow(mesh, Snapshot(1, {"b1": B1, "a1": proxy("a1", A)}, callees=A_CALLS_B))
    propagation = await propagate(reports)
    assert await is_held_up(propagation)
    await follow(mesh, Snapshot(2, {"a1": None}))
    async with asyncio.timeout(20):
        await propagation


async def test_who_does_not_call_the_service_is_not_waited_for(mesh: LiveMesh, reports: AgentReports) -> None:
    await follow(mesh, Snapshot(1, {"b1": B1, "c1": proxy("c1", C)}, callees=A_CALLS_B))
    async with asyncio.timeout(20):
        await reports.propagated("b1", Health.DRAINING)


async def test_who_calls_the_instance_by_a_host_that_selects_it_is_waited_for(
    mesh: LiveMesh, reports: AgentReports, connect: Connect
) -> None:
    entry = ServiceEntry(
        ("api.example.com",),
        ports=(EntryPort(80, "HTTP", "http"),),
        location=Location.MESH_INTERNAL,
        resolution=Resolution.STATIC,
        workload_selector=LabelSelector({"app": "service-b"}),
    )
    ref = Ref("ServiceEntry", "default", "api")
    resources: dict[Ref, Resource | None] = {ref: Resource(ref, entry)}
    await follow(mesh, Snapshot(1, {"b1": replace(B1, capture=Capture.NONE), "a1": proxy("a1", A)}, {}, {}, resources))
    envoy = connect("a1").settle()
    envoy.ask("api.example.com")
    envoy.settle()
    envoy.view.session.want(replace(endpoints_of(envoy), version="newer"))
    propagation = await propagate(reports)
    assert await is_held_up(propagation)
    envoy.settle()
    async with asyncio.timeout(20):
        await propagation


def endpoints_of(envoy: EnvoyLike) -> xds.Resource:
    return next(wanted for wanted in envoy.view.session.wanted if wanted.type_url == EDS)


class LookedUp(dict[Any, Any]):
    """A mapping of a large mesh: nobody goes through all of it for the sake of one service."""

    def __iter__(self) -> Any:
        raise AssertionError("all of it is gone through")

    keys = values = items = __iter__


async def test_a_propagation_looks_only_at_the_callers_of_the_service(
    mesh: LiveMesh, connect: Connect, reports: AgentReports
) -> None:
    await follow(mesh, Snapshot(1, {"b1": B1, "a1": proxy("a1", A)}, callees=A_CALLS_B))
    connect("a1").settle()
    parts = asdict(mesh.hub.mesh).items()
    large: dict[str, Any] = {name: LookedUp(part) if isinstance(part, dict) else part for name, part in parts}
    mesh.hub.mesh = Mesh(**large)
    async with asyncio.timeout(20):
        await reports.propagated("b1", Health.DRAINING)


DB = ServiceName("default", "db")
DB1 = replace(
    proxy("db1", DB, ports=(ServicePort(5432, 5433, Protocol.TCP), ServicePort(80, 8080))), capture=Capture.NONE
)
KNOWN_DB = KnownService(
    DB, (KnownPort(80, Protocol.HTTP), KnownPort(5432, Protocol.TCP)), (DB1.workloads[0].identity,), "127.64.0.9"
)


async def with_db(mesh: LiveMesh, capture: Capture) -> None:
    caller = replace(proxy("a1", A), capture=capture)
    await follow(mesh, Snapshot(1, {"a1": caller, "db1": DB1}, {DB: KNOWN_DB}))


async def test_an_address_is_told_only_when_the_sidecar_takes_connections_to_it(
    reports: AgentReports, mesh: LiveMesh, connect: Connect
) -> None:
    await with_db(mesh, Capture.SECCOMP)
    envoy = connect("a1").settle()
    asking = asyncio.create_task(reports.resolve("a1", "db"), name="resolve")
    assert await is_held_up(asking)
    envoy.settle()
    assert await asking == "127.64.0.9"
    listeners = [name for kind, name in envoy.sent if kind == LDS]
    assert listeners[-1] == "outbound.w0/db.default.svc.cluster.local:5432"


async def test_of_two_envoys_of_a_proxy_both_must_take_connections(
    reports: AgentReports, mesh: LiveMesh, connect: Connect
) -> None:
    await with_db(mesh, Capture.REDIRECT)
    first, second = connect("a1").settle(), connect("a1").settle()
    asking = asyncio.create_task(reports.resolve("a1", "db"), name="resolve")
    assert await is_held_up(asking)
    first.settle()
    assert await is_held_up(asking)
    second.settle()
    assert await asking


@pytest.mark.parametrize("kind", [CDS, LDS, VHDS])
async def test_that_a_sidecar_rejects_what_carries_the_connections_is_told_at_once(
    reports: AgentReports, mesh: LiveMesh, connect: Connect, kind: str
) -> None:
    await with_db(mesh, Capture.SECCOMP)
    envoy = connect("a1").settle()
    asking = asyncio.create_task(reports.resolve("a1", "db"), name="resolve")
    assert await is_held_up(asking)
    host = "db.default.svc.cluster.local"
    envoy.refuses, envoy.refuses_kind = frozenset([f"outbound.w0/{host}:5432", f"outbound|5432||{host}"]), kind
    envoy.settle()
    for _ in range(2):
        with pytest.raises(Unreachable, match="the sidecar rejected the configuration of db"):
            await asking
        asking = asyncio.create_task(reports.resolve("a1", "db"), name="resolve")
    asking.cancel()
    assert (kind, "no") in [(event.type_url, event.message) for event in envoy.view.rejections]


async def test_a_service_without_tcp_is_told_at_once(reports: AgentReports, mesh: LiveMesh) -> None:
    await follow(mesh, Snapshot(1, {"a1": replace(proxy("a1", A), capture=Capture.SECCOMP)}, {A: known(A)}))
    assert await reports.resolve("a1", "service-a.default.svc") == "127.64.0.1"


@pytest.mark.parametrize("name", ["nobody", "example.org", "db.elsewhere", "", "127.64.0.9", "x" * 300])
async def test_what_is_no_service_has_no_address(reports: AgentReports, mesh: LiveMesh, name: str) -> None:
    await with_db(mesh, Capture.SECCOMP)
    assert await reports.resolve("a1", name) is None


async def test_a_proxy_is_ready_when_what_it_registered_last_has_reached_its_envoy(
    reports: AgentReports, mesh: LiveMesh, connect: Connect
) -> None:
    await follow(mesh, Snapshot(1, {"b1": B1}))
    envoy = connect("b1").settle()
    await reports.ready(B1)
    moved = replace(B1.workloads[0], ports=(ServicePort(80, 9999),))
    again = replace(B1, workloads=(moved,))
    waiting = asyncio.create_task(reports.ready(again), name="ready")
    assert await is_held_up(waiting)
    await follow(mesh, Snapshot(2, {"b1": again}))
    assert await is_held_up(waiting)
    envoy.settle()
    await waiting


def known(service: ServiceName) -> KnownService:
    return KnownService(service, (), (), "127.64.0.1")


async def test_what_carries_the_connections_and_cannot_be_made_is_told_at_once(
    reports: AgentReports, mesh: LiveMesh, connect: Connect
) -> None:
    """By our own mistake: here an instance's weight that no document and no option lets through."""
    await with_db(mesh, Capture.SECCOMP)
    heavy = replace(DB1, workloads=(replace(DB1.workloads[0], weight=2**40),))
    await follow(mesh, Snapshot(2, {"db1": heavy}))
    envoy = connect("a1").settle()
    async with asyncio.timeout(5):
        with pytest.raises(Unreachable, match="db"):
            await reports.resolve("a1", "db")
        await follow(mesh, Snapshot(3, {"db1": DB1}))
        asking = asyncio.create_task(reports.resolve("a1", "db"), name="resolve")
        assert await is_held_up(asking)
        envoy.settle()
        assert await asking == "127.64.0.9"


async def test_a_name_that_cannot_be_looked_up_ends_no_session(reports: AgentReports, mesh: LiveMesh) -> None:
    ports = (EntryPort(80, 80, "http"),)  # type: ignore[arg-type]  # the fault
    entry = Resource(Ref("ServiceEntry", "default", "api"), ServiceEntry(("api.example.com",), ports=ports))
    await follow(mesh, Snapshot(1, {"a1": proxy("a1", A)}, resources={entry.ref: entry}))
    with pytest.raises(Unreachable, match=r"api\.example\.com"):
        await reports.resolve("a1", "api.example.com")
