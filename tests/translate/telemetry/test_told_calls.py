"""Which calls a real Envoy tells of while nobody looks: those that failed, of HTTP and of gRPC, and no other."""

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

from tulle.envoy_api import binary
from tulle.envoy_api.messages import message, to_dict
from tulle.ir.telemetry import Reporter
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
    """port: of an Envoy's HTTP; log: where it tells."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log

    def call(self, path: str, kind: str = "text/plain") -> None:
        httpx.get(f"http://127.0.0.1:{self.port}{path}", headers={"content-type": kind})

    def paths(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["path"] for line in lines if line.startswith("{") and line.endswith("}")]


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Telling]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    bootstrap = {"static_resources": {"listeners": [_listener(port)]}}
    command = [str(binary.find().path), "--config-yaml", json.dumps(bootstrap), "--disable-hot-restart"]
    log = tmp_path / "told"
    with log.open("wb") as out, subprocess.Popen([*command, "-l", "error", "--concurrency", "1"], stderr=out) as envoy:
        try:
            _until(lambda: _answers(port))
            yield Telling(port, log)
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
