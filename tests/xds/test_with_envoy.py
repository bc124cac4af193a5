"""The whole room against a real Envoy: configuration on demand, refusals, and a control plane that restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from started import launched
from tulle.aio.unix import short_path
from tulle.envoy_api.messages import from_dict, message, pack, to_dict
from tulle.xds.requests import Asked, Held, Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS, Key, Resource, resource
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
    values = {"name": f"outbound/{name}.default", "domains": [name, f"{name}.mesh"], "routes": [route]}
    return made(VHDS, values, aliases=asked, requires=((CDS, name), (EDS, name)))


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def doors() -> tuple[Resource, ...]:
    """An outbound listener, on any port, and the routes behind it: every host is asked for."""
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
        "rds": {"route_config_name": "outbound", "config_source": ADS},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return (
        made(LDS, {"name": "outbound", "address": address(0), "filter_chains": [chain]}),
        made(RDS, {"name": "outbound", "vhds": {"config_source": ADS}}),
        made(VHDS, {"name": "outbound/_init", "domains": ["_init.invalid"]}),
    )


class Mesh:
    """The owner: services and their ports, and a session for every stream."""

    def __init__(self) -> None:
        self.services: dict[str, tuple[int, ...]] = {}
        self.clusters: dict[str, Resource] = {}
        self.streams: list[Stream] = []
        self.log: list[str] = []

    def connect(self, certificate: bytes, node: str, wake: Callable[[], None]) -> Stream | Refusal:
        self.streams.append(Stream(self, wake))
        return self.streams[-1]

    def change(self) -> None:
        """The services or clusters have changed."""
        for stream in self.streams:
            stream.wish()
            stream.wake()

    def in_sync(self) -> bool:
        return bool(self.streams) and self.streams[-1].session.in_sync

    def sent(self) -> list[str]:
        """What was sent since the last time."""
        sent, self.log = self.log, []
        return sent


class Stream:
    """One Envoy: what it asked for, and what it should therefore hold."""

    def __init__(self, mesh: Mesh, wake: Callable[[], None]) -> None:
        self.mesh, self.wake, self.session = mesh, wake, Session()
        self.asked: dict[str, None] = {}
        self.known: dict[str, None] = {}
        self.wished: dict[Key, Resource] = {}
        self.wish()

    def receive(self, request: Request) -> None:
        for event in self.session.receive(request):
            if isinstance(event, Asked) and event.type_url == VHDS:
                self.asked.update(dict.fromkeys(event.names))
            elif isinstance(event, Held) and event.type_url == CDS:
                self.known.update(dict.fromkeys(event.versions))
        self.wish()

    def wish(self) -> None:
        wished = {item.key: item for item in self._wished()}
        for key in self.wished.keys() - wished.keys():
            self.session.unwant(*key)
        for item in wished.values():
            self.session.want(item)
        self.wished = wished

    def _wished(self) -> Iterator[Resource]:
        yield from doors()
        asked: dict[str, list[str]] = {name: [] for name in self.known}
        for name in self.asked:
            asked.setdefault(name.removeprefix("outbound/").removesuffix(".mesh"), []).append(name)
        for name, names in asked.items():
            if ports := self.mesh.services.get(name):
                yield self.mesh.clusters.get(name) or cluster(name)
                yield endpoints(name, *ports)
                yield host(name, tuple(names))
            else:
                yield from (Resource(VHDS, unknown, aliases=(unknown,)) for unknown in names)

    def flush(self) -> list[bytes]:
        out = self.session.flush()
        self.mesh.log += map(described, out)
        return out

    def disconnect(self) -> None:
        self.mesh.streams.remove(self)


def described(response: bytes) -> str:
    decoded = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(response)
    names = [item.name for item in decoded.resources] + [f"-{name}" for name in decoded.removed_resources]
    return " ".join([SHORT[decoded.type_url], *names])


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


async def admin(folder: Path, path: str) -> str:
    with short_path(folder / "admin.sock") as socket:
        reader, writer = await asyncio.open_unix_connection(socket)
    return (await exchange(reader, writer, "admin", path))[1]


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> tuple[int, str]:
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = BytesIO(await asyncio.wait_for(reader.read(), 20))
        response = HTTPResponse(SimpleNamespace(makefile=lambda _: answer))  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read().decode()
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


async def until(so: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until it is so. What can't be reached yet is not so."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(OSError):
                found = so()
                if await found if isinstance(found, Awaitable) else found:
                    return
            await asyncio.sleep(0.01)


class Lab:
    """A mesh with two upstreams, its control plane, which may be stopped, and an Envoy."""

    def __init__(self, folder: Path, identity: ServerIdentity) -> None:
        self.mesh = Mesh()
        self._folder, self._identity = folder, identity
        self._control_plane = AsyncExitStack()
        self._xds = self._door = 0

    async def start(self) -> None:
        self._xds = await self._control_plane.enter_async_context(
            serve(self.mesh, lambda: self._identity, port=self._xds)
        )

    async def stop(self) -> None:
        await self._control_plane.aclose()
        assert not self.mesh.streams

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        await self.start()
        try:
            async with launched(self._folder, bootstrap(self._xds)):
                await until(self._ready)
                listeners = json.loads(await self.admin("/listeners?format=json"))
                self._door = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
                yield
        finally:
            await self.stop()

    async def call(self, name: str) -> tuple[int, str]:
        """GET / with that Host: status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._door)
        return await exchange(reader, writer, name, "/")

    async def admin(self, path: str) -> str:
        return await admin(self._folder, path)

    async def clusters(self) -> dict[str, str]:
        """The active clusters that came by CDS, and their connect timeouts."""
        dump = json.loads(await self.admin("/config_dump?resource=dynamic_active_clusters"))
        return {c["cluster"]["name"]: c["cluster"]["connect_timeout"] for c in dump.get("configs", ())}

    async def _ready(self) -> bool:
        return "LIVE" in await self.admin("/ready") and self.mesh.in_sync()


@pytest.fixture
async def lab(tmp_path: Path, issue: Issue, roots: bytes) -> AsyncIterator[Lab]:
    key, chain = issue("spiffe://cluster.local/proxy/a-1")
    for name, pem in (("key", key), ("chain", chain), ("roots", roots)):
        (tmp_path / name).write_bytes(pem)
    lab = Lab(tmp_path, ServerIdentity(*issue("control-plane.test"), roots))
    async with upstream("one") as one, upstream("two") as two:
        lab.mesh.services = {"b": (one,), "c": (two,)}
        async with lab.run():
            yield lab


async def test_the_first_call_fetches_what_it_needs(lab: Lab) -> None:
    assert lab.mesh.sent() == ["CDS", "LDS outbound", "RDS outbound", "VHDS outbound/_init"]
    assert await lab.call("b") == (200, "one")
    assert lab.mesh.sent() == ["CDS b", "EDS b", "VHDS outbound/b.default"]
    assert await lab.call("b.mesh") == (200, "one")
    assert (await lab.call("nosuch"))[0] == 404
    assert lab.mesh.sent() == ["VHDS outbound/nosuch"]
    await until(lab.mesh.in_sync)


async def test_many_calls_at_once_ask_once(lab: Lab) -> None:
    found = await asyncio.gather(*(lab.call(name) for name in ("b", "c.mesh", "b", "b.mesh") * 10))
    assert set(found) == {(200, "one"), (200, "two")}
    sent = lab.mesh.sent()
    assert [sent.count(f"CDS {name}") for name in ("b", "c")] == [1, 1]


async def test_a_changed_endpoint_takes_one_response(lab: Lab) -> None:
    await lab.call("b")
    lab.mesh.sent()
    lab.mesh.services["b"] = lab.mesh.services["c"]
    lab.mesh.change()
    await until(lambda: served_by(lab, "two"))
    assert lab.mesh.sent() == ["EDS b"]


async def served_by(lab: Lab, who: str) -> bool:
    status, body = await lab.call("b")
    assert status == 200
    return body == who


async def test_a_changed_cluster_takes_effect_at_once(lab: Lab) -> None:
    """Without its endpoints again, Envoy would wait for 15 s."""
    await lab.call("b")
    lab.mesh.clusters["b"] = cluster("b", "2s")
    lab.mesh.change()
    await until(lambda: has_timeout(lab, "2s"), 10)
    assert await lab.call("b") == (200, "one")


async def has_timeout(lab: Lab, timeout: str) -> bool:
    return (await lab.clusters())["b"] == timeout


async def test_what_envoy_refuses_changes_nothing(lab: Lab) -> None:
    await lab.call("b")
    lab.mesh.sent()
    bad = lab.mesh.clusters["b"] = cluster("b", "0s")
    lab.mesh.change()
    session = lab.mesh.streams[0].session
    await until(lambda: bool(session.rejections))
    assert [(r.type_url, r.name, r.version) for r in session.rejections] == [(CDS, "b", bad.version)]
    reason, _, details = session.rejections[0].message.partition("\n")
    assert reason == "Cluster.ConnectTimeout: value must be greater than 0s"
    assert 'name: "b"' in details
    await until(lab.mesh.in_sync)
    lab.mesh.change()
    assert await lab.call("b") == (200, "one")
    assert lab.mesh.sent() == ["CDS b", "EDS b"]
    lab.mesh.clusters["b"] = cluster("b", "3s")
    lab.mesh.change()
    await until(lambda: has_timeout(lab, "3s"), 10)
    assert not session.rejections


async def test_a_service_that_is_gone_is_removed_from_the_top(lab: Lab) -> None:
    await lab.call("b")
    lab.mesh.sent()
    del lab.mesh.services["b"]
    lab.mesh.change()
    await until(lambda: lab.mesh.in_sync() and not lab.mesh.streams[0].session.held(CDS))
    assert lab.mesh.sent() == ["VHDS outbound/b", "VHDS -outbound/b.default", "EDS -b", "CDS -b"]
    assert await lab.clusters() == {}
    assert (await lab.call("b"))[0] == 404


async def test_a_control_plane_that_restarts_sends_nothing_again(lab: Lab) -> None:
    for name in ("b", "c.mesh", "nosuch"):
        await lab.call(name)
    await until(lab.mesh.in_sync)
    lab.mesh.sent()
    await lab.stop()
    assert await lab.call("b") == (200, "one")
    await lab.start()
    await until(lambda: lab.mesh.in_sync() and len(lab.mesh.streams[0].session.held(EDS)) == 2)
    assert lab.mesh.sent() == []
    assert await lab.call("c.mesh") == (200, "two")


async def test_a_first_call_waits_for_a_control_plane_that_comes_back_and_changes_come_with_it(lab: Lab) -> None:
    await lab.call("b")
    await until(lab.mesh.in_sync)
    await lab.stop()
    waiting = asyncio.create_task(lab.call("c"), name="a call to c")
    lab.mesh.clusters["b"] = cluster("b", "2s")
    lab.mesh.sent()
    await lab.start()
    await until(lambda: has_timeout(lab, "2s"))
    assert await waiting == (200, "two")
    assert await lab.call("b") == (200, "one")
    await until(lab.mesh.in_sync)
    assert sorted(lab.mesh.sent()) == ["CDS b", "CDS c", "EDS b", "EDS c", "VHDS outbound/c.default"]
