"""What a collector does not take is counted, whatever is wrong with it, and told with its name; calls never wait for it."""

from __future__ import annotations

import signal
import time
import urllib.request
from pathlib import Path

import expositions
from declaring import Document, apply, document, mesh_config, telemetry
from puppets import counted
from running import Caller, Mesh, wait_for
from test_collectors import OUTSIDE, Collected, outside
from wires import free_ports

GRPC, HTTP = f"{OUTSIDE}:4317", f"{OUTSIDE}:4318"
TIMEOUT = 1.0


def declared(grpc: int, http: int) -> list[Document]:
    """service-a tells one of spans by gRPC; service-b by HTTP, and of its access log by gRPC."""
    timeout = f"{TIMEOUT:g}s"
    providers = [
        {"name": "grpc", "opentelemetry": {"service": OUTSIDE, "port": 4317, "grpc": {"timeout": timeout}}},
        {
            "name": "http",
            "opentelemetry": {"service": OUTSIDE, "port": 4318, "http": {"path": "/v1/traces", "timeout": timeout}},
        },
        {"name": "logs", "envoyOtelAls": {"service": OUTSIDE, "port": 4317}},
    ]
    ports = [
        {"number": 4317, "name": "grpc", "protocol": "GRPC"},
        {"number": 4318, "name": "http", "protocol": "HTTP"},
    ]
    endpoints = [{"address": "127.0.0.1", "ports": {"grpc": grpc, "http": http}}]
    entry = {"hosts": [OUTSIDE], "ports": ports, "resolution": "STATIC", "endpoints": endpoints}
    by_grpc = telemetry(
        "a", selector={"matchLabels": {"app": "service-a"}}, tracing=[{"providers": [{"name": "grpc"}]}]
    )
    by_http = telemetry(
        "b",
        selector={"matchLabels": {"app": "service-b"}},
        tracing=[{"providers": [{"name": "http"}]}],
        accessLogging=[{"providers": [{"name": "logs"}]}],
    )
    return [mesh_config(extensionProviders=providers), document("ServiceEntry", "otel", entry), by_grpc, by_http]


class Told:
    """What is said of the collectors. at: service-a's and service-b's sidecars."""

    def __init__(self, mesh: Mesh, caller: Caller) -> None:
        self._mesh = mesh
        self._caller = caller

    def call(self, seconds: float = 0.0) -> None:
        """Once, or for so long; each call takes no longer than without a collector."""
        end = time.monotonic() + seconds
        while True:
            answer = self._caller.call("http://service-b/data")
            assert (answer.status, answer.seconds < TIMEOUT) == (200, True)
            if time.monotonic() >= end:
                return
            time.sleep(0.1)

    def lately(self) -> dict[str, int]:
        self.call()
        return {one["name"]: one["failed"] for one in self._mesh.json("status")["collectors"]}

    def by_agents(self) -> dict[str, float]:
        """Over all agents, as they say at /metrics."""
        pages = [_page(proxy["metrics"]) for proxy in self._mesh.proxies()]
        metric = "tulle_agent_collector_deliveries_failed_total"
        return {name: sum(page.value(metric, collector=name) for page in pages) for name in (GRPC, HTTP)}

    def by_control_plane(self) -> dict[str, float]:
        page = _page(f"127.0.0.1:{self._mesh.json('status')['web_port']}")
        metric = "tulle_collector_deliveries_failed_total"
        return {name: page.value(metric, collector=name) for name in (GRPC, HTTP)}

    def grows(self, why: str) -> None:
        """Of both collectors, from now on."""
        before = self.by_control_plane()

        def more() -> bool:
            self.call()
            now = self.by_control_plane()
            return all(now[name] > before[name] for name in (GRPC, HTTP))

        wait_for(f"both are said not to take what they are told: {why}", more)


def _page(place: str) -> expositions.Page:
    with urllib.request.urlopen(f"http://{place}/metrics", timeout=30) as answer:
        return expositions.read(answer.read().decode())


def test_what_a_collector_does_not_take_is_counted_and_said(tmp_path: Path) -> None:
    taken, addresses = Collected(tmp_path / "taken"), free_ports(2)
    full = tmp_path / "taken.full"
    with Mesh(tmp_path) as mesh, outside(taken.file, *addresses) as collector:
        mesh.up("--trace-sampling", "100")
        apply(mesh, *declared(*addresses))
        mesh.run("service-b", "server.py")
        caller = mesh.caller()
        told = Told(mesh, caller)
        wait_for("the instance is healthy", lambda: mesh.healthy("service-b") == 1)

        def all_is_taken() -> bool:
            told.call()
            spans = taken.spans()
            return (
                min(spans["service-a.default", "gRPC"], spans["service-b.default", "HTTP"]) > 0 and taken.records() > 0
            )

        wait_for("the collector is told by both", all_is_taken)
        # What the program itself asks of the same service is no delivery.
        assert [caller.call(f"http://{HTTP}/").status for _ in range(5)] == [503] * 5
        told.call(5.0)
        assert told.lately() == {} and set(told.by_agents().values()) == set(told.by_control_plane().values()) == {0}
        assert "did not take" not in mesh.tulle("status").stdout

        full.touch()
        told.grows("it refuses all")
        shown = mesh.tulle("status").stdout
        assert f"{GRPC} did not take" in shown and f"{HTTP} did not take" in shown
        assert set(told.lately()) == {GRPC, HTTP}
        full.unlink()

        collector.send_signal(signal.SIGSTOP)
        told.grows("it hangs")
        told.call(6 * TIMEOUT)
        for (
            proxy
        ) in mesh.proxies():  # each delivery is given up in time: two a second of each kind, and not all since then
            under_way = counted(mesh, proxy["id"], r"outbound.4317.*telemetry-1000ms.upstream_rq_active")
            assert under_way <= 6
        collector.send_signal(signal.SIGCONT)

        collector.kill()
        collector.wait(20)
        told.grows("it is down")

        with outside(taken.file, *addresses):
            spans = taken.spans().total()

            def is_told() -> bool:
                told.call()
                return taken.spans().total() > spans + 10

            wait_for("it is told again", is_told)
            told.call(8.0)  # what was under way has failed, and was told
            settled = told.by_control_plane()
            told.call(5.0)
            assert told.by_control_plane() == settled == told.by_agents()
