"""Where a program serves, found by itself in every mode: calls reach it there, and follow it when it moves."""

from __future__ import annotations

import os
import random
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from functools import partial

import pytest

from modes import skip_unless_possible
from puppets import Puppet, puppet, puppets
from running import Caller, Mesh, wait_for

NODE = "require('http').createServer((q, a) => a.end('by node')).listen(Number(process.argv[1]), '::1')"
APP = """
import os

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"by gunicorn"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"by uvicorn"})
"""


def free_ports(number: int) -> list[int]:
    """Below those that the kernel gives away, as a server's usually is."""
    found: list[int] = []
    while len(found) < number:
        port = random.SystemRandom().randrange(5000, 9999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def answer(caller: Caller, url: str) -> str:
    """Its body once it is answered with 200: a change of ports takes a moment."""
    return str(wait_for(f"{url} is answered", lambda: _body(caller, url)))


def _body(caller: Caller, url: str) -> str:
    got = caller.call(url)
    return got.body.decode() if got.status == 200 else ""


def _says(caller: Caller, url: str, text: str) -> bool:
    return _body(caller, url) == text


def _gets(program: Puppet, url: str, wanted: tuple[int, str]) -> bool:
    return program.get(url) == wanted


def test_a_program_is_called_where_it_listens_and_where_it_moves_to(mesh: Mesh, mode: str) -> None:
    mesh.up()
    program = puppet(mesh, "service-b", "--capture", mode)
    caller = mesh.caller()
    first, second = free_ports(2)
    program.do(f"server = serve('127.0.0.1', {first})")
    for port in (80, first):
        assert answer(caller, f"http://service-b:{port}/") == str(first)
    program.do(f"close_server(server); server = serve('127.0.0.1', {second})")
    for port in (second, 80):
        wait_for("calls follow it", partial(_says, caller, f"http://service-b:{port}/", str(second)))
    program.do("close_server(server); server = serve('127.0.0.1', int(os.environ['PORT']))")
    wait_for("calls follow it", partial(_says, caller, "http://service-b/", str(program.port)))


def test_several_ports_are_an_error_that_names_them(mesh: Mesh, mode: str) -> None:
    mesh.up()
    program = puppet(mesh, "service-b", "--capture", mode)
    ports = free_ports(2)
    program.do(f"servers = [serve('127.0.0.1', port) for port in {ports}]")
    assert program.running.wait() == 125
    for port in ports:
        assert f"--port {port}" in program.running.output
    assert "puppet.py" in program.running.output
    assert "told to end" in program.running.output
    assert not mesh.proxies()


@pytest.mark.parametrize("mode", ["seccomp", "netns"], indirect=True)
def test_two_programs_bind_the_same_port(mesh: Mesh, mode: str) -> None:
    mesh.up()
    (port,) = free_ports(1)
    both = puppets(mesh, ("service-b", "--capture", mode), ("service-c", "--capture", mode))
    for program in both:
        program.do(f"server = serve('127.0.0.1', {port})")
    for one, other in (both, reversed(both)):
        name = other.running.name
        url = f"http://{name}:{port}/"
        wait_for(f"{name} is called by the other", partial(_gets, one, url, (200, str(port))))


@pytest.mark.parametrize("mode", ["seccomp", "netns"], indirect=True)
def test_two_services_are_given_the_same_port(mesh: Mesh, mode: str) -> None:
    """Each answers as itself, and nobody is led to the other one before that."""
    mesh.up()
    (port,) = free_ports(1)
    options = ("--capture", mode, "--port", str(port))
    with socket.create_server(("127.0.0.1", port)):
        one, other = (puppet(mesh, name, *options) for name in ("service-b", "service-c"))
        wait_for("both are there", lambda: len(mesh.proxies()) == 2)
        assert mesh.healthy("service-b") == mesh.healthy("service-c") == 0
        for each in (one, other):
            each.do(f"server = serve('127.0.0.1', {port}, body={each.running.name!r})")
        caller = mesh.caller()
        for each in (one, other):
            for url in (f"http://{each.running.name}/", f"http://{each.running.name}:{port}/"):
                assert answer(caller, url) == each.running.name
        assert one.get(f"http://service-c:{port}/") == (200, "service-c")
        assert other.get(f"http://service-b:{port}/") == (200, "service-b")


def test_by_itself_a_mode_is_chosen_that_can_move_a_taken_port(mesh: Mesh) -> None:
    skip_unless_possible("seccomp")
    mesh.up()
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as stranger:
        program = puppet(mesh, "service-b", "--port", str(port))
        assert f"by redirect is not possible here: port {port} is taken by process" in program.running.output
        assert "this mode can't move it" in program.running.output
        stranger.close()
        program.do(f"server = serve('127.0.0.1', {port})")  # which is free now, and so not moved
        assert answer(mesh.caller(), "http://service-b/") == str(port)


def test_servers_with_workers_and_one_that_listens_on_ipv6_loopback_alone(mesh: Mesh, mode: str) -> None:
    mesh.up()
    (mesh.folder / "app.py").write_text(APP)
    own, nodes = free_ports(2)
    gunicorn = f"cd {mesh.folder} && exec {sys.executable} -m gunicorn -w 2 -b 127.0.0.1:$PORT app:wsgi"
    uvicorn = ["--workers", "2", "--port", str(own), "--app-dir", str(mesh.folder), "app:asgi"]
    options = ("--capture", mode)
    mesh.run("by-gunicorn", "sh", "-c", gunicorn, options=options)
    mesh.run("by-uvicorn", sys.executable, "-m", "uvicorn", *uvicorn, options=options)
    names = ["gunicorn", "uvicorn"]
    if shutil.which("node") and socket.has_ipv6:
        mesh.run("by-node", "node", "-e", NODE, str(nodes), options=options)
        names.append("node")
    caller = mesh.caller()
    for name in names:
        assert answer(caller, f"http://by-{name}/") == f"by {name}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_named_port_is_guarded_where_the_program_listens_and_nowhere_else(mesh: Mesh) -> None:
    skip_unless_possible("redirect")
    mesh.up()
    [port] = free_ports(1)
    program = puppet(mesh, "service-b", "--capture", "redirect", "--port", f"80:{port}")
    with _OtherServer(("127.0.0.2", port), _Other) as other:
        threading.Thread(target=other.serve_forever).start()
        program.do(f"server = serve('127.0.0.1', {port})")
        wait_for("it is in rotation", lambda: mesh.healthy("service-b"))
        assert _as_another_user("127.0.0.2", port) == "another program"
        assert str(port) not in _as_another_user("127.0.0.1", port)
        other.shutdown()
    program.do(f"close_server(server); server = serve('0.0.0.0', {port})")
    wait_for("it is guarded everywhere", lambda: str(port) not in _as_another_user("127.0.0.9", port))
    assert answer(mesh.caller(), "http://service-b/") == str(port)


class _OtherServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


class _Other(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nanother program")


def _as_another_user(address: str, port: int) -> str:
    called = ["curl", "-s", "--max-time", "10", f"http://{address}:{port}/"]
    return subprocess.run(called, user=65534, stdout=subprocess.PIPE, text=True, check=False).stdout
