"""A real Envoy that is the sidecar of a caller, and those of the programs that it calls, and the programs.

Endpoints come from a file as they would from the control plane, so they can be changed under way.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from certificates import IDENTITY, write_identity
from routes_by_file import listening
from started import launched
from tulle.aio.unix import short_path
from tulle.envoy_api.messages import message, to_dict
from tulle.ir.policies import ConnectionPool, Policy
from tulle.ir.telemetry import Reporter, Telemetry
from tulle.ir.types import Backend, Endpoint, Endpoints, Inbound, InboundPort, Locality, Transport
from tulle.model.names import Destination, ServiceName
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.model.workload import Protocol
from tulle.translate.backend_clusters import backend_cluster
from tulle.translate.bootstrap import RUNTIME
from tulle.translate.clusters import program_clusters
from tulle.translate.endpoints import load_assignment
from tulle.translate.http_manager import http_manager, router
from tulle.translate.replies import outbound_replies
from tulle.translate.tcp_proxy import tcp_proxy
from tulle.translate.telemetry.metrics import message_counter
from tulle.translate.telemetry.observed import http_observed, tcp_observed

DESTINATION = Destination(ServiceName("default", "reviews"), 80)


class Answer:
    def __init__(self, raw: bytes) -> None:
        self.raw, given = raw, BytesIO(raw)
        response = HTTPResponse(SimpleNamespace(makefile=lambda _: given))  # type: ignore[arg-type]
        response.begin()
        self.status, self.headers = response.status, {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()


class Program:
    """An HTTP/1.1 server that answers with its name, keeps connections open, and holds requests while it is told to."""

    def __init__(self, name: str) -> None:
        self.name, self.status, self.port = name, 200, 0
        self.requests: list[dict[str, str]] = []
        self.connections = self.active = self.most_active = 0
        self.free = asyncio.Event()
        self.free.set()
        self.takes_proxy_header = False
        self.proxy_headers: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            if self.takes_proxy_header:
                self.proxy_headers.append(await _proxy_header(reader))
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                await self._answer(head, number, writer)
                if "connection: close" in head.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, number: int, writer: asyncio.StreamWriter) -> None:
        lines = head.split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}
        self.requests.append({**headers, ":line": lines[0], ":connection": str(number)})
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await self.free.wait()
        finally:
            self.active -= 1
        body = self.name.encode()
        writer.write(f"HTTP/1.1 {self.status} Said\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


class Mesh:
    """What runs for one test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.ports: dict[str, int] = {}
        self.settings: dict[str, Any] = {}  # of the bootstrap, beside what all have

    async def program(self, name: str, tls: ssl.SSLContext | None = None) -> Program:
        program = Program(name)
        server = await asyncio.start_server(program.serve, "127.0.0.1", 0, ssl=tls)
        program.port = server.sockets[0].getsockname()[1]
        self._stack.callback(server.close)
        return program

    async def behind_sidecars(
        self,
        backend: Backend,
        *programs: Program,
        protocol: Protocol = Protocol.HTTP,
        pool: ConnectionPool = ConnectionPool(),  # noqa: B008  a value
        telemetry: Telemetry = Telemetry(),  # noqa: B008  a value
    ) -> None:
        """All of it: a door for calls to the backend, whose instances are the programs, each behind a sidecar.

        telemetry: of the sidecars.
        """
        if not (self.folder / "sds").exists():
            write_identity(self.folder)
        self.tell(backend)
        await self.start(
            backend, sidecars=[replace(sidecar(program, protocol, pool), telemetry=telemetry) for program in programs]
        )
        self.tell(backend, at("", *(self.ports[f"inbound.{program.name}"] for program in programs)))
        total = f"cluster.{_name(backend)}.membership_total"
        await until(lambda: self._is(total, len(programs)))

    async def _is(self, stat: str, value: int) -> bool:
        return await self.stat(stat) == value

    async def start(self, *backends: Backend, sidecars: Iterable[Inbound] = ()) -> None:
        """An Envoy with a door for each of the backends, by which its program calls, and with doors of others' sidecars."""
        clusters = [self._from_file(backend) for backend in backends]
        inbound = list(sidecars)
        for sidecar in inbound:
            clusters += [cluster for port in sidecar.ports for cluster in program_clusters(sidecar.workload, port)]
        listeners = [door(backend) for backend in backends] + [listening(sidecar) for sidecar in inbound]
        await self._stack.enter_async_context(
            launched(self.folder, {**bootstrap(clusters, listeners), **self.settings})
        )
        self.ports = await self._found(len(listeners))

    def tell(self, backend: Backend, *localities: Locality) -> None:
        """The backend's endpoints are these from now on."""
        assignment = load_assignment(Endpoints(backend.destination, localities, backend.subset))
        kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        new = self.folder / "eds" / "new"
        new.write_text(json.dumps({"resources": [{"@type": kind, **to_dict(assignment)}]}))
        new.rename(self._file(backend))

    async def call(self, backend: Backend, path: str = "/", headers: Sequence[str] = ()) -> Answer:
        return await call(self.ports[_name(backend)], path, headers)

    async def calls(self, backend: Backend, number: int, path: str = "/", headers: Sequence[str] = ()) -> Counter[str]:
        """Who answered, one call after the other."""
        return Counter([(await self.call(backend, path, headers)).text for _ in range(number)])

    async def stat(self, name: str) -> int:
        """A counter or a gauge; 0 if there is none."""
        stats = json.loads(await self.admin(f"/stats?format=json&filter={quote(name)}"))["stats"]
        return next((int(found["value"]) for found in stats if found.get("name") == name), 0)

    async def admin(self, path: str) -> str:
        with short_path(self.folder / "admin.sock") as socket:
            reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
        answer = Answer(await reader.read())
        writer.close()
        return answer.text

    async def _found(self, listeners: int) -> dict[str, int]:
        async def ports() -> dict[str, int] | None:
            try:
                found = json.loads(await self.admin("/listeners?format=json")).get("listener_statuses", [])
            except (OSError, ValueError):
                return None
            live = {row["name"]: row["local_address"]["socket_address"]["port_value"] for row in found}
            return live if len(live) == listeners else None

        try:
            found: dict[str, int] = await until(ports)
        except TimeoutError:
            raise AssertionError((self.folder / "envoy.log").read_text()) from None
        return found

    def _from_file(self, backend: Backend) -> Any:
        cluster = backend_cluster(backend)
        if cluster.HasField("eds_cluster_config"):
            source = {"path": str(self._file(backend)), "watched_directory": {"path": str(self.folder / "eds")}}
            config = message("envoy.config.core.v3.ConfigSource")(path_config_source=source, resource_api_version="V3")
            cluster.eds_cluster_config.eds_config.CopyFrom(config)
        return cluster

    def _file(self, backend: Backend) -> Path:
        return self.folder / "eds" / f"{backend.destination.service.name}-{backend.subset}.json"


@asynccontextmanager
async def mesh(folder: Path) -> AsyncIterator[Mesh]:
    (folder / "eds").mkdir()
    async with AsyncExitStack() as stack:
        yield Mesh(folder, stack)


def meshed(policy: Policy, **about: Any) -> Backend:
    """A backend whose instances all have sidecars."""
    return Backend(DESTINATION, (IDENTITY,), policy=policy, **about)


def plain(policy: Policy, **about: Any) -> Backend:
    """A backend whose instances have no sidecars."""
    return Backend(DESTINATION, (), transport=Transport.PLAIN, policy=policy, **about)


def sidecar(
    program: Program,
    protocol: Protocol = Protocol.HTTP,
    pool: ConnectionPool = ConnectionPool(),  # noqa: B008  a value
) -> Inbound:
    port = InboundPort(DESTINATION, program.port, protocol, "127.0.0.1", pool)
    return Inbound(program.name, "127.0.0.1", 0, (port,), (WORKLOAD_PREFIX,))


def at(place: str, *ports: int, priority: int = 0, weight: int = 0, **about: Any) -> Locality:
    return Locality(priority, place, tuple(Endpoint("127.0.0.1", port, **about) for port in ports), weight)


def door(backend: Backend) -> Any:
    """By which calls to a backend come in."""
    cluster = _name(backend)
    if backend.tcp:
        observed = tcp_observed(Reporter.SOURCE, Telemetry())
        filters = [tcp_proxy(cluster, "outbound", backend.policy, **observed)]
    else:
        route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": {}}}
        config = {"name": cluster, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}
        replies = outbound_replies()
        settings: dict[str, Any] = {"stat_prefix": "outbound", "route_config": config, "local_reply_config": replies}
        observed = http_observed(Reporter.SOURCE, Telemetry())
        filters = [http_manager(http_filters=[message_counter(), router()], **settings, **observed)]
    return message("envoy.config.listener.v3.Listener")(
        name=cluster,
        address={"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        filter_chains=[{"filters": filters}],
    )


def bootstrap(clusters: Sequence[Any], listeners: Sequence[Any]) -> dict[str, Any]:
    return to_dict(
        message("envoy.config.bootstrap.v3.Bootstrap")(
            node={"id": "test", "cluster": "test"},
            admin={"address": {"pipe": {"path": "admin.sock"}}},
            static_resources={"clusters": clusters, "listeners": listeners},
            layered_runtime={"layers": [{"name": "static", "static_layer": RUNTIME}]},
        )
    )


async def call(port: int, path: str = "/", headers: Sequence[str] = ()) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"GET {path} HTTP/1.1", "Host: reviews.example", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        return Answer(await asyncio.wait_for(reader.read(), 30))
    finally:
        writer.close()


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Waits until the condition, which may be a coroutine function, is true, and gives its value."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


def _name(backend: Backend) -> str:
    return str(backend_cluster(backend).name)


async def _proxy_header(reader: asyncio.StreamReader) -> bytes:
    start = await reader.readexactly(6)
    if start.startswith(b"PROXY"):
        return start + await reader.readuntil(b"\r\n")
    head = start + await reader.readexactly(10)
    return head + await reader.readexactly(int.from_bytes(head[14:16], "big"))
