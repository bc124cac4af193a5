"""What a caller reaches by which name, and what it is told otherwise."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from running import Mesh, wait_for


@pytest.fixture
def outside() -> Iterator[int]:
    """A host outside of the mesh."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"outside " + self.headers["Host"].encode())

        def do_CONNECT(self) -> None:
            self.send_error(405)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_every_name_of_a_service_reaches_it_and_ports_are_kept_apart(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    mesh.serve("service-c", "c1", options=("--namespace", "shop"))
    caller = mesh.caller()
    for name in (
        "service-b",
        "Service-B",
        "service-b:80",
        "service-b.default",
        "service-b.default.svc:80",
        "service-b.default.svc.cluster.local",
        "service-b.default.svc.cluster.local.",
    ):
        answer = caller.call(f"http://{name}/data")
        assert (answer.status, answer.json()["instance"]) == (200, "b1"), name
    assert caller.call("http://service-c.shop/data").json()["instance"] == "c1"
    wrong_port = caller.call("http://service-b:8080/data")
    assert wrong_port.status == 503
    assert wrong_port.json()["error"] == "service service-b.default has no port 8080; its ports: 80"
    itself = caller.call("http://service-a/").json()["error"]
    assert itself == "service service-a.default has no port 80; its ports: none: no instance of it has begun to serve"


def test_who_answered_is_proved_and_told_on_request(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1", options=("--service-account", "robot"))
    caller = mesh.caller()
    answer = caller.call(
        "http://service-b/data", headers={"x-tulle-explain": "1", "x-forwarded-client-cert": "URI=spiffe://forged"}
    )
    assert answer.headers["x-tulle-peer"] == "spiffe://cluster.local/ns/default/sa/robot"
    assert "x-tulle-peer" not in caller.call("http://service-b/data").headers
    seen = {key.lower(): value for key, value in answer.json()["headers"].items()}
    assert "x-tulle-explain" not in seen
    assert "forged" not in seen["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/service-a" in seen["x-forwarded-client-cert"]


def test_an_unknown_name_gets_a_quick_clear_answer_and_is_served_once_it_exists(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    bare = caller.call("http://service-b/data")
    assert bare.status == 503
    assert bare.json()["error"] == "neither the mesh nor DNS knows the host service-b"
    full = caller.call("http://nosuch.default.svc.cluster.local/data")
    assert (full.status, full.json()["error"]) == (503, "the mesh has no service nosuch.default")
    mesh.serve("service-b", "b1")
    wait_for("the name is served", lambda: caller.call("http://service-b/data").status == 200)


def test_hosts_outside_of_the_mesh_pass_through(mesh: Mesh, outside: int) -> None:
    mesh.up()
    caller = mesh.caller()
    assert caller.call(f"http://localhost:{outside}/x").body == f"outside localhost:{outside}".encode()
    assert caller.call(f"http://127.0.0.1:{outside}/x").body == f"outside 127.0.0.1:{outside}".encode()
    tunnel = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    tunnel.set_tunnel("127.0.0.1", outside)
    tunnel.request("GET", "/tunnelled")
    assert tunnel.getresponse().read() == f"outside 127.0.0.1:{outside}".encode()
    tunnel.close()


def test_calls_in_a_tunnel_are_balanced_one_by_one(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    mesh.serve("service-b", "b2")
    caller = mesh.caller()
    connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    connection.set_tunnel("service-b", 80)
    answered = set()
    for _ in range(40):
        connection.request("GET", "/")
        answered.add(json.loads(connection.getresponse().read())["instance"])
    connection.close()
    assert answered == {"b1", "b2"}


def test_a_service_without_a_live_instance_says_so_and_never_falls_through_to_dns(mesh: Mesh) -> None:
    mesh.up()
    instance = mesh.serve("service-b", "b1")
    caller = mesh.caller()
    assert caller.call("http://service-b/data").status == 200
    assert instance.stop() == 143
    answer = wait_for("nobody serves", lambda: (a := caller.call("http://service-b/data")).status == 503 and a)
    assert answer.json()["error"].startswith("no instance of service-b is healthy now")
    mesh.serve("service-b", "b2")
    wait_for("it is served again", lambda: caller.call("http://service-b/data").status == 200)


def test_a_program_is_in_rotation_only_while_it_is_healthy(mesh: Mesh) -> None:
    mesh.up()
    sick = mesh.folder / "sick"
    mesh.serve("service-b", "b1")
    mesh.serve("service-b", "b2", options=("--health", "/healthz"), SICK_FILE=str(sick))
    sick.touch()
    wait_for("one is out", lambda: mesh.healthy("service-b") == 1)
    caller = mesh.caller()
    assert {caller.call("http://service-b/data").json()["instance"] for _ in range(20)} == {"b1"}
    sick.unlink()
    wait_for("it is back", lambda: mesh.healthy("service-b") == 2)
    wait_for(
        "both answer", lambda: len({caller.call("http://service-b/data").json()["instance"] for _ in range(20)}) == 2
    )


def test_load_is_shared_evenly(mesh: Mesh) -> None:
    mesh.up()
    names = ["b1", "b2", "b3"]
    for name in names:
        mesh.serve("service-b", name)
    with mesh.caller().load("http://service-b/data") as load:
        load.more(3000)
    assert not load.failed
    even = sum(load.by_instance.values()) / len(names)
    for name in names:
        assert abs(load.by_instance[name] - even) < 0.1 * even, load.by_instance


def test_what_a_service_calls_is_there_before_its_next_instance_starts(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    first = mesh.caller()
    assert first.call("http://service-b/data").status == 200
    wait_for("it is remembered", lambda: _routes(mesh, first.proxy))
    second = mesh.caller()
    assert _routes(mesh, second.proxy) == _routes(mesh, first.proxy)


def _routes(mesh: Mesh, proxy: str) -> list[str]:
    routes = mesh.json("proxy", proxy, "routes") or []
    return sorted(r["name"].partition("/")[2] for r in routes if "service-b" in r["name"] and r["state"] == "acked")


def test_a_first_call_to_a_slow_service_is_not_cut_off_and_large_bodies_pass(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    started = time.monotonic()
    assert caller.call("http://service-b/data?sleep=3").status == 200
    assert time.monotonic() - started > 3
    body = b"x" * 5_000_000
    answer = caller.call("http://service-b/data", "POST", body)
    assert (answer.status, answer.json()["received"]) == (200, len(body))
