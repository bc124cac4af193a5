"""What a captured program may do to its capture: bursts, floods, no descriptors left, other users, daemons, a dead resolver."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from denials import AN_ORDINARY_USER, needs_root, with_file
from modes import MODES
from neighbours import Neighbour
from puppets import Puppet, puppet
from running import Mesh, wait_for

TRANSPARENT = [mode for mode in MODES if mode != "proxy"]
captured = pytest.mark.parametrize("mode", TRANSPARENT, indirect=True)

BURST = """
from concurrent.futures import ThreadPoolExecutor
def one(number):
    with socket.create_connection(("service-b", 80), 60) as connection:
        connection.sendall(b"GET /data HTTP/1.1\\r\\nHost: service-b\\r\\nConnection: close\\r\\n\\r\\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer[:12].decode()
with ThreadPoolExecutor(50) as threads:
    said = list(threads.map(one, range({calls})))
result = {{each: said.count(each) for each in set(said)}}
"""
# Non-blocking, all at once, each with its answer to come.
IN_FLIGHT = """
import errno, resource, select
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
(address,) = resolve("service-b")
sockets = []
for _ in range({sockets}):
    each = socket.socket()
    each.setblocking(False)
    said = each.connect_ex((address, 80))
    assert said in (0, errno.EINPROGRESS), said
    sockets.append(each)
for each in sockets:
    select.select([], [each], [], 60)
    said = each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert said == 0, said
answers = []
for each in sockets:
    each.setblocking(True)
    each.settimeout(60)
    each.sendall(b"GET /data HTTP/1.1\\r\\nHost: service-b\\r\\nConnection: close\\r\\n\\r\\n")
for each in sockets:
    answers.append(each.recv(12))
    each.close()
result = answers.count(b"HTTP/1.1 200")
"""
NO_DESCRIPTORS = """
import errno, resource
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
(address,) = resolve("service-b")
kept, said = [], None
connection = socket.socket()
connection.settimeout(30)
while True:
    try:
        kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        said = error.errno
        break
# It needs none for a socket that it has.
connected = connection.connect_ex((address, 80))
more = []
try:
    for _ in range(64):  # something else of the program may have closed one meanwhile
        more.append(socket.socket())
except OSError as error:
    another = error.errno
for each in kept:
    os.close(each)
for each in more:
    each.close()
connection.close()
resource.setrlimit(resource.RLIMIT_NOFILE, before)
result = [said == errno.EMFILE, connected, another == errno.EMFILE]
"""
AS_NOBODY = """
def work():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return [os.getuid(), get("http://service-b/data")[0]]
result = in_child(work)
"""
DAEMON = """
def work():
    os.setsid()
    if os.fork() == 0:
        open({path!r}, "w").write(str(get("http://service-b/data")[0]))
        os._exit(0)
    return "left alone"
result = in_child(work)
"""
HIDDEN = """
import ctypes
def work():
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    return get("http://service-b/data", 10)[0]
result = in_child(work)
"""
FLOOD = """
import struct
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.connect(({nameserver!r}, 53))
asking.setblocking(False)
for number in range(3000):
    label = b"flood-%d" % number
    name = bytes([len(label)]) + label + b"\\x07example\\x03org\\0"
    try:
        asking.send(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + name + b"\\0\\1\\0\\1")
    except BlockingIOError:
        pass
    except ConnectionRefusedError:
        pass
"""


@pytest.fixture(autouse=True)
def neighbour() -> Iterator[Neighbour]:
    """Another program of the machine, and all that is the machine's own, is as it was."""
    there = Neighbour()
    with there.untouched():
        yield there


@pytest.fixture
def program(mesh: Mesh, mode: str) -> Puppet:
    """One that is captured, beside a service that it calls."""
    mesh.up()
    mesh.serve("service-b", "b1")
    made = puppet(mesh, "service-a", "--capture", mode)
    assert made.get("http://service-b/data")[0] == 200
    return made


@captured
def test_bursts_and_a_thousand_sockets_in_flight(program: Puppet, neighbour: Neighbour) -> None:
    assert program.do(BURST.format(calls=600), 300) == {"HTTP/1.1 200": 600}
    neighbour.check()
    assert program.do(IN_FLIGHT.format(sockets=1000), 300) == 1000
    assert program.get("http://service-b/data")[0] == 200


@captured
def test_descriptors_users_and_daemons_of_the_program_are_its_own_affair(mesh: Mesh, program: Puppet) -> None:
    """Out of descriptors; without a parent; another user's; and, as root can look into everything, a hidden one."""
    assert program.do(NO_DESCRIPTORS) == [True, 0, True]
    assert program.get("http://service-b/data")[0] == 200
    if os.geteuid() == 0:
        assert program.do(AS_NOBODY) == [65534, 200]
        assert program.do(HIDDEN) == 200
    assert program.do(DAEMON.format(path=str(mesh.folder / "daemon"))) == "left alone"
    wait_for("the daemon is answered", lambda: (mesh.folder / "daemon").exists())
    wait_for("it was served", lambda: (mesh.folder / "daemon").read_text() == "200")


@captured
def test_a_dead_nameserver_and_a_flood_delay_no_name_of_the_mesh(mesh: Mesh, mode: str) -> None:
    """Other names fail, after a while, as they would without the mesh."""
    nameserver = "127." + ".".join(str(1 + byte % 60) for byte in os.urandom(3))
    resolv_conf = mesh.folder / "resolv.conf"
    resolv_conf.write_text(f"nameserver {nameserver}\noptions timeout:1 attempts:4\n")
    prefix = with_file(Path("/etc/resolv.conf"), resolv_conf)
    needs_root(*prefix)
    mesh.up()
    mesh.serve("service-b", "b1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((nameserver, 53))  # it takes every question, and answers none
        with mesh.behind(*prefix):
            program = puppet(mesh, "service-a", "--capture", mode)
        assert program.get("http://service-b/data")[0] == 200
        assert isinstance(program.do("result = resolve('www.example.org')"), str)
        program.do(FLOOD.format(nameserver=nameserver))
        found = program.do("result = [resolve('service-b') for _ in range(20)]")
        assert found == [found[0]] * 20
        assert isinstance(found[0], list), found[0]
        assert program.get("http://service-b/data")[0] == 200
    assert program.get("http://service-b/data")[0] == 200  # now questions are refused at once
    assert isinstance(program.do("result = resolve('other.example.org')"), str)


@pytest.mark.parametrize("mode", ["seccomp", "netns"], indirect=True)
def test_a_process_that_nobody_may_look_into_is_captured_or_told_of(mesh: Mesh, mode: str) -> None:
    """An ordinary user's, as an SSH agent is one (prctl(2), PR_SET_DUMPABLE); others of the program are not harmed."""
    needs_root(*AN_ORDINARY_USER)
    with mesh.behind(*AN_ORDINARY_USER):
        mesh.up()
        mesh.serve("service-b", "b1")
        program = puppet(mesh, "service-a", "--capture", mode)
    said = program.do(HIDDEN)
    if mode == "seccomp":
        assert "Error" in said
        assert "can't be looked into, so it can't call the mesh" in program.running.output
    else:
        assert said == 200
    assert program.get("http://service-b/data")[0] == 200
