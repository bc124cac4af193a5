"""Collectors of spans and access logs, in the mesh and outside, by gRPC and by HTTP: real ones, and what if they are down."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from declaring import Document, apply, document, mesh_config, telemetry
from puppets import counted
from running import PROGRAMS, Mesh, Running, wait_for
from tulle.envoy_api.messages import message
from wires import free_ports

_COLLECTED = "opentelemetry.proto.collector"
SPANS = {f"/{_COLLECTED}.trace.v1.TraceService/Export": "gRPC", "/v1/traces": "HTTP"}
LOGS = f"/{_COLLECTED}.logs.v1.LogsService/Export"
INSIDE, OUTSIDE = "collector.default.svc.cluster.local", "otel.example.com"


class Collected:
    """What a collector has written."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def lines(self) -> Iterator[tuple[str, bytes]]:
        text = self.file.read_text() if self.file.exists() else ""
        for line in text.splitlines():
            path, _, body = line.partition(" ")
            yield path, bytes.fromhex(body)

    def spans(self) -> Counter[tuple[str, str]]:
        """How many, by the service and how they came."""
        found = Counter[tuple[str, str]]()
        of = message(f"{_COLLECTED}.trace.v1.ExportTraceServiceRequest")
        for path, body in self.lines():
            if path not in SPANS:
                continue
            for part in of.FromString(body).resource_spans:
                (service,) = [
                    each.value.string_value for each in part.resource.attributes if each.key == "service.name"
                ]
                found[service, SPANS[path]] += sum(len(scope.spans) for scope in part.scope_spans)
        return found

    def records(self) -> int:
        of = message(f"{_COLLECTED}.logs.v1.ExportLogsServiceRequest")
        requests = [of.FromString(body) for path, body in self.lines() if path == LOGS]
        scopes = [scope for one in requests for part in one.resource_logs for scope in part.scope_logs]
        return sum(len(scope.log_records) for scope in scopes)


@contextmanager
def outside(file: Path, grpc: int, http: int) -> Iterator[subprocess.Popen[bytes]]:
    """A collector that no agent runs."""
    program = [sys.executable, str(PROGRAMS / "collector.py")]
    process = subprocess.Popen(program, env={"GRPC": str(grpc), "HTTP": str(http), "TO": str(file)})
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def declared(grpc: int, http: int) -> list[Document]:
    """Two collectors, each by gRPC and by HTTP, and who tells which of them."""
    by = {"gRPC": (4317, {}), "HTTP": (4318, {"http": {"path": "/v1/traces"}})}
    spans = [
        {"name": f"{host}-{how}", "opentelemetry": {"service": host, "port": port, **more}}
        for host in (INSIDE, OUTSIDE)
        for how, (port, more) in by.items()
    ]
    logs = [{"name": f"{host}-logs", "envoyOtelAls": {"service": host, "port": 4317}} for host in (INSIDE, OUTSIDE)]
    entry = {
        "hosts": [OUTSIDE],
        "location": "MESH_EXTERNAL",
        "ports": [
            {"number": 4317, "name": "grpc", "protocol": "GRPC"},
            {"number": 4318, "name": "http", "protocol": "HTTP"},
        ],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.0.0.1", "ports": {"grpc": grpc, "http": http}}],
    }

    def of(app: str, to: str, logging: str = "") -> Document:
        told: Document = {"selector": {"matchLabels": {"app": app}}, "tracing": [{"providers": [{"name": to}]}]}
        if logging:
            told["accessLogging"] = [{"providers": [{"name": logging}]}]
        return telemetry(app, **told)

    return [
        mesh_config(extensionProviders=[*spans, *logs]),
        document("ServiceEntry", "otel", entry),
        of("service-a", f"{INSIDE}-gRPC"),
        of("service-b", f"{INSIDE}-HTTP", f"{INSIDE}-logs"),
        of("service-c", f"{OUTSIDE}-gRPC", f"{OUTSIDE}-logs"),
        of("collector", f"{OUTSIDE}-HTTP"),
    ]


def test_collectors_are_told_wherever_they_are_and_nobody_waits_for_them(tmp_path: Path) -> None:
    within, without = Collected(tmp_path / "within"), Collected(tmp_path / "without")
    addresses = free_ports(2)
    with Mesh(tmp_path) as mesh, outside(without.file, *addresses) as other:
        mesh.up("--trace-sampling", "100")
        # Before the first call: a connection between sidecars that is open goes on as it began.
        apply(mesh, *declared(*addresses))
        mesh.run("service-b", "server.py")
        mesh.serve("service-c")
        caller = mesh.caller()
        # It comes after those that tell it of calls.
        collector = collecting(mesh, within.file)

        def call() -> None:
            assert [caller.call(f"http://{name}/data").status for name in ("service-b", "service-c")] == [200, 200]

        def told() -> bool:
            """Again and again: what is told before the way to a collector is known is lost."""
            call()
            inside, elsewhere = within.spans(), without.spans()
            return (
                min(inside["service-a.default", "gRPC"], inside["service-b.default", "HTTP"], within.records()) > 0
                and min(elsewhere["service-c.default", "gRPC"], elsewhere["collector.default", "HTTP"]) > 0
                and without.records() > 0
            )

        wait_for("both instances are healthy", lambda: mesh.healthy("service-b") == mesh.healthy("service-c") == 1)
        wait_for("both collectors are told by all", told)

        # One has ended, and one takes connections and never answers.
        collector.stop()
        other.send_signal(signal.SIGSTOP)
        with caller.load("http://service-b/data", threads=1) as b, caller.load("http://service-c/data", threads=1) as c:
            time.sleep(2)
        assert (b.failed, c.failed) == ([], []) and b.by_instance.total() > 20 < c.by_instance.total()
        for proxy in mesh.proxies():  # nothing waits for them that could grow
            assert counted(mesh, proxy["id"], r"outbound.431[78]..*upstream_rq_active") < 50
        before = within.spans()["service-a.default", "gRPC"], without.spans()["service-c.default", "gRPC"]
        other.send_signal(signal.SIGCONT)
        collecting(mesh, within.file)

        def told_again() -> bool:
            call()
            now = within.spans()["service-a.default", "gRPC"], without.spans()["service-c.default", "gRPC"]
            return now[0] > before[0] and now[1] > before[1]

        wait_for("they are told again", told_again)


def collecting(mesh: Mesh, file: Path) -> Running:
    """One in the mesh, in rotation, at ports of its own."""
    grpc, http = free_ports(2)
    options = ("--port", f"4317:{grpc}/grpc", "--port", f"4318:{http}/http")
    made = mesh.run("collector", "collector.py", options=options, GRPC=str(grpc), HTTP=str(http), TO=str(file))
    wait_for("the collector is healthy", lambda: mesh.healthy("collector") == 1)
    return made
