"""Which calls a real Envoy tells of: those that failed, of HTTP and of gRPC; while somebody looks, all, perhaps with headers."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tulle.agent.calls import BEGINNING, WITH_HEADERS
from tulle.envoy_api import binary
from tulle.envoy_api.messages import message, to_dict
from tulle.ir.telemetry import Reporter
from tulle.model.calls import runtime
from tulle.model.headers import shown
from tulle.translate.telemetry.calls import told_calls

_DEADLINE = 20.0
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
ANSWERS = {"/fine": (200, ""), "/missing": (404, ""), "/broken": (503, ""), "/done": (200, "0"), "/lost": (200, "14")}


def _listener(port: int) -> dict[str, Any]:
    routes = [
        {
            "match": {"path": path},
            "direct_response": {"status": status},
            "response_headers_to_add": [{"header": {"key": "grpc-status", "value": grpc}}] if grpc else [],
        }
        for path, (status, grpc) in ANSWERS.items()
    ]
    manager = {
        "@type": _HTTP,
        "stat_prefix": "x",
        "access_log": [
            to_dict(message("envoy.config.accesslog.v3.AccessLog")(**one)) for one in told_calls(Reporter.SOURCE)
        ],
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    filters = [{"name": "http", "typed_config": manager}]
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }


class Telling:
    """port: of an Envoy's HTTP; log: where it tells, and output: with headers; admin: its interface."""

    def __init__(self, port: int, log: Path, output: Path, admin: Path) -> None:
        self.port, self.log, self.output, self.admin = port, log, output, admin

    def call(self, path: str, kind: str = "text/plain", **headers: str) -> None:
        httpx.get(f"http://127.0.0.1:{self.port}{path}", headers={"content-type": kind, **headers})

    def look(self, *, tapped: bool, headers: bool) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.admin))) as client:
            values = runtime(tapped=tapped, headers=headers)
            assert client.post("http://envoy/runtime_modify", params=values).status_code == 200

    def paths(self) -> list[str]:
        return [call["path"] for call in _told(self.log)]

    def with_headers(self) -> list[dict[str, Any]]:
        return _told(self.output)


def _told(file: Path) -> list[dict[str, Any]]:
    lines = file.read_bytes().splitlines()
    return [json.loads(line) for line in lines if line.startswith(BEGINNING) and line.endswith(b"}")]


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Telling]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    admin = tmp_path / "admin"
    bootstrap = {
        "static_resources": {"listeners": [_listener(port)]},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }
    command = [str(binary.find().path), "--config-yaml", json.dumps(bootstrap), "--disable-hot-restart"]
    command += ["-l", "error", "--concurrency", "1", "--file-flush-interval-msec", "100"]
    log, output = tmp_path / "told", tmp_path / "output"
    with (
        log.open("ab") as error,
        output.open("ab") as out,
        subprocess.Popen(command, stdout=out, stderr=error) as envoy,
    ):
        try:
            _until(lambda: _answers(port))
            yield Telling(port, log, output, admin)
        finally:
            envoy.terminate()


def test_only_calls_that_failed_are_told_while_nobody_looks(telling: Telling) -> None:
    for path in ("/fine", "/missing"):
        telling.call(path)
    for path in ("/done", "/lost"):
        telling.call(path, "application/grpc")
    telling.call("/broken")
    _until(lambda: "/broken" in telling.paths())
    assert telling.paths() == ["/lost", "/broken"]


def test_each_call_is_told_once_with_its_headers_while_somebody_looks_at_them(telling: Telling) -> None:
    telling.look(tapped=True, headers=False)
    telling.call("/fine")
    telling.look(tapped=True, headers=True)
    told = (("/missing", "text/plain"), ("/broken", "text/plain"), ("/lost", "application/grpc"))
    for path, kind in told:
        telling.call(f"{path}?a=1", kind, x_one="1", **{"x-odd": '"\t{'})
    telling.look(tapped=False, headers=False)
    telling.call("/broken")
    telling.call("/missing")
    _until(lambda: len(telling.paths()) == 2 and len(telling.with_headers()) == 3)
    assert telling.paths() == ["/fine", "/broken"]
    assert [call["path"] for call in telling.with_headers()] == [path for path, _ in told]
    assert all(line.startswith(WITH_HEADERS) for line in telling.output.read_bytes().splitlines())
    *_, lost = telling.with_headers()
    assert lost["request_headers"].items() > {":path": "/lost?a=1", "x_one": "1", "x-odd": '"\t{'}.items()
    assert lost["response_headers"].items() > {":status": "200", "grpc-status": "14"}.items()
    assert (lost["status"], lost["side"], shown(lost.get("response_trailers"))) == (200, "source", {})


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/fine").status_code == 200
    except httpx.TransportError:
        return False


def _until(true: Any) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
