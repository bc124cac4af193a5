"""One Envoy for many cases: translated virtual hosts in an outbound HTTP manager, and backends that are servers on loopback.

What comes by xDS in a mesh is written into its bootstrap instead, and clusters are plain ones of the same names; all else is
what a sidecar gets. `Backends` are the servers: each answers with what it was asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from started import admin, started
from tulle.envoy_api.messages import message, pack, to_dict, unpack
from tulle.ir.types import Outbound, VirtualHost
from tulle.model.workload import Capture
from tulle.translate import listeners, routes
from tulle.translate.bootstrap import bootstrap

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_DEADLINE = 20.0


class Server(ThreadingHTTPServer):
    """A program that answers with what it was asked, as JSON. Its query says how: `status=503`, `times=1`, `sleep=0.5`.

    times: how often it is so, before it is 200, counted by the whole path.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Program)
        self.name = name
        self.seen: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def wait_for(self, path: str, count: int = 1) -> list[dict[str, Any]]:
        """The requests for a path, as soon as there are `count`."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.of(path)) >= count, timeout=_DEADLINE)
            return self.of(path)

    def of(self, path: str) -> list[dict[str, Any]]:
        return [request for request in self.seen if request["path"] == path]


class _Program(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = {
            "server": self.server.name,
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "all": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body.decode(),
        }
        with self.server.arrived:
            self.server.seen.append(asked)
            self.server.arrived.notify_all()
            count = len(self.server.of(self.path))
        query = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        special = count <= int(query.get("times", 1_000_000))
        if special:
            time.sleep(float(query.get("sleep", 0)))
        if special and "close" in query:
            self.close_connection = True
            return
        text = json.dumps(asked).encode()
        self.send_response(int(query.get("status", 200)) if special else 200)
        self.send_header("content-length", str(len(text)))
        self.send_header("x-server", self.server.name)
        if special and "grpc" in query:
            self.send_header("grpc-status", query["grpc"])
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_OPTIONS = do_DELETE = do_HEAD = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


class OneEnvoy:
    """A running Envoy; `call` asks it as a program would that has opened a connection to a service."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=20)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_DEADLINE, limits=limits)

    def call(self, host: str, path: str = "/", method: str = "GET", **settings: Any) -> httpx.Response:
        """headers: a mapping, or pairs where some come several times."""
        given = settings.pop("headers", {})
        headers = [("host", host), *(given.items() if isinstance(given, Mapping) else given)]
        return self._client.request(method, path, headers=headers, **settings)

    def stats(self, pattern: str) -> dict[str, int]:
        text = admin(self.folder, f"/stats?filter={pattern}").text
        pairs = [line.rpartition(": ") for line in text.splitlines()]
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def close(self) -> None:
        self._client.close()


@contextmanager
def one_envoy(
    folder: Path, hosts: Iterable[VirtualHost], clusters: Mapping[str, list[dict[str, Any]]], *, concurrency: int = 1
) -> Iterator[OneEnvoy]:
    """clusters: by name, the endpoints of each as `at` and `locality` make them."""
    made = [_cluster(name, localities) for name, localities in clusters.items()]
    config = bootstrap("test", "127.0.0.1", 1, "spiffe://test")
    config.pop("dynamic_resources")
    config["stats_config"] = {}
    config["admin"] = {"address": {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}}
    config["static_resources"] = {"clusters": made, "listeners": [to_dict(_listener(hosts))]}
    with started(folder, config, concurrency=concurrency) as ports, closing(OneEnvoy(folder, *ports.values())) as envoy:
        yield envoy


def at(port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    """An endpoint."""
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def locality(*endpoints: dict[str, Any], priority: int = 0) -> dict[str, Any]:
    return {"priority": priority, "lb_endpoints": list(endpoints)}


def _listener(hosts: Iterable[VirtualHost]) -> Any:
    """As a sidecar's, but that its routes are there from the beginning and that any connection is taken."""
    door = listeners.outbound_listener(Outbound("outbound.test", 0, Capture.REDIRECT))
    manager = unpack(door.filter_chains[0].filters[0].typed_config)
    assert manager.DESCRIPTOR.full_name == _MANAGER
    manager.route_config.CopyFrom(
        message("envoy.config.route.v3.RouteConfiguration")(
            name="outbound.test",
            virtual_hosts=[routes.virtual_host(host) for host in hosts],
            max_direct_response_body_size_bytes={"value": 1024 * 1024},
            # As for routes that come by xDS (RouteConfiguration, `validate_clusters`).
            validate_clusters={"value": False},
        )
    )
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": pack(manager)}
    return message("envoy.config.listener.v3.Listener")(
        name="outbound",
        address={"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        filter_chains=[{"filters": [http]}],
    )


def _cluster(name: str, localities: list[dict[str, Any]]) -> dict[str, Any]:
    unlimited = {
        "max_connections": 10_000,
        "max_pending_requests": 10_000,
        "max_requests": 10_000,
        "max_retries": 10_000,
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [unlimited]},
        "load_assignment": {"cluster_name": name, "endpoints": localities},
    }
