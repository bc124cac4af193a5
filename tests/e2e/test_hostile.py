"""What a program, a stranger on the same machine or the outside could try."""

from __future__ import annotations

import signal
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from modes import skip_unless_possible
from running import Mesh, children, envoy_of, kill_program, wait_for


def test_a_call_to_the_outbound_port_itself_ends_at_once(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    for host in (f"127.0.0.1:{caller.port}", f"localhost:{caller.port}", f"LocalHost:{caller.port}"):
        for target in ("/", f"http://{host}/"):
            answer = caller.call(target, headers={"Host": host})
            assert (answer.status, answer.headers["content-type"]) == (508, "application/json")
    assert len(list(Path(f"/proc/{envoy_of(caller.running)}/fd").iterdir())) < 100


def test_who_answered_cannot_be_forged(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    explained = {"x-tulle-explain": "1"}
    for method in ("GET", "POST"):
        answer = caller.call("http://service-b/data?header=x-tulle-peer,x-tulle-not-served", method, headers=explained)
        assert answer.headers.get("x-tulle-peer") in (None, "spiffe://cluster.local/ns/default/sa/service-b")
        assert "x-tulle-not-served" not in answer.headers
        assert "x-tulle-explain" not in {key.lower() for key in answer.json()["headers"]}
    seen: list[str | None] = []

    class Outside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("x-tulle-explain"))
            self.send_response(200)
            self.send_header("x-tulle-peer", "spiffe://cluster.local/ns/default/sa/service-b")
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answer = caller.call(f"http://127.0.0.1:{server.server_port}/", headers=explained)
    server.shutdown()
    server.server_close()
    assert answer.status == 200
    assert "x-tulle-peer" not in answer.headers
    assert seen == [None]


def test_a_large_post_goes_elsewhere_when_a_program_has_just_died(mesh: Mesh) -> None:
    mesh.up()
    victim = mesh.serve("service-b", "b1")
    mesh.serve("service-b", "b2")
    caller = mesh.caller()
    body = b"x" * 4_000_000
    assert caller.call("http://service-b/data", "POST", body).status == 200
    victim.signal(signal.SIGSTOP)  # nobody tells that the program is dead
    kill_program(victim)
    answers = [caller.call("http://service-b/data", "POST", body) for _ in range(12)]
    assert {a.status for a in answers} == {200}, [a.body for a in answers if a.status != 200][:2]
    victim.signal(signal.SIGCONT)


def test_sidecars_are_back_soon_after_a_long_absence_of_the_control_plane(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    mesh.caller()
    mesh.running[0].kill()
    time.sleep(25)  # long enough for Envoy's own pauses to have grown, had they been left to it
    mesh.up()
    back = time.monotonic()
    wait_for("all are in sync", lambda: all(p["in_sync"] for p in mesh.proxies()) and len(mesh.proxies()) == 2)
    assert time.monotonic() - back < 8


def test_a_host_scan_costs_no_service(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    for number in range(300):
        assert caller.call("/", headers={"Host": f"-bad{number}"}).status == 503
    asked = next(p["names"] for p in mesh.proxies() if p["id"] == caller.proxy)
    assert asked == 0, "what can be no mesh name is not asked for"
    assert caller.call("http://service-b/data").status == 200
    assert children(caller.running.pid)


def test_nobody_but_the_program_gets_into_the_door_of_a_captured_one(mesh: Mesh) -> None:
    """Anybody on the machine can write a PROXY header; the sidecar takes those with the right source alone."""
    mesh.up()
    mesh.serve("service-b", "b1")
    skip_unless_possible("seccomp")
    mesh.run("service-a", "sleeper.py", options=("--capture", "seccomp"))
    proxy = wait_for("it is there", lambda: next((p for p in mesh.proxies() if p["service"] == "service-a"), None))
    assert proxy["capture"] == "seccomp"
    wait_for("its sidecar is in sync", lambda: all(p["in_sync"] for p in mesh.proxies()))
    service = mesh.service("service-b")
    assert service
    request = b"GET /data HTTP/1.1\r\nHost: service-b\r\nConnection: close\r\n\r\n"
    for source in ("127.0.0.1", "127.1.2.3"):
        addresses = socket.inet_aton(source) + socket.inet_aton(service["vip"]) + struct.pack(">HH", 4567, 80)
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + addresses
        with socket.create_connection(("127.0.0.1", proxy["outbound_port"]), timeout=30) as stranger:
            stranger.sendall(header + request)
            assert not answer_of(stranger)


def answer_of(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""
