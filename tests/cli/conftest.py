"""The command as its users run it, a process of its own, and a mesh made by hand for it to look at."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec import structs

from tulle.api.app import build_app
from tulle.api.doors import Doors, ServiceInUse, UnknownService
from tulle.api.server import serve
from tulle.api.views import (
    CollectorView,
    ConfigView,
    InstanceView,
    MistakeView,
    PortView,
    ProxyView,
    RejectedView,
    ResourceView,
    ServiceView,
    StatusView,
)
from tulle.api.web import Web
from tulle.control_plane.force import InForceReports
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.attestation import Attestation
from tulle.identity.audit import opened
from tulle.identity.authority import Authority
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import Enrolment
from tulle.identity.jwt_authority import JwtAuthority
from tulle.identity.revocations import Revocations
from tulle.identity.root import new_root
from tulle.identity.secret import open_secret
from tulle.identity.tokens import JoinTokens
from tulle.identity.users import Users
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Protocol
from tulle.sources.stored import Declared
from tulle.store.sqlite import open_store
from tulle.telemetry.traces.keeper import Traces

LISTENER = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15002}}}
CLUSTER = {"type": "EDS", "lb_policy": "LEAST_REQUEST"}
VIRTUAL_HOST = {"domains": ["web", "web:80"]}
ROUTES = {"virtual_hosts": [{"domains": ["api"]}, {"domains": ["db"]}]}


def endpoint(port: int, **health: str) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}, **health}


ENDPOINTS = {"endpoints": [{"lb_endpoints": [endpoint(15001), endpoint(15011, health_status="DRAINING")]}]}


MISTAKE = MistakeView("ServiceEntry default/\x1b[31mapi", "tulle's own mistake: ValueError('x')")


class Mesh:
    """A mesh of `web` with two sidecars and `api` with one, whose newest cluster its Envoy has rejected."""

    def identity(self, name: str) -> str | None:
        return None

    def status(self) -> StatusView:
        return StatusView(
            "0.1.0",
            "1.40.0",
            "/data",
            42,
            time.time() - 200,
            15012,
            2,
            3,
            2,
            3,
            3,
            2,
            problems=[MISTAKE],
            web_port=10080,
            running=1,
            collectors=[CollectorView("otel.example.com:4317", 1), CollectorView("otel\x1b[31m:4318", 12)],
        )

    def services(self) -> list[ServiceView]:
        since = time.time() - 7300
        instances = [
            InstanceView("web-000001", Health.HEALTHY, "127.0.0.1", 15001, "v1", {"tier": "front"}, since),
            InstanceView("web-000002", Health.DRAINING, "127.0.0.1", 15011, "v2"),
        ]
        caller = InstanceView("api-000003", Health.RUNNING, "127.0.0.1", 1)
        ports = [PortView(80, Protocol.HTTP), PortView(9000, Protocol.GRPC, "grpc")]
        return [
            ServiceView("api", "shop", "api.shop.svc.cluster.local", [], [caller], 0, running=1),
            ServiceView("db", "shop", "db.shop.svc.cluster.local", [], [], 0),
            ServiceView("web", "default", "web.default.svc.cluster.local", ports, instances, 1),
        ]

    def proxies(self) -> list[ProxyView]:
        web = ProxyView("web-000001", "web", "default", Health.HEALTHY, "127.0.0.1", 15001, 15002, True, True)
        web = structs.replace(web, problems=[MISTAKE])
        reason = RejectedView("Cluster db", "bad\n\x1b[31mtimeout")
        return [
            ProxyView("api-000003", "api", "shop", Health.HEALTHY, "127.0.0.1", 1, 2, True, False, rejected=[reason]),
            web,
            structs.replace(web, id="web-000002", connected=False, in_sync=False, problems=[]),
        ]

    def proxy(self, name: str) -> ProxyView | None:
        return next((proxy for proxy in self.proxies() if proxy.id == name), None)

    def config(self, name: str) -> ConfigView | None:
        return ConfigView(
            listeners=[ResourceView("outbound", "1", "acked", LISTENER)],
            routes=[ResourceView("web:80", "2", "acked", VIRTUAL_HOST), ResourceView("routes", "3", "sent", ROUTES)],
            clusters=[ResourceView("web", "4", "rejected", CLUSTER)],
            endpoints=[ResourceView("web", "5", "pending", ENDPOINTS), ResourceView("db", "6", "acked", {})],
        )


@dataclass
class Agents:
    """No agent comes; only forgetting is asked for."""

    forgotten: list[ServiceName] = field(default_factory=list)

    async def forget(self, service: ServiceName) -> None:
        if service.name == "web":
            raise ServiceInUse("web.default has live instances (web-000001): stop them first")
        if service.name != "api":
            raise UnknownService
        self.forgotten.append(service)

    async def _nobody(self, *anything: Any) -> NoReturn:
        raise AssertionError("no agent is here")

    def outside(self, proxy: str) -> NoReturn:
        raise AssertionError("no agent is here")

    def idles(self, proxy: str, clusters: object) -> NoReturn:
        raise AssertionError("no agent is here")

    register = keep_alive = set_health = leave = abandon = ready = settled = resolve = propagated = _nobody
    outside_after = _nobody


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a table, its head left out. Columns are three blanks apart."""
        return [re.split(r" {3,}", line) for line in self.out.splitlines()[1:]]


@dataclass
class Tulle:
    """Runs `tulle` on `data`, a folder that need not exist. live: the mesh, which has what is declared."""

    data: Path
    agents: Agents = field(default_factory=Agents)
    live: LiveMesh = field(default_factory=lambda: LiveMesh(Timeline(time.time)))
    traces: Traces = field(init=False)

    def __post_init__(self) -> None:
        self.traces = Traces(self.data)

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tulle",
            *arguments,
            env={**os.environ, "TULLE_DATA": str(self.data), **environ},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def alone(tmp_path: Path) -> Tulle:
    """The command where no control plane runs."""
    return Tulle(tmp_path / "data")


@pytest.fixture
async def tulle(tmp_path: Path) -> AsyncIterator[Tulle]:
    """The command where one runs."""
    command = Tulle(tmp_path / "data")
    command.data.mkdir()
    authority = Authority(new_root(datetime.now(UTC)), time.time)
    attestation = Attestation(open_secret(command.data / "secret"))
    async with open_store(command.data) as store, AsyncExitStack() as stack:
        listening = asyncio.Event()
        declared = Declared(store, time.time)
        following = asyncio.create_task(command.live.follow(declared.snapshots(), asyncio.Event()), name="follow")
        keeping = asyncio.create_task(command.traces.keep(), name="traces")
        jwts = JwtAuthority.open(tmp_path, time.time)
        trusts = TrustKeeper(authority, command.live, time.monotonic)
        revocations, records = Revocations(store, time.time), EnrolledRecords(store, time.time)
        enrolment = Enrolment(authority, 600, lambda *_: {}, store, records, revocations)
        audit = stack.enter_context(opened(command.data / "audit.log"))
        doors = Doors(
            Mesh(),
            command.agents,
            enrolment,
            attestation,
            declared,
            InForceReports(command.live),
            jwts,
            trusts,
            JoinTokens(store, time.time),
            revocations,
            Users(store, time.time),
            audit,
            command.data / "audit.log",
            command.traces,
            listening=("10.0.0.1:7443",),
            web=Web(10080),
        )
        task = asyncio.create_task(serve(build_app(doors), command.data / "api.sock", listening), name="api")
        await asyncio.wait_for(listening.wait(), 10)
        yield command
        task.cancel()
        following.cancel()
        keeping.cancel()
        await asyncio.wait([task, following, keeping])
