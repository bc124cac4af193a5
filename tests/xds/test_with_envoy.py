"""The whole room against a real Envoy: configuration on demand, refusals, and a control plane that restarts."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tulle.aio.unix import short_path
from tulle.envoy_api import binary
from tulle.envoy_api.messages import from_dict, message, pack, to_dict
from tulle.xds.requests import Asked, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS, Resource, resource
from tulle.xds.server import Refusal, ServerIdentity, serve
from tulle.xds.session import Session

Issue = Callable[[str], tuple[bytes, bytes]]

ADS = {"ads": {}, "resource_api_version": "V3"}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
SHORT = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS", VHDS: "VHDS"}


# ---- what the owner of the test knows, as Envoy's resources


def made(type_url: str, values: dict[str, Any], **about: Any) -> Resource:
    name = values.get("name") or values["cluster_name"]
    encoded = from_dict(type_url.partition("/")[2], values).SerializeToString(deterministic=True)
    return resource(type_url, name, encoded, **about)


def cluster(name: str, timeout: str = "1s") -> Resource:
    eds = {"eds_config": ADS}
    return made(CDS, {"name": name, "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": eds})


def endpoints(name: str, *ports: int) -> Resource:
    found = [{"endpoint": {"address": address(port)}} for port in ports]
    return made(EDS, {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]})


def host(name: str, asked: tuple[str, ...] = ()) -> Resource:
    route = {"match": {"prefix": "/"}, "route": {"cluster": name}}
    values = {"name": f"outbound/{name}", "domains": [name, f"{name}.mesh"], "routes": [route]}
    return made(VHDS, values, aliases=asked, requires=((CDS, name), (EDS, name)))


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def doors(port: int) -> tuple[Resource, ...]:
    filters = [
        {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"type.googleapis.com/{extension}"}}
        for name, extension in (
            ("on_demand", "envoy.extensions.filters.http.on_demand.v3.OnDemand"),
            ("router", "envoy.extensions.filters.http.router.v3.Router"),
        )
    ]
    manager = {
        "@type": f"type.googleapis.com/{HCM}",
        "stat_prefix": "outbound",
        "stream_idle_timeout": "5s",
        "rds": {"route_config_name": "outbound", "config_source": ADS},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return (
        made(LDS, {"name": "outbound", "address": address(port), "filter_chains": [chain]}),
        made(RDS, {"name": "outbound", "vhds": {"config_source": ADS}}),
        made(VHDS, {"name": "outbound/_init", "domains": ["_init.invalid"]}),
    )


class Mesh:
    """The owner: services and their ports, and a session for every stream."""

    def __init__(self, door: int) -> None:
        self.door = door
        self.services: dict[str, tuple[int, ...]] = {}
        self.clusters: dict[str, Resource] = {}
        self.streams: list[Stream] = []
        self.log: list[str] = []

    def connect(self, certificate: bytes, node: str, wake: Callable[[], None]) -> Stream | Refusal:
        if node != "sidecar":
            return Refusal("who?")
        self.streams.append(Stream(self, wake))
        return self.streams[-1]

    def offer(self, name: str, *ports: int) -> None:
        self.services[name] = ports
        for stream in self.streams:
            if name in stream.asked:
                stream.session.want(endpoints(name, *ports))
                stream.wake()


class Stream:
    def __init__(self, mesh: Mesh, wake: Callable[[], None]) -> None:
        self.mesh, self.wake, self.session = mesh, wake, Session()
        self.asked: dict[str, tuple[str, ...]] = {}
        self.events: list[Event] = []
        for item in doors(mesh.door):
            self.session.want(item)

    def receive(self, request: Request) -> None:
        news = self.session.receive(request)
        self.events += news
        for event in news:
            self.mesh.log.append(f"<- {SHORT.get(event.type_url)} {event}")
            if isinstance(event, Held) and event.type_url == VHDS:
                for name in event.versions:
                    self.learn(name, known=True)
            if isinstance(event, Asked) and event.type_url == VHDS:
                for name in event.names:
                    self.learn(name)

    def learn(self, asked: str, known: bool = False) -> None:
        name = asked.removeprefix("outbound/").removesuffix(".mesh")
        if name not in self.mesh.services:
            if name != "_init":
                self.session.want(Resource(VHDS, asked, aliases=(asked,)))
            return
        before = self.asked.get(name, ())
        self.asked[name] = before if known or asked in before else (*before, asked)
        self.session.want(self.mesh.clusters.get(name) or cluster(name))
        self.session.want(endpoints(name, *self.mesh.services[name]))
        self.session.want(host(name, self.asked[name]))

    def flush(self) -> list[bytes]:
        out = self.session.flush()
        self.mesh.log += [f"-> {described(response)}" for response in out]
        return out

    def disconnect(self) -> None:
        self.mesh.streams.remove(self)


def described(response: bytes) -> str:
    decoded = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(response)
    names = [item.name for item in decoded.resources] + [f"no {name}" for name in decoded.removed_resources]
    return f"{SHORT[decoded.type_url]} {' '.join(names)}"


# ---- Envoy, its upstreams and its clients


def bootstrap(port: int) -> dict[str, Any]:
    options = message(HTTP_OPTIONS)(explicit_http_config={"http2_protocol_options": {}})
    tls = message("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")(
        common_tls_context={
            "tls_certificates": [{"certificate_chain": {"filename": "chain"}, "private_key": {"filename": "key"}}],
            "validation_context": {"trusted_ca": {"filename": "roots"}},
        }
    )
    control_plane = {
        "name": "control-plane",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "control-plane",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
        "typed_extension_protocol_options": {HTTP_OPTIONS: to_dict(pack(options))},
        "transport_socket": {"name": "tls", "typed_config": to_dict(pack(tls))},
    }
    grpc = [{"envoy_grpc": {"cluster_name": "control-plane"}}]
    ads = {"api_type": "DELTA_GRPC", "set_node_on_first_message_only": True, "grpc_services": grpc}
    return {
        "node": {"id": "sidecar", "cluster": "tests"},
        "admin": {"address": {"pipe": {"path": "admin.sock"}}},
        "dynamic_resources": {
            "ads_config": {**ads, "transport_api_version": "V3"},
            "cds_config": ADS,
            "lds_config": ADS,
        },
        "static_resources": {"clusters": [control_plane]},
    }


# Envoy dies with the test process, however that ends.
LAUNCH = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


@asynccontextmanager
async def envoy(folder: Path, settings: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "bootstrap.json").write_text(json.dumps(settings))
    arguments = ["-c", "bootstrap.json", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LAUNCH, binary.find().path, *arguments, cwd=folder, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def call(port: int, name: str) -> tuple[int, str]:
    """GET / with that Host: status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return await exchange(reader, writer, name, "/")


async def admin(folder: Path, path: str) -> str:
    with short_path(folder / "admin.sock") as socket:
        reader, writer = await asyncio.open_unix_connection(socket)
    return (await exchange(reader, writer, "admin", path))[1]


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> tuple[int, str]:
    try:
        # HTTP/1.0 semantics on the way back: no chunks, the end is the end of the connection
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()
    finally:
        writer.close()


@asynccontextmanager
async def upstream(tag: str) -> AsyncIterator[int]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(tag)}\r\n\r\n{tag}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def until(what: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout: float = 30) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                found = what()
                if await found if isinstance(found, Awaitable) else found:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.01)
