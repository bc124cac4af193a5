"""What `tulle bundle` writes, held to a real Prometheus: all that our dashboards ask for has data, and what Istio's do."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest

from declaring import document
from modes import skip_unless_possible
from prometheuses import Prometheus, prometheus
from puppets import Puppet
from running import Mesh, wait_for
from tulle.agent.figures.labels import HTTP_LABELS, TCP_LABELS
from tulle.cli.bundles import dashboards
from wires import apply, dialer, free_ports

# No query is excused: what is a share or a percentile is empty while nothing happens, and here all happens that they ask for.
# The workload in the middle: it is called by `front`, and calls `last`, by HTTP, gRPC and TCP.
CHOSEN = {
    "$__rate_interval": "30s",
    "$namespace": "default",
    "$service": "middle.default.svc.cluster.local",
    "$workload": "middle",
}
HTTP = (
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    "istio_request_bytes_bucket",
    "istio_response_bytes_bucket",
)
GRPC = ("istio_request_messages_total", "istio_response_messages_total")
TCP = tuple(
    f"istio_tcp_{what}_total" for what in ("connections_opened", "connections_closed", "sent_bytes", "received_bytes")
)
# What Istio's dashboards of the mesh, a service and a workload ask of each metric, and by what they tell it apart. They have
# most of it twice, for calls by mutual TLS and for others, which is what a caller's sidecar says of all.
_FROM = "source_workload, source_workload_namespace, source_cluster"
_TO = "destination_workload, destination_workload_namespace, destination_cluster"
_EITHER = 'reporter=~"destination|source"'
_MUTUAL, _OTHER = 'connection_security_policy="mutual_tls"', 'connection_security_policy!="mutual_tls"'
_SERVICE = 'destination_service="middle.default.svc.cluster.local"'
_CALLERS = 'source_workload=~".*", source_workload_namespace=~".*", source_cluster=~".*"'
_INSTANCES = 'destination_workload=~".*", destination_workload_namespace=~".*", destination_cluster=~".*"'
_IN = 'destination_workload=~"middle", destination_workload_namespace=~"default"'
_OUT = 'source_workload=~"middle", source_workload_namespace=~"default"'
VIEWS = (
    ('reporter=~"source|waypoint"', f"{_TO}, destination_service"),
    (f"{_EITHER}, {_SERVICE}, {_MUTUAL}, {_CALLERS}", _FROM),
    (f"{_EITHER}, {_SERVICE}, {_OTHER}, {_CALLERS}", _FROM),
    (f'reporter="destination", {_SERVICE}, {_MUTUAL}, {_INSTANCES}', _TO),
    (f"{_EITHER}, {_IN}, {_MUTUAL}, {_CALLERS}", _FROM),
    (f'reporter="source", {_OUT}, {_OTHER}, destination_principal=~"spiffe.*"', "destination_service"),
)


def _of_istios_dashboards() -> list[str]:
    asked = [f'sum by (component, tag) (istio_build{{component="{part}"}})' for part in ("pilot", "proxy")]
    for (labels, by), metric in product(VIEWS, (*HTTP, *TCP[2:])):
        if metric.endswith("_bucket"):
            asked.append(f"histogram_quantile(0.9, sum by (le, {by}) (rate({metric}{{{labels}}}[30s])))")
        else:
            asked.append(f"sum by ({by}) (rate({metric}{{{labels}}}[30s]))")
    for (labels, by), code in product(VIEWS, ('=~"5.*"', '!~"5.*"')):
        asked.append(f"sum by ({by}, response_code) (rate({HTTP[0]}{{{labels}, response_code{code}}}[30s]))")
    return asked


_SERVE = """
import socketserver

class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"instance": "any"}'
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(500 if self.path == "/fail" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass

class Echoes(socketserver.StreamRequestHandler):
    def handle(self):
        for text in self.rfile:
            self.wfile.write(text)

web = ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Answers)
wire = socketserver.ThreadingTCPServer(("127.0.0.1", TCP_PORT), Echoes)
for made in (web, wire):
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
"""
_CALL = """
import grpc

def call():
    channel = grpc.insecure_channel("calls:9000")
    while True:
        try:
            for path in ("", "fail"):
                get(f"http://NEXT/{path}")
            ask("NEXT", 7001, "x")
            channel.unary_unary("/any.Service/Unary")(b"x", timeout=30)
        except Exception as error:
            print(repr(error), flush=True)
        time.sleep(0.2)

threading.Thread(target=call, daemon=True).start()
"""


def _serving(mesh: Mesh, service: str) -> Puppet:
    web, wire = free_ports(2)
    made = dialer(mesh, "seccomp", service, "--port", f"80:{web}", "--port", f"7001:{wire}/tcp")
    made.do(_SERVE.replace("HTTP_PORT", str(web)).replace("TCP_PORT", str(wire)))
    wait_for(f"{service} is healthy", lambda: mesh.healthy(service) == 1)
    return made


def _queries() -> list[str]:
    """Of all panels of our dashboards, for the workload that is chosen."""
    asked = []
    for make in dashboards.ALL:
        for panel in make()["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"]
                for name, value in CHOSEN.items():
                    query = query.replace(name, value)
                asked.append(query)
    return asked


def _wait_for_data(there: Prometheus, queries: Iterable[str]) -> None:
    """None may stay empty: what is a share or a percentile is NaN, and empty, only while nothing happens."""
    left = set(queries)

    def none_left() -> bool:
        left.difference_update([query for query in left if there.series(query)])
        return not left

    try:
        wait_for("all queries have data", none_left, 40)
    except AssertionError as error:
        raise AssertionError("without data:\n" + "\n".join(sorted(left))) from error


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's package prometheus")
def test_every_query_of_the_dashboards_has_data(mesh: Mesh, tmp_path: Path) -> None:
    skip_unless_possible("seccomp")
    mesh.up()
    (port,) = free_ports(1)
    mesh.run("calls", "grpc_calls.py", options=("--port", f"9000:{port}/grpc"), PORT=str(port))
    _serving(mesh, "last")
    middle = _serving(mesh, "middle")
    wait_for("the gRPC server is healthy", lambda: mesh.healthy("calls") == 1)
    front = dialer(mesh, "seccomp", "front")
    caller = mesh.caller()
    with prometheus(mesh, tmp_path / "prometheus") as there, caller.load("http://middle/", threads=1):
        front.do(_CALL.replace("NEXT", "middle"))
        middle.do(_CALL.replace("NEXT", "last"))
        # The control plane, calls, last, middle, front and service-a.
        wait_for("all targets are scraped", lambda: there.all_up(6))
        # A change: until sidecars hold it, and until it is written, takes a time that has a percentile.
        routes = [{"route": [{"destination": {"host": "middle"}}]}]
        rule = document("VirtualService", "middle", {"hosts": ["middle"], "http": routes})
        apply(mesh, rule)
        queries = _queries()
        assert len(queries) > 50
        _wait_for_data(there, (*queries, *_of_istios_dashboards()))
        _has_istios_labels(there)
        _follows_rules(there)


def _has_istios_labels(there: Prometheus) -> None:
    # An empty label is none to Prometheus. Messages say nothing of how a request ended, in Istio neither.
    http = set(HTTP_LABELS) - {"grpc_response_status"}
    contract = (
        (HTTP, "http", http),
        (HTTP, "grpc", set(HTTP_LABELS)),
        (GRPC, "grpc", http - {"response_code"}),
        (TCP, "tcp", set(TCP_LABELS)),
    )
    for names, protocol, labels in contract:
        for name, reporter in product(names, ("source", "destination")):
            found = there.series(f'{name}{{reporter="{reporter}", request_protocol="{protocol}"}}')
            assert found, (name, reporter, protocol)
            for each in found:
                assert labels <= set(each), (name, each)


def _follows_rules(there: Prometheus) -> None:
    wait_for("all rules were evaluated", lambda: all(rule["health"] == "ok" for rule in there.rules()))
    recorded = [rule["name"] for rule in there.rules() if rule["type"] == "recording"]
    assert len(recorded) == 5
    _wait_for_data(there, recorded)
