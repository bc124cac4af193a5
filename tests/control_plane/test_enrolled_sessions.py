"""An agent registers as what it has enrolled as, and as nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tulle.api.doors import RegistrationRefused
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.sessions import AgentReports
from tulle.identity import enrolled
from tulle.identity.enrolled import Enrolled, Issued
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.revocations import Revocations
from tulle.model.names import ServiceName
from tulle.model.workload import Proxy, Workload
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

WEB = Workload("web-1", ServiceName("shop", "web"), "frontend")
PROXY = Proxy("web-1", "127.0.0.1", 20001, 30001, (WEB,))


def record(not_after: float) -> Enrolled:
    issued = Issued("1", "2", "spiffe://cluster.local/proxy/web-1", int(not_after))
    return Enrolled("web-1", "shop", "web", "frontend", "local", (issued,))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def reports(store: Store, mesh: LiveMesh) -> AgentReports:
    records, revocations = EnrolledRecords(store, time.time), Revocations(store, time.time)
    return AgentReports(Registry(store), mesh, records, revocations)


async def test_who_has_enrolled_registers_as_that(reports: AgentReports, store: Store) -> None:
    await store.put("identity/enrolled/web-1", enrolled.encode(record(time.time() + 60)))
    await reports.register(PROXY)


@pytest.mark.parametrize(
    "workload",
    [
        replace(WEB, service=ServiceName("shop", "payments")),
        replace(WEB, service=ServiceName("prod", "web")),
        replace(WEB, service_account="admin"),
    ],
)
async def test_nobody_registers_as_another_service(reports: AgentReports, store: Store, workload: Workload) -> None:
    await store.put("identity/enrolled/web-1", enrolled.encode(record(time.time() + 60)))
    for workloads in ((workload,), (WEB, replace(workload, id="web-2"))):
        with pytest.raises(RegistrationRefused, match=r"is enrolled as web\.shop with service account frontend"):
            await reports.register(replace(PROXY, workloads=workloads))


@pytest.mark.parametrize("stored", [None, enrolled.encode(record(1)), b"damaged"], ids=["none", "ended", "damaged"])
async def test_who_has_not_enrolled_or_whose_certificates_have_ended_does_not_register(
    reports: AgentReports, store: Store, stored: bytes | None
) -> None:
    if stored:
        await store.put("identity/enrolled/web-1", stored)
    with pytest.raises(RegistrationRefused, match="it must enrol first"):
        await reports.register(PROXY)
