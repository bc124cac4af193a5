"""Programs on several machines in one mesh: who gets in, how they call each other, and what the network sees of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machines import Machine, machines
from puppets import Puppet, puppet
from running import PROGRAMS, Mesh, Running, wait_for
from tulle.agent.exits import AGENT_FAILED
from tulle.model.join_token import JoinToken, decode, encode

PLAIN = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
connection.sendall(b"GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n")
try:
    print(connection.recv(100))
except ConnectionResetError:
    print(b"")
"""
Site = tuple[Mesh, Machine, Machine, Machine]


@pytest.fixture
def site(tmp_path: Path, mesh: Mesh) -> Iterator[Site]:
    """Three machines; the first is the control plane's."""
    with machines(tmp_path, 3) as (first, second, third):
        try:
            yield mesh, first, second, third
        finally:
            mesh.close()


def control_plane(mesh: Mesh, machine: Machine) -> Running:
    with mesh.behind(*machine.prefix):
        return mesh.up("--listen", machine.address)


def token(mesh: Mesh, service: str, *options: str) -> str:
    return str(mesh.json("token", "create", "--service", service, *options)["token"])


def joined(mesh: Mesh, machine: Machine, service: str, join: str) -> Puppet:
    """A program on that machine."""
    with mesh.behind(*machine.prefix):
        return puppet(mesh, service, "--capture", "proxy", TULLE_DATA=str(machine.data), TULLE_JOIN=join)


def serving(mesh: Mesh, program: Puppet, service: str) -> None:
    program.do(f"serve('127.0.0.1', int(os.environ['PORT']), {service!r})")
    wait_for(f"{service} is healthy", lambda: mesh.healthy(service))


def answers(program: Puppet, service: str) -> bool:
    status, body = program.get(f"http://{service}/")
    return status == 200 and service in body


def refused(running: Running) -> str:
    """What an agent says that is not let in."""
    assert running.wait() == AGENT_FAILED
    return running.output


def test_programs_on_two_machines_call_each_other_and_nobody_else_gets_in(site: Site) -> None:
    mesh, first, second, third = site
    up = control_plane(mesh, first)
    web, api = joined(mesh, second, "web", token(mesh, "web")), joined(mesh, third, "api", token(mesh, "api"))
    serving(mesh, web, "web")
    serving(mesh, api, "api")
    assert answers(web, "api")
    assert answers(api, "web")

    # What is open to others, on each machine: the two doors of the control plane, and each sidecar's own.
    proxies = {each["service"]: each for each in mesh.proxies()}
    status = mesh.json("status")
    assert open_to_others(first) == {(first.address, 7443), (first.address, status["xds_port"])}
    for machine, service in ((second, "web"), (third, "api")):
        assert proxies[service]["address"] == machine.address
        assert open_to_others(machine) == {(machine.address, proxies[service]["inbound_port"])}

    # In plain text a sidecar's door says nothing.
    at = (second.address, proxies["web"]["inbound_port"])
    assert third.does(sys.executable, "-c", PLAIN, *map(str, at)) == "b''\n"

    # Nothing secret is to be seen of the processes, nor of their folders.
    for program in (web, api):
        for process in (program.running.pid, program.pid):
            for what in ("cmdline", "environ"):
                assert b"tulle1." not in Path(f"/proc/{process}/{what}").read_bytes()
    assert all("tulle1." not in each.output for each in mesh.running)

    # The control plane may go and come back.
    assert up.stop() == 0
    assert answers(web, "api")
    again = control_plane(mesh, first)
    wait_for("both are back", lambda: mesh.healthy("web") and mesh.healthy("api"))
    wait_for("both are in sync", lambda: all(each["in_sync"] for each in mesh.proxies()))
    assert answers(api, "web")
    assert "refused" not in again.output


def test_an_agent_that_may_not_join_is_told_why(site: Site) -> None:
    mesh, first, second, _ = site
    with mesh.behind(*first.prefix):
        alone = mesh.up()
    assert open_to_others(first) == set(), "nothing listens beyond loopback unless told"
    assert "--listen ADDRESS" in mesh.tulle("token", "create", "--service", "web").stderr
    alone.stop()
    control_plane(mesh, first)

    def tried(join: str, service: str = "web") -> str:
        run = ("run", service, "--capture", "proxy", "--", "/bin/sleep", "60")
        return refused(second.start(mesh, service, *run, TULLE_JOIN=join))

    good = token(mesh, "web", "--uses", "2")
    assert "the service can't be api: token" in tried(good, "api")
    wrong = decode(good)
    assert "is not the control plane of the join token: its root certificate has the fingerprint" in tried(
        encode(JoinToken(wrong.addresses, ("0" * 64,), wrong.id, wrong.secret))
    )
    assert "has no join token" in tried(encode(JoinToken(wrong.addresses, wrong.fingerprints, wrong.id, "A" * 43)))
    expired = token(mesh, "web", "--ttl", "1s")
    revoked = decode(token(mesh, "web"))
    assert mesh.tulle("token", "revoke", revoked.id).returncode == 0
    assert "it was revoked" in tried(encode(revoked))
    assert "has expired at" in tried(expired)

    # A start is a use.
    for _ in range(2):
        joined(mesh, second, "web", good).running.stop()
    assert "is used up" in tried(good)
    assert {each["used"] for each in mesh.json("token", "list") if each["uses"] == 2} == {2}


@pytest.mark.parametrize("seconds", [-180, 180], ids=["behind", "ahead"])
def test_a_control_planes_clock_may_be_minutes_off(site: Site, seconds: int) -> None:
    mesh, first, second, third = site
    with mesh.behind(*first.prefix):
        program = [sys.executable, str(PROGRAMS / "skewed.py"), str(seconds), str(mesh.data), first.address, "7443"]
        log = mesh.folder / "skewed.log"
        running = Running("skewed", [*mesh.prefix, *program], log, {**mesh.env, "PYTHONPATH": ":".join(sys.path)})
        mesh.running.append(running)
    mesh.wait_up(running)
    web, api = joined(mesh, second, "web", token(mesh, "web")), joined(mesh, third, "api", token(mesh, "api"))
    serving(mesh, web, "web")
    serving(mesh, api, "api")
    assert answers(web, "api")
    assert answers(api, "web")


def open_to_others(machine: Machine) -> set[tuple[str, int]]:
    """Where something listens in TCP that is not on loopback."""
    found = set()
    for file in ("tcp", "tcp6"):
        for line in machine.does("cat", f"/proc/net/{file}").splitlines()[1:]:
            place, state = line.split()[1], line.split()[3]
            address, _, port = place.partition(":")
            if state == "0A":  # TCP_LISTEN
                found.add((_address(address), int(port, 16)))
    return {(address, port) for address, port in found if not re.match(r"127\.|::1$", address)}


def _address(text: str) -> str:
    """Of /proc/net: words of the machine's own order. IPv4 within IPv6 as IPv4."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    if len(words) == 1 or words[:3] == [bytes(4), bytes(4), b"\0\0\xff\xff"]:
        return ".".join(map(str, words[-1]))
    return "::1" if b"".join(words) == bytes(15) + b"\1" else b"".join(words).hex()
