"""What the sidecars of a call count of it, as Prometheus sees it."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable
from functools import partial

from expositions import Page, read
from modes import skip_unless_possible
from running import Caller, Mesh, Running, envoy_of, wait_for
from tulle.agent.figures.labels import HTTP_LABELS, TCP_LABELS
from wires import dialer, free_ports, wired

A_ID, B_ID = (f"spiffe://cluster.local/ns/default/sa/service-{name}" for name in "ab")
DURATIONS = "istio_request_duration_milliseconds_count"
SIDES = {
    **dict.fromkeys(("source_workload", "source_app", "source_canonical_service"), "service-a"),
    **dict.fromkeys(("destination_app", "destination_canonical_service", "destination_service_name"), "service-b"),
    **dict.fromkeys(("destination_version", "destination_canonical_revision"), "v1"),
    **dict.fromkeys(("source_workload_namespace", "destination_workload_namespace"), "default"),
    **dict.fromkeys(("source_cluster", "destination_cluster"), "tulle"),
    "source_version": "unknown",
    "source_canonical_revision": "latest",
    "source_principal": A_ID,
    "destination_workload": "service-b-v1",
    "destination_principal": B_ID,
    "destination_service": "service-b.default.svc.cluster.local",
    "destination_service_namespace": "default",
    "request_protocol": "http",
    "response_flags": "-",
    "grpc_response_status": "",
}


def text_of(mesh: Mesh, sidecar: str) -> str:
    place = next(p["metrics"] for p in mesh.proxies() if sidecar in (p["id"], p["service"]))
    with urllib.request.urlopen(f"http://{place}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def page(mesh: Mesh, sidecar: str) -> Page:
    return read(text_of(mesh, sidecar))


def counted(mesh: Mesh, sidecar: str, reporter: str) -> Callable[[], float]:
    labels = {"reporter": reporter, "destination_service_name": "service-b"}
    return lambda: page(mesh, sidecar).value("istio_requests_total", **labels)


def _has_five(mesh: Mesh, sidecar: str, reporter: str) -> bool:
    """Envoy tells how long calls took up to two seconds after it tells of the calls."""
    found = page(mesh, sidecar)
    names = ("istio_requests_total", DURATIONS)
    return all(found.value(name, reporter=reporter, destination_service_name="service-b") == 5 for name in names)


def test_both_sidecars_tell_of_calls_with_istios_metrics_and_labels(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1", options=("--version", "v1", "--scrape", "/metrics"))
    caller = mesh.caller()
    for status in (200, 200, 200, 404, 500):
        assert caller.call(f"http://service-b/data?code={status}").status == status
    assert caller.call("http://service-c/").status >= 500
    for sidecar, reporter, security in (
        ("service-a", "source", "unknown"),
        ("service-b", "destination", "mutual_tls"),
    ):
        wait_for("all is told, durations too", partial(_has_five, mesh, sidecar, reporter))
        found = page(mesh, sidecar)
        expected = {**SIDES, "reporter": reporter, "connection_security_policy": security}
        for code, times in (("200", 3), ("404", 1), ("500", 1)):
            labels = {**expected, "response_code": code}
            assert set(labels) == set(HTTP_LABELS)
            assert found.samples["istio_requests_total", frozenset(labels.items())] == times
            for name in (DURATIONS, "istio_request_bytes_count", "istio_response_bytes_count"):
                assert found.samples[name, frozenset(labels.items())] == times
        assert {frozenset(each) for each in found.labels("istio_requests_total")} == {frozenset(HTTP_LABELS)}
        assert found.value("istio_build", component="proxy") == 1
        assert found.value("tulle_agent_requests_uncounted_total") == 0
        assert found.value("tulle_agent_resident_memory_bytes", part="envoy") > 1e6
    # The program has no /metrics of its own.
    assert page(mesh, "service-b").value("tulle_agent_scrape_failures_total") > 0
    unknown = page(mesh, "service-a").value("istio_requests_total", destination_workload="unknown")
    assert unknown == 1


def test_calls_of_grpc_and_connections_of_tcp_are_told_by_both_sidecars(mesh: Mesh) -> None:
    skip_unless_possible("seccomp")
    mesh.up()
    (port,) = free_ports(1)
    mesh.run("calls", "grpc_calls.py", options=("--port", f"9000:{port}/grpc"), PORT=str(port))
    wired(mesh, "store", "s1", "7001/tcp=echo", options=("--version", "v1"))
    wait_for("the gRPC server is healthy", lambda: mesh.healthy("calls") == 1)
    caller = dialer(mesh, "seccomp", "caller")
    assert caller.do("result = [ask('store', 7001, 'x') for _ in range(3)]") == ["s1 x"] * 3
    caller.do(_CALL_OF_GRPC)
    for sidecar, reporter in (("caller", "source"), ("store", "destination")):
        wait_for("the connections are counted", partial(_closed, mesh, sidecar, 3))
        expected = {"source_workload": "caller", "destination_workload": "store-v1", "request_protocol": "tcp"}
        found = page(mesh, sidecar)
        for name, least in (("opened", 3), ("closed", 3)):
            assert found.value(f"istio_tcp_connections_{name}_total", reporter=reporter, **expected) == least
        for name in ("sent", "received"):
            assert found.value(f"istio_tcp_{name}_bytes_total", reporter=reporter, **expected) > 0
        (labels,) = found.labels("istio_tcp_connections_closed_total")
        assert set(labels) == set(TCP_LABELS)
        assert labels["destination_service"] == "store.default.svc.cluster.local"
        assert (labels["source_principal"], labels["destination_principal"]) == tuple(
            f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("caller", "store")
        )
    for sidecar, reporter in (("caller", "source"), ("calls", "destination")):
        for status in ("0", "2"):  # OK, UNKNOWN
            expected = {"reporter": reporter, "request_protocol": "grpc", "grpc_response_status": status}
            wait_for(f"those of {status} are counted", partial(_has_calls, mesh, sidecar, expected))
        for name in ("request", "response"):
            found = page(mesh, sidecar)
            expected = {"reporter": reporter, "request_protocol": "grpc", "source_workload": "caller"}
            assert found.value(f"istio_{name}_messages_total", **expected) >= 1


def test_the_bytes_of_a_connection_are_told_while_it_is_open_and_none_twice(mesh: Mesh) -> None:
    skip_unless_possible("seccomp")
    mesh.up()
    wired(mesh, "store", "s1", "7001/tcp=echo")
    caller = dialer(mesh, "seccomp", "caller")
    assert caller.do("result = ask('store', 7001, 'x')") == "s1 x"
    sides = (("caller", "source"), ("store", "destination"))
    for sidecar, _ in sides:
        wait_for("the first connection is counted", partial(_closed, mesh, sidecar, 1))
    before = {sidecar: _carried(mesh, sidecar, reporter) for sidecar, reporter in sides}
    caller.do("made = dial('store', 7001); made.sendall(b'x' * 999 + b'\\n'); result = len(line(made))")
    for sidecar, reporter in sides:  # each says so every ten seconds
        wait_for("they are told", partial(_differs, mesh, sidecar, reporter, before[sidecar]))
        assert page(mesh, sidecar).value("istio_tcp_connections_closed_total") == 1
    seen = {sidecar: _carried(mesh, sidecar, reporter) for sidecar, reporter in sides}
    caller.do("made.sendall(b'y' * 99 + b'\\n'); result = len(line(made)); made.close()")
    for sidecar, reporter in sides:
        (sent, received), (sent_before, received_before) = seen[sidecar], before[sidecar]
        # The echo says its name before what it was told.
        assert (received - received_before, sent - sent_before) == (1000, 1003)
        wait_for("its end is counted", partial(_closed, mesh, sidecar, 2))
        wait_for("the rest is told", partial(_differs, mesh, sidecar, reporter, seen[sidecar]))
        assert _carried(mesh, sidecar, reporter) == (sent + 103, received + 100)


def _differs(mesh: Mesh, sidecar: str, reporter: str, before: tuple[float, float]) -> bool:
    return _carried(mesh, sidecar, reporter) != before


def _carried(mesh: Mesh, sidecar: str, reporter: str) -> tuple[float, float]:
    """Bytes sent and received."""
    found = page(mesh, sidecar)
    sent, received = (found.value(f"istio_tcp_{name}_bytes_total", reporter=reporter) for name in ("sent", "received"))
    return sent, received


_CALL_OF_GRPC = """
import grpc
channel = grpc.insecure_channel('calls:9000')
for method in ('Nothing', 'Unary'):
    try:
        channel.unary_unary('/any.Service/' + method)(b'x', timeout=30)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNKNOWN, error
"""


def _closed(mesh: Mesh, sidecar: str, times: int) -> bool:
    return page(mesh, sidecar).value("istio_tcp_connections_closed_total") == times


def _has_calls(mesh: Mesh, sidecar: str, labels: dict[str, str]) -> bool:
    return page(mesh, sidecar).value("istio_requests_total", response_code="200", **labels) == 1


def test_counters_go_on_over_a_restart_and_a_crash_of_envoy(mesh: Mesh) -> None:
    mesh.up()
    server = mesh.serve("service-b", "b1", options=("--drain", "3s"))
    caller = mesh.caller(options=("--drain", "3s"))
    source, destination = counted(mesh, "service-a", "source"), counted(mesh, "service-b", "destination")
    last = [0.0, 0.0]

    def grows() -> None:
        now = [source(), destination()]
        assert all(after >= before for before, after in zip(last, now, strict=True)), (last, now)
        last[:] = now

    with caller.load("http://service-b/data", threads=2) as load:
        for sidecar in ("service-a", "service-b"):
            assert mesh.tulle("proxy", sidecar, "restart").returncode == 0
            for _ in range(5):
                load.more(10)
                grows()
    assert not load.failed
    wait_for("all calls are counted by both", lambda: source() == destination() == load.calls)
    grows()
    for running in (caller.running, server):
        _kill_envoy(mesh, caller, running)
        grows()
    before = source()
    wait_for("calls work again", lambda: caller.call("http://service-b/data").status == 200)
    wait_for("they are counted", lambda: source() > before)
    grows()


def _kill_envoy(mesh: Mesh, caller: Caller, running: Running) -> None:
    """And waits until another one answers calls."""
    old = envoy_of(running)
    os.kill(old, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return envoy_of(running) != old and caller.call("http://service-b/data").status == 200
        except (StopIteration, OSError):
            return False

    wait_for("another Envoy is there", is_back)
