"""Hosts that no agent runs: brought into the mesh, or called outside of it, and the policy for all others."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from declaring import apply, document
from modes import skip_unless_possible
from puppets import puppet
from running import Caller, Mesh, wait_for


@contextmanager
def plain_server(says: str) -> Iterator[int]:
    """An HTTP server on loopback that knows nothing of a mesh; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{says} {self.headers['host']}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def entry(host: str, port: int = 80, **spec: object) -> dict[str, object]:
    ports = [{"number": port, "name": "http", "protocol": "HTTP"}]
    return document("ServiceEntry", host.strip("*."), {"hosts": [host], "ports": ports, **spec})


def says(caller: Caller, url: str) -> str:
    answer = caller.call(url)
    return f"{answer.status} {answer.body.decode(errors='replace')}"


def test_a_process_that_no_agent_runs_is_called_by_a_mesh_name(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    with plain_server("legacy") as port, plain_server("group") as other:
        selected: dict[str, Any] = {
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "workloadSelector": {"labels": {"app": "legacy"}},
        }
        one: dict[str, object] = {"address": "127.0.0.1", "labels": {"app": "legacy"}, "ports": {"http": port}}
        apply(
            mesh,
            entry("legacy.default.svc.cluster.local", **selected),
            document("WorkloadEntry", "one", one),
        )
        assert says(caller, "http://legacy/") == "200 legacy legacy"
        assert says(caller, "http://legacy.default/") == "200 legacy legacy.default"

        template = {"labels": {"app": "legacy"}, "ports": {"http": other}}
        two = document("WorkloadEntry", "two", {"address": "127.0.0.1"})
        two["metadata"]["annotations"] = {"istio.io/autoRegistrationGroup": "machines"}
        apply(mesh, document("WorkloadGroup", "machines", {"template": template}), two)
        wait_for("the group's workload is called too", lambda: says(caller, "http://legacy/") == "200 group legacy")


def test_an_instance_of_the_mesh_serves_a_host_that_selects_it(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    mesh.serve("service-b")
    selected: dict[str, Any] = {
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "service-b"}},
    }
    apply(mesh, entry("api.internal", **selected), entry("*.all.internal", **selected))
    wait_for("the instance's door takes the host", lambda: caller.call("http://api.internal/").status == 200)
    assert caller.call("http://one.all.internal/").status == 200
    with plain_server("outside") as port:
        one: dict[str, object] = {"address": "127.0.0.1", "labels": {"app": "service-b"}, "ports": {"http": port}}
        apply(mesh, document("WorkloadEntry", "one", one))
        wait_for("a process without a sidecar serves", lambda: "outside" in says(caller, "http://api.internal/"))
        wait_for("and the instance still", lambda: "outside" not in says(caller, "http://api.internal/"))


def test_hosts_outside_are_found_as_their_entry_says(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    with plain_server("outside") as port:
        endpoint = {"address": "127.0.0.1", "ports": {"http": port}}
        apply(
            mesh,
            entry("static.example.com", resolution="STATIC", endpoints=[endpoint]),
            entry("dns.example.com", resolution="DNS", endpoints=[{**endpoint, "address": "localhost"}]),
            entry("turns.example.com", resolution="DNS_ROUND_ROBIN", endpoints=[{**endpoint, "address": "localhost"}]),
            entry("*.some.example.com", resolution="STATIC", endpoints=[endpoint]),
            entry("*.localhost", port, resolution="DYNAMIC_DNS"),
        )
        for host in ("static.example.com", "dns.example.com", "turns.example.com", "one.some.example.com"):
            assert says(caller, f"http://{host}/") == f"200 outside {host}"
        assert says(caller, f"http://one.localhost:{port}/") == f"200 outside one.localhost:{port}"


def test_subsets_are_told_by_the_labels_of_endpoints(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    with plain_server("v1") as one, plain_server("v2") as two:
        endpoints = [
            {"address": "127.0.0.1", "ports": {"http": port}, "labels": {"version": version}}
            for version, port in (("v1", one), ("v2", two))
        ]
        subsets = [{"name": "v2", "labels": {"version": "v2"}}]
        to = [{"destination": {"host": "api.example.com", "subset": "v2"}}]
        apply(
            mesh,
            entry("api.example.com", resolution="STATIC", endpoints=endpoints),
            document("DestinationRule", "api", {"host": "api.example.com", "subsets": subsets}),
            document("VirtualService", "api", {"hosts": ["api.example.com"], "http": [{"route": to}]}),
        )
        assert {says(caller, "http://api.example.com/") for _ in range(6)} == {"200 v2 api.example.com"}


def test_with_registry_only_unknown_hosts_are_refused(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    with plain_server("outside") as port:
        assert says(caller, f"http://localhost:{port}/") == f"200 outside localhost:{port}"
        endpoint = {"address": "127.0.0.1", "ports": {"http": port}}
        apply(
            mesh,
            entry("api.example.com", resolution="STATIC", endpoints=[endpoint]),
            document("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
        )
        for url in (f"http://localhost:{port}/", f"http://127.0.0.1:{port}/", "http://www.example.org/"):
            wait_for(f"{url} is refused", partial(_is_refused, caller, url))
            assert "REGISTRY_ONLY" in caller.call(url).json()["error"]
        assert _connect(caller, f"127.0.0.1:{port}") == 502
        assert says(caller, "http://api.example.com/") == "200 outside api.example.com"


@pytest.mark.parametrize("mode", ["redirect", "seccomp", "netns"])
def test_a_captured_program_reaches_declared_hosts_by_their_names(mesh: Mesh, mode: str) -> None:
    skip_unless_possible(mode)
    mesh.up()
    with plain_server("outside") as port:
        endpoint = {"address": "127.0.0.1", "ports": {"http": port}}
        tcp = {"ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}], "resolution": "STATIC"}
        apply(mesh, entry("api.example.com", resolution="STATIC", endpoints=[endpoint]))
        program = puppet(mesh, "service-a", "--capture", mode)
        assert program.get("http://api.example.com/") == (200, "outside api.example.com")

        at = {"address": "127.0.0.1", "ports": {"tcp": port}}
        apply(
            mesh,
            document("ServiceEntry", "db", {"hosts": ["db.example.com"], "endpoints": [at], **tcp}),
            entry("example.com", resolution="STATIC", endpoints=[endpoint]),
        )
        known = "result = socket.gethostbyname('db.example.com').startswith('127.')"
        wait_for("the name is known", lambda: _or_none(lambda: program.do(known)))
        assert "outside db.example.com:9000" in program.get("http://db.example.com:9000/")[1]
        assert program.get("http://example.com/")[1] == "outside example.com"

        apply(mesh, document("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}))
        unknown = "import errno\ntry:\n    socket.getaddrinfo('www.example.org', 80); result = ''\n"
        unknown += "except socket.gaierror as error: result = error.errno == socket.EAI_NONAME"
        wait_for("other names are hidden", lambda: program.do(unknown) is True)
        assert program.get("http://api.example.com/")[1] == "outside api.example.com"


def _is_refused(caller: Caller, url: str) -> bool:
    return caller.call(url).status == 502


def _or_none(of: Callable[[], Any]) -> Any:
    try:
        return of()
    except AssertionError:
        return None


def _connect(caller: Caller, authority: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    try:
        connection.request("CONNECT", authority)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_first_call_waits_until_dns_has_answered(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    apply(mesh, *(entry(f"host{n}.invalid", resolution="DNS") for n in range(5)))
    for n in range(5):
        answer = caller.call(f"http://host{n}.invalid/")
        # Not that there is no such cluster, as Envoy says before it has looked a name up.
        assert (answer.status, answer.json()["reason"]) == (503, "no_healthy_upstream")


def test_a_declared_address_is_called_as_its_host(mesh: Mesh) -> None:
    """Also where nothing else may be called."""
    mesh.up()
    caller = mesh.caller()
    with plain_server("inside") as port:
        endpoint = {"address": "127.0.0.1", "ports": {"http": port}}
        ports = [{"number": 80, "name": "http", "protocol": "HTTP"}, {"number": 81, "name": "tcp", "protocol": "TCP"}]
        spec = {"hosts": ["api.example.com"], "addresses": ["192.0.2.7"], "ports": ports}
        apply(
            mesh,
            document("ServiceEntry", "api", {**spec, "resolution": "STATIC", "endpoints": [endpoint]}),
            document("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
        )
        wait_for("the address is known", lambda: says(caller, "http://192.0.2.7/") == "200 inside 192.0.2.7")
        assert says(caller, "http://192.0.2.7:80/") == "200 inside 192.0.2.7:80"
        assert says(caller, "http://api.example.com/") == "200 inside api.example.com"
        assert _connect(caller, "192.0.2.7:80") == 200
        assert caller.call("http://192.0.2.8/").status == 502


@pytest.mark.soak
def test_calls_go_on_while_a_host_is_found_in_other_ways(mesh: Mesh) -> None:
    """Under load: other policies, other resolutions, another control plane, another Envoy."""
    control_plane = mesh.up()
    caller = mesh.caller()
    calls, failed, enough = [0], [], threading.Event()

    def call() -> None:
        while not enough.is_set():
            answer = caller.call("http://api.example.com/")
            calls[0] += 1
            if answer.status != 200:
                failed.append((calls[0], answer.status, answer.body))

    def more() -> None:
        until = calls[0] + 100
        wait_for("100 more calls", lambda: calls[0] > until or failed)

    def limit(milliseconds: int) -> dict[str, object]:
        pool = {"tcp": {"connectTimeout": f"{milliseconds}ms"}}
        return document(
            "DestinationRule", "api", {"host": "api.example.com", "trafficPolicy": {"connectionPool": pool}}
        )

    with plain_server("outside") as port:

        def found(resolution: str, address: str) -> dict[str, object]:
            endpoint = {"address": address, "ports": {"http": port}}
            return entry("api.example.com", resolution=resolution, endpoints=[endpoint])

        apply(mesh, found("DNS", "localhost"))
        thread = threading.Thread(target=call)
        thread.start()
        try:
            changes = [limit(8000), found("STATIC", "127.0.0.1"), found("DNS", "localhost"), limit(9000)]
            for change in (*changes, found("DNS_ROUND_ROBIN", "localhost"), found("STATIC", "127.0.0.1")):
                more()
                apply(mesh, change)
            apply(mesh, found("DNS", "localhost"))
            control_plane.stop()
            more()
            mesh.up()
            wait_for(
                "the sidecar is back", lambda: any(p["id"] == caller.proxy and p["in_sync"] for p in mesh.proxies())
            )
            apply(mesh, limit(7000))
            done = mesh.tulle("proxy", caller.proxy, "restart")
            assert done.returncode == 0, done.stdout + done.stderr
            more()
        finally:
            enough.set()
            thread.join()
    assert not failed
