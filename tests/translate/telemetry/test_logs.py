"""Access logs as a real Envoy writes them: each form, each filter, on both sides, of HTTP and of bytes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tulle.envoy_api import binary
from tulle.envoy_api.messages import message, to_dict
from tulle.ir.routes import BackendRef
from tulle.ir.telemetry import AccessLog, Collector, LogEncoding, Reporter, Telemetry
from tulle.model.names import Destination, ServiceName
from tulle.translate.telemetry.logs import connection_logs, request_logs
from tulle.translate.telemetry.observed import http_observed, tcp_observed

_DEADLINE = 20.0
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_NOBODY = ServiceName("default", "nobody")
COLLECTOR = Collector(ServiceName("default", "otel"), BackendRef(Destination(ServiceName("default", "otel"), 4317)))
CASES = {
    "text": AccessLog(),
    "json": AccessLog(encoding=LogEncoding.JSON),
    "own text": AccessLog(text="%RESPONSE_CODE% %REQ_WITHOUT_QUERY(:PATH)%"),
    "own json": AccessLog(encoding=LogEncoding.JSON, fields=(("code", "%RESPONSE_CODE%"), ("who", "%REQ(X-WHO)%"))),
    "without what is empty": AccessLog(text="[%REQ(X-NOBODY)%]", omit_empty=True),
    "errors": AccessLog(text="%RESPONSE_CODE%", filter="response.code >= 400"),
    "slow ones": AccessLog(text="%RESPONSE_CODE%", filter="request.duration > duration('1h')"),
    "one path": AccessLog(text="%REQ(:PATH)%", filter="request.path.startsWith('/b')"),
}


def manager(log: AccessLog, reporter: Reporter) -> dict[str, Any]:
    """It answers with the status that the path ends with."""
    routes = [
        {"match": {"safe_regex": {"regex": f".*{status}.*"}}, "direct_response": {"status": status}}
        for status in (404, 200)
    ]
    port = "web.default.svc.cluster.local:80" if reporter is Reporter.DESTINATION else ""
    observed = http_observed(reporter, Telemetry(logs=(log,)), port)
    return {
        "@type": _HTTP,
        "stat_prefix": "x",
        "access_log": written(observed),
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }


def written(observed: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [to_dict(message("envoy.config.accesslog.v3.AccessLog")(**one)) for one in observed["access_log"]]


class Logging:
    """An Envoy with a listener a case."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "admin.sock")), timeout=5)
        end = time.monotonic() + _DEADLINE
        while True:
            assert process.poll() is None and time.monotonic() < end, (folder / "envoy.log").read_text()[-3000:]
            try:
                found = self._client.get("http://admin/listeners?format=json").json()["listener_statuses"]
                break
            except (httpx.TransportError, KeyError):
                time.sleep(0.05)
        self.ports = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in found}

    def call(self, case: str, path: str, **headers: str) -> int:
        return httpx.get(f"http://127.0.0.1:{self.ports[case]}{path}", headers=headers).status_code

    def lines(self, case: str, count: int) -> list[str]:
        """As soon as there are so many."""
        file, end = self.folder / f"{case}.log", time.monotonic() + _DEADLINE
        while len(found := file.read_text().splitlines()) < count:
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found

    def stats(self, pattern: str) -> str:
        return self._client.get(f"http://admin/stats?filter={pattern}").text

    def close(self) -> None:
        self._client.close()


def in_folder(folder: Path, case: str, log: AccessLog) -> AccessLog:
    return AccessLog(
        log.name, str(folder / f"{case}.log"), log.encoding, log.text, log.fields, log.filter, log.omit_empty
    )


class Collecting(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A collector of OpenTelemetry that keeps what it is sent, as it is."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.port = 0

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        if call.method != _EXPORT:
            return None

        def export(request: bytes, _: grpc.ServicerContext) -> bytes:
            self.sent.append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collecting]:
    found = Collecting()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[found])
    found.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found
    server.stop(None).wait()


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, collector: Collecting) -> Iterator[Logging]:
    folder = tmp_path_factory.mktemp("envoy")
    filters: dict[str, Mapping[str, Any]] = {}
    for case, log in CASES.items():
        filters[case] = manager(in_folder(folder, case, log), Reporter.SOURCE)
    filters["served"] = manager(in_folder(folder, "served", AccessLog()), Reporter.DESTINATION)
    records = AccessLog("mine", "", text="%RESPONSE_CODE%", fields=(("path", "%REQ(:PATH)%"),), otlp=COLLECTOR)
    filters["records"] = manager(records, Reporter.SOURCE)
    lost = AccessLog(path="", otlp=Collector(_NOBODY, BackendRef(Destination(_NOBODY, 4317))))
    filters["lost records"] = manager(lost, Reporter.SOURCE)
    bytes_ = tcp_observed(Reporter.SOURCE, Telemetry(logs=(in_folder(folder, "bytes", AccessLog()),)))
    told = {"access_log": written(bytes_), "access_log_options": bytes_["access_log_options"]}
    filters["bytes"] = {"@type": _TCP, "stat_prefix": "t", "cluster": "nobody", **told}
    config = {
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(name, settings) for name, settings in filters.items()],
            "clusters": [
                {"name": "nobody", "load_assignment": {"cluster_name": "nobody"}},
                _collector("outbound|4317||otel.default.svc.cluster.local", collector.port),
                _collector("outbound|4317||nobody.default.svc.cluster.local", 1),
            ],
        },
    }
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [str(binary.find().path), "-c", str(folder / "envoy.json"), "--use-dynamic-base-id", "--concurrency", "1"]
    with (folder / "envoy.log").open("wb") as log_file:
        options = ["-l", "warn", "--file-flush-interval-msec", "50"]
        process = subprocess.Popen([*command, *options], cwd=folder, stdout=log_file, stderr=log_file)
    try:
        logging = Logging(folder, process)
        yield logging
        logging.close()
    finally:
        process.kill()
        process.wait()


def _listener(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"name": name, "address": address, "filter_chains": [{"filters": [{"name": "f", "typed_config": settings}]}]}


def _collector(name: str, port: int) -> dict[str, Any]:
    at = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    http2 = {"@type": _OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [at]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }


@pytest.mark.parametrize("case", ["text", "served"])
def test_a_line_has_istios_form_and_then_the_trace(envoy: Logging, case: str) -> None:
    assert envoy.call(case, "/a/404?q", **{"user-agent": "me", "x-request-id": "7"}) == 404
    [line] = envoy.lines(case, 1)
    assert re.fullmatch(
        r'\[20..-..-..T..:..:..\.\d{3}Z\] "GET /a/404\?q HTTP/1\.1" 404 - direct_response - "-" 0 0 \d+ - "-" '
        r'"me" "[^"]+" "127\.0\.0\.1:\d+" "-" - - 127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ - - -',
        line,
    ), line


def test_json_has_istios_fields_and_the_trace(envoy: Logging) -> None:
    envoy.call("json", "/200", **{"user-agent": 'a "quoted"\\ one'})
    record = json.loads(envoy.lines("json", 1)[0])
    assert (record["method"], record["path"], record["response_code"]) == ("GET", "/200", 200)
    assert record["user_agent"] == 'a "quoted"\\ one' and record["trace_id"] is None and len(record) == 25


def test_own_forms_are_as_they_are_written(envoy: Logging) -> None:
    envoy.call("own text", "/200?secret=1")
    assert envoy.lines("own text", 1) == ["200 /200"]
    envoy.call("own json", "/404", **{"x-who": "me"})
    assert [json.loads(line) for line in envoy.lines("own json", 1)] == [{"code": 404, "who": "me"}]
    envoy.call("without what is empty", "/200")
    assert envoy.lines("without what is empty", 1) == ["[]"]


@pytest.mark.parametrize(
    ("case", "paths", "lines"),
    [
        ("errors", ("/200", "/404", "/200", "/404"), ["404", "404"]),
        ("one path", ("/a/200", "/b/200"), ["/b/200"]),
    ],
)
def test_a_filter_leaves_out_what_it_does_not_fit(
    envoy: Logging, case: str, paths: tuple[str, ...], lines: list[str]
) -> None:
    for path in paths:
        envoy.call(case, path)
    assert envoy.lines(case, len(lines)) == lines


def test_calls_that_are_not_slow_are_no_slow_ones(envoy: Logging) -> None:
    envoy.call("slow ones", "/200")
    envoy.call("own text", "/404")
    envoy.lines("own text", 1)
    assert envoy.lines("slow ones", 0) == []


def test_a_connection_that_carries_bytes_has_its_line(envoy: Logging) -> None:
    with socket.create_connection(("127.0.0.1", envoy.ports["bytes"]), timeout=5) as connection:
        assert connection.recv(1) == b""
    [line] = envoy.lines("bytes", 1)
    assert '"- - -" 0 UH' in line


def test_records_come_to_a_collector_with_their_fields(envoy: Logging, collector: Collecting) -> None:
    envoy.call("records", "/here/200")
    wait_for(lambda: bool(collector.sent))
    kind = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest"
    [of_resource] = to_dict(message(kind).FromString(collector.sent[0]))["resource_logs"]
    [scope] = of_resource["scope_logs"]
    [record] = scope["log_records"]
    assert record["body"] == {"string_value": "200"}
    assert record["attributes"] == [{"key": "path", "value": {"string_value": "/here/200"}}]
    assert {"key": "log_name", "value": {"string_value": "mine"}} in of_resource["resource"]["attributes"]


def test_a_collector_that_is_not_there_holds_nothing_up(envoy: Logging) -> None:
    assert [envoy.call("lost records", "/200") for _ in range(3)] == [200, 200, 200]
    wait_for(lambda: "logs_dropped: 3" in envoy.stats("open_telemetry"))


def test_nothing_is_told_to_a_collector_that_can_not_be_reached() -> None:
    unreachable = (AccessLog(otlp=Collector(COLLECTOR.service, problem="no such port")),)
    assert request_logs(unreachable) == connection_logs(unreachable) == []


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _DEADLINE
    while not holds():
        assert time.monotonic() < end, holds
        time.sleep(0.05)
