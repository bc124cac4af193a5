"""The mesh between its tasks: what it remembers although the store fails, and what it says of rejections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from envoy_like import EnvoyLike
from tulle.control_plane import mesh as mesh_module
from tulle.control_plane.mesh import LiveMesh
from tulle.model.names import Destination, ServiceName
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.registry.registry import Registry
from tulle.store.errors import LeaseNotFound, StoreError, StoreFull
from tulle.store.sqlite import open_store
from tulle.xds.requests import Request
from tulle.xds.resources import CDS

Connect = Callable[..., EnvoyLike]

A, B = (ServiceName("default", name) for name in ("service-a", "service-b"))
TO_B = "outbound|80||service-b.default.svc.cluster.local"
FULL, BROKEN = StoreFull("the disk is full"), LeaseNotFound("something else is wrong")


def instance(id: str, service: ServiceName, *ports: ServicePort) -> Proxy:
    workload = Workload(id, service, service.name, ports=ports, health=Health.HEALTHY)
    return Proxy(id, "127.0.0.1", 20001, 30001, (workload,))


@pytest.fixture
def mesh(mesh: LiveMesh) -> LiveMesh:
    mesh.hub.apply(Snapshot(1, {"a1": instance("a1", A), "b1": instance("b1", B, ServicePort(80, 8080))}))
    return mesh


class TroubledRegistry(Registry):
    """Fails as it is told, before it does what it should."""

    troubles: Iterator[StoreError]
    learned: asyncio.Event

    async def learn(self, caller: ServiceName, callee: Destination) -> None:
        for trouble in self.troubles:
            raise trouble
        await super().learn(caller, callee)
        self.learned.set()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[TroubledRegistry]:
    async with open_store(tmp_path) as store:
        registry = TroubledRegistry(store)
        registry.learned = asyncio.Event()
        yield registry


async def test_a_callee_is_remembered_once_the_store_can_and_each_trouble_is_said_once(
    mesh: LiveMesh,
    connect: Connect,
    registry: TroubledRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(mesh_module, "_RETRY_SECONDS", 0.001)
    registry.troubles = iter([FULL] * 5 + [BROKEN] * 5)
    remembering = asyncio.create_task(mesh.remember(registry), name="remember")
    envoy = connect("a1").settle()
    envoy.ask("service-b")
    async with asyncio.timeout(20):
        await registry.learned.wait()
    remembering.cancel()
    first = await anext(registry.snapshots())
    assert first.callees == {A: (Destination(B, 80),)}
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [str(FULL), str(BROKEN)]


def test_a_rejection_is_said_once_with_what_is_rejected_and_why(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    envoy = connect("a1", refuses=frozenset({TO_B}), error="too many clusters").settle()
    envoy.ask("service-b")
    envoy.settle()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in ("a1", "Cluster", TO_B, "too many clusters"):
        assert part in record.message


def test_a_rejection_of_nothing_that_was_sent_is_not_said(
    mesh: LiveMesh, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    envoy = connect("a1").settle()
    for _ in range(3):
        mesh.receive(envoy.view, Request(CDS, nonce="stale", error="no, thank you"))
    assert not caplog.records


def test_what_a_sidecar_says_can_neither_fill_nor_forge_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    envoy = connect(
        "a1", refuses=frozenset({TO_B}), error="bad\n12:00 all is well\x1b[2J\u202e" + "x" * 1_000_000
    ).settle()
    envoy.ask("service-b")
    envoy.settle()
    (record,) = caplog.records
    assert record.message.isprintable()
    assert r"bad\n12:00 all is well\x1b[2J\u202exxx" in record.message
    assert len(record.message) < 500


async def test_a_fact_that_cannot_be_taken_in_is_told_once_and_ends_nothing(
    mesh: LiveMesh, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Resource(Ref("ServiceEntry", "default", "bad"), ServiceEntry(hosts=(None,)))  # type: ignore[arg-type]  # the fault

    async def snapshots() -> AsyncIterator[Snapshot]:
        yield Snapshot(2, resources={bad.ref: bad})
        yield Snapshot(3, {"b2": instance("b2", B, ServicePort(80, 8080))})

    with caplog.at_level(logging.ERROR):
        await mesh.follow(snapshots(), asyncio.Event())
    assert "b2" in mesh.hub.mesh.proxies
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "tulle's own mistake: ServiceEntry default/bad can't be made as of revision 2; the mesh keeps what it has of it"
    ]
