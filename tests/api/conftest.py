"""A control plane's doors, made by hand, behind the real app on a real Unix socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import socket as Socket
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from tulle.aio.unix import short_path
from tulle.api.app import build_app
from tulle.api.doors import (
    Doors,
    NotRegistered,
    Outside,
    RegistrationRefused,
    ServiceInUse,
    UnknownService,
    Unreachable,
)
from tulle.api.enrolment import JOIN
from tulle.api.server import serve
from tulle.api.views import ConfigView, ProxyView, ResourceView, ServiceView, StatusView
from tulle.api.web import Web, listening
from tulle.control_plane.force import InForceReports
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.attestation import Attestation
from tulle.identity.attestation_token import TokenAttestor
from tulle.identity.audit import Event
from tulle.identity.authority import Authority
from tulle.identity.browsers import Browsers
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import Enrolment
from tulle.identity.jwt_authority import JwtAuthority
from tulle.identity.revocations import Revocations
from tulle.identity.root import new_root
from tulle.identity.tokens import JoinTokens
from tulle.identity.users import Users
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.sources.stored import Declared
from tulle.store.errors import StoreFull
from tulle.store.sqlite import open_store
from tulle.telemetry.traces.keeper import Traces

SECRET = "5e" * 32


class SmallMesh:
    def identity(self, name: str) -> str | None:
        return "spiffe://cluster.local/ns/default/sa/web" if name == "web-1" else None

    def status(self) -> StatusView:
        return StatusView("0.1.0", "1.40.0", "/data", 42, 1.5, 15012, 1, 0, 0, 1, 1, 1)

    def services(self) -> list[ServiceView]:
        return [ServiceView("web", "default", "web.default.svc.cluster.local", [], [], 0)]

    def proxies(self) -> list[ProxyView]:
        return [ProxyView("web-3fa2c1", "web", "default", Health.HEALTHY, "127.0.0.1", 15001, 15002, True, True)]

    def proxy(self, name: str) -> ProxyView | None:
        if name == "bug":
            raise ZeroDivisionError("made on purpose")
        return next((proxy for proxy in self.proxies() if proxy.id == name), None)

    def config(self, name: str) -> ConfigView | None:
        listener = ResourceView("outbound", "7", "acked", {"name": "outbound"})
        return ConfigView([listener], [], [], []) if self.proxy(name) else None


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class RecordedAgents:
    """Keeps what it is told, and answers as the test wants."""

    told: list[Any] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    in_sync: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: dict[Health, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    registered: set[str] = field(default_factory=set)
    refuse: str = ""
    disk_is_full: bool = False
    begun: int = 0
    may_register: asyncio.Event = field(default_factory=_set)
    may_write: asyncio.Event = field(default_factory=_set)

    def tell(self, *what: object) -> None:
        if self.disk_is_full and what[0] != "keep_alive":
            raise StoreFull("/data/store.db: no space left; make room")
        self.told.append(what)
        self.news.set()

    async def register(self, proxy: Proxy) -> None:
        self.news.set()
        self.begun += 1
        await self.may_register.wait()
        if self.refuse:
            raise RegistrationRefused(self.refuse)
        self.registered.add(proxy.id)
        self.tell("register", proxy)

    def idles(self, proxy: str, clusters: Collection[str]) -> None:
        self.tell("idles", proxy, *clusters)

    async def keep_alive(self, proxy: str) -> None:
        if proxy not in self.registered:
            raise NotRegistered
        self.tell("keep_alive", proxy)

    async def set_health(self, proxy: str, workload: str, health: Health) -> None:
        if proxy not in self.registered:
            raise NotRegistered
        self.tell("set_health", proxy, workload, health)
        await self.may_write.wait()

    async def leave(self, proxy: str) -> None:
        self.tell("leave", proxy)

    async def abandon(self, proxy: str) -> None:
        self.tell("abandon", proxy)

    async def ready(self, proxy: Proxy) -> None:
        await self.in_sync.wait()

    async def settled(self, proxy: str) -> None:
        await self.in_sync.wait()

    def outside(self, proxy: str) -> Outside:
        return Outside()

    async def outside_after(self, proxy: str, before: Outside) -> Outside:
        await asyncio.Event().wait()
        return Outside()

    async def resolve(self, proxy: str, name: str) -> str | None:
        if name == "slow":
            await asyncio.Event().wait()
        if name == "broken":
            raise Unreachable("the sidecar rejected the configuration of broken.default")
        return "127.64.0.2" if name == "db" else None

    async def propagated(self, proxy: str, health: Health) -> None:
        await self.acknowledged[health].wait()

    async def forget(self, service: ServiceName) -> None:
        if service.name == "busy":
            raise ServiceInUse("busy.default has live instances: busy-3fa2c1")
        if service.name != "web":
            raise UnknownService
        self.tell("forget", service)


class Agent:
    """The agent's end of a session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.trusts: list[Any] = []

    async def open(self, proxy: str) -> None:
        head = f"POST /v1/agents/{proxy} HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {SECRET}\r\n"
        self._writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        answer = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)
        assert answer.startswith(b"HTTP/1.1 200 "), answer

    def send(self, data: bytes) -> None:
        """One chunk, which may hold less than a line or more."""
        self.send_raw(b"%x\r\n%b\r\n" % (len(data), data))

    def send_raw(self, data: bytes) -> None:
        self._writer.write(data)

    def say(self, **line: Any) -> None:
        self.send(msgspec.json.encode(line) + b"\n")

    async def hear(self) -> Any:
        """The next line; None when the answer has ended. What it is to trust is kept in `trusts`."""
        while True:
            size = int(await asyncio.wait_for(self._reader.readuntil(b"\r\n"), 10), 16)
            chunk = await self._reader.readexactly(size + 2)
            line = json.loads(chunk) if size else None
            if not line or not ("trust" in line or "renew" in line):
                return line
            self.trusts.append(line)

    async def hear_trust(self) -> Any:
        """The next line about trust; others may be lost."""
        while not self.trusts:
            await self._hear_any()
        return self.trusts.pop(0)

    async def _hear_any(self) -> None:
        size = int(await asyncio.wait_for(self._reader.readuntil(b"\r\n"), 10), 16)
        line = json.loads(await self._reader.readexactly(size + 2))
        if "trust" in line or "renew" in line:
            self.trusts.append(line)

    def vanish(self) -> None:
        self._writer.close()


@dataclass
class Api:
    """The running server, and clients for it.

    told: what the agents' door has been told. mesh: has what is declared. events: for the audit log. now: 0 for the real one.
    """

    app: Starlette
    agents: RecordedAgents
    socket: Path
    mesh: LiveMesh
    authority: Authority
    tokens: JoinTokens
    users: Users
    events: list[Event]
    audit_log: Path
    browsers: Browsers
    web_listening: Socket
    now: float = 0.0
    task: asyncio.Task[None] | None = None

    @property
    def told(self) -> list[Any]:
        return self.agents.told

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        with short_path(self.socket) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=1 << 21)
        try:
            yield reader, writer
        finally:
            writer.close()

    @asynccontextmanager
    async def agent(self, proxy: str) -> AsyncIterator[Agent]:
        async with self.connection() as (reader, writer):
            agent = Agent(reader, writer)
            await agent.open(proxy)
            yield agent

    async def ask(
        self, method: str, path: str, body: bytes = b"", secret: str = SECRET, content_type: str = ""
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded JSON."""
        head = f"{method} {path} HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n"
        head += f"Content-Type: {content_type}\r\n" if content_type else ""
        return await self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def send(self, request: bytes) -> tuple[int, Any]:
        """Any bytes at all: status and decoded JSON of what comes back until the server closes."""
        async with self.connection() as (reader, writer):
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), 10)
        head, _, content = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head.lower(), answer
        return int(head.split()[1]), json.loads(content)

    async def until(self, *told: Any) -> None:
        """Waits until the agents' door has been told this."""
        await self.see(lambda: told in self.told)

    async def see(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition that what the agents' door is told makes true."""
        async with asyncio.timeout(10):
            while not condition():
                self.agents.news.clear()
                await self.agents.news.wait()

    async def start(self) -> None:
        listening = asyncio.Event()
        self.task = asyncio.create_task(serve(self.app, self.socket, listening), name="api")
        told = asyncio.create_task(listening.wait(), name="listening")
        await asyncio.wait([self.task, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
            if not self.task.cancelled():
                self.task.result()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    authority = Authority(new_root(datetime.now(UTC)), time.time)
    agents = RecordedAgents()
    folder = tmp_path / ("deeper than a Unix socket's name can be" * 4)
    folder.mkdir()
    async with open_store(tmp_path / "state") as store:
        declared, mesh = Declared(store, time.time), LiveMesh(Timeline(time.time))
        following = asyncio.create_task(mesh.follow(declared.snapshots(), asyncio.Event()), name="follow")
        users, log = Users(store, lambda: running.now or time.time()), tmp_path / "audit.log"
        jwts = JwtAuthority.open(tmp_path, time.time)
        trusts = TrustKeeper(authority, mesh, time.monotonic)
        records, tokens = EnrolledRecords(store, time.time), JoinTokens(store, time.time)
        revocations = Revocations(store, time.time)
        enrolment = Enrolment(authority, 600, lambda proxy, _: {"node": {"id": proxy}}, store, records, revocations)
        events: list[Event] = []
        browsers, taken = Browsers(lambda: running.now or time.monotonic()), listening(0)
        traces = Traces(tmp_path)
        keeping = asyncio.create_task(traces.keep(), name="traces")
        doors = Doors(
            SmallMesh(),
            agents,
            enrolment,
            Attestation(SECRET),
            declared,
            InForceReports(mesh),
            jwts,
            trusts,
            tokens,
            revocations,
            users,
            events.append,
            log,
            traces,
            {JOIN: TokenAttestor(tokens, time.time)},
            browsers=browsers,
            web=Web(taken.getsockname()[1]),
        )
        app, api_socket = build_app(doors), folder / "api.sock"
        running = Api(app, agents, api_socket, mesh, authority, tokens, users, events, log, browsers, taken)
        await running.start()
        yield running
        await running.stop()
        taken.close()
        following.cancel()
        keeping.cancel()
        await asyncio.wait([following, keeping])


@pytest.fixture
def web() -> Proxy:
    """A proxy whose agent has just started it."""
    workload = Workload(
        "web-3fa2c1", ServiceName("default", "web"), "web", "v1", (("tier", "front"),), (ServicePort(80, 8080),)
    )
    return Proxy("web-3fa2c1", "127.0.0.1", 15001, 15002, (workload,))
