"""Where servers of the program really listen: on loopback, at their port or at a free one if it is somebody else's."""

from __future__ import annotations

import errno
import socket
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

Ground = Any
needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def strangers_port() -> Iterator[int]:
    """A port on which another program listens, which would share it."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server:
        yield int(server.getsockname()[1])


def test_a_server_for_everybody_listens_on_loopback_only(ground: Ground, port: int) -> None:
    ran = ground.python(f"""
        import socket
        def told(family, host, only=None):
            s = socket.socket(family)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if only is not None: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            s.bind((host, {port})); print(*s.getsockname()[:2])
        told(2, "0.0.0.0")
        if socket.has_dualstack_ipv6():
            told(10, "::", 0)
            told(10, "::", 1)
            told(10, "::1", 1)
        told(2, "127.0.0.9")
    """)
    by_ipv6 = [f"::ffff:127.0.0.1 {port}", f"::1 {port}", f"::1 {port}"] if socket.has_dualstack_ipv6() else []
    assert ran.out.splitlines() == [f"127.0.0.1 {port}", *by_ipv6, f"127.0.0.9 {port}"]
    assert ran.said("moved") == [f"moved {port} {port}"]


def test_an_address_of_this_machine_becomes_loopback_as_well(ground: Ground, port: int, own_address: str) -> None:
    ran = ground.python(f"""
        import socket
        s = socket.create_server(("{own_address}", {port})); print(*s.getsockname())
        c = socket.create_connection(("{own_address}", {port})); print(*c.getpeername())
    """)
    assert ran.out.splitlines() == [f"127.0.0.1 {port}"] * 2


def test_port_0_is_any_but_on_loopback(ground: Ground) -> None:
    ran = ground.python("""
        import socket
        s = socket.create_server(("0.0.0.0", 0)); print(s.getsockname()[0], s.getsockname()[1] > 0)
        s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[0])
    """)
    assert ran.words == ["127.0.0.1", "True", "127.0.0.1"]
    assert ran.said("moved") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_a_port_of_somebody_else_is_moved_also_if_the_kernel_would_share_it(
    ground: Ground, strangers_port: int, host: str
) -> None:
    ran = ground.python(f"""
        import socket
        s = socket.create_server(("{host}", {strangers_port}), reuse_port=True); print(*s.getsockname())
    """)
    address, real = ran.words
    assert address == "127.0.0.1"
    assert int(real) != strangers_port
    assert ran.said("moved") == [f"moved {strangers_port} {real}"]


def test_workers_that_share_a_port_share_it_where_it_was_moved_to(ground: Ground, strangers_port: int) -> None:
    ran = ground.python(f"""
        import os, socket
        (reading, writing), (told, tell) = os.pipe(), os.pipe()
        for worker in range(3):
            if os.fork() == 0:
                s = socket.create_server(("0.0.0.0", {strangers_port}), reuse_port=True)
                os.close(writing); os.write(tell, b"%6d" % s.getsockname()[1])
                os.read(reading, 1)  # until all are there
                os._exit(0)
        for worker in range(3): print(os.read(told, 6).decode().strip())
        os.close(writing)
        for worker in range(3): os.wait()
    """)
    assert len(ran.words) == 3
    assert set(ran.words) == {ran.said("moved")[0].split()[2]}
    assert len(ran.said("moved")) == 1


def test_workers_that_share_a_free_port_keep_it_and_a_second_server_hears_that_it_is_taken(
    ground: Ground, port: int
) -> None:
    ran = ground.python(f"""
        import socket
        a = socket.create_server(("0.0.0.0", {port}), reuse_port=True)
        b = socket.create_server(("0.0.0.0", {port}), reuse_port=True)
        print(a.getsockname()[1], b.getsockname()[1])
        try: socket.create_server(("0.0.0.0", {port}))
        except OSError as error: print(error.errno)
    """)
    assert ran.words == [str(port), str(port), "98"]  # EADDRINUSE


@pytest.mark.parametrize(
    ("everywhere", "hosts"),
    [
        ("0.0.0.0", ("127.0.0.1", "localhost", "0.0.0.0")),
        pytest.param("::", ("127.0.0.1", "::1", "localhost", "0.0.0.0"), marks=needs_ipv6),
    ],
)
def test_a_program_that_calls_its_own_moved_port_reaches_itself(
    ground: Ground, strangers_port: int, everywhere: str, hosts: tuple[str, ...]
) -> None:
    ran = ground.python(f"""
        import socket
        a = socket.socket({"socket.AF_INET6" if ":" in everywhere else ""})
        a.bind(("{everywhere}", {strangers_port})); a.listen()
        for host in {hosts}:
            c = socket.create_connection((host, {strangers_port}))
            peer, _ = a.accept(); peer.send(b"me"); print(c.recv(2).decode())
        c = socket.socket(); c.setblocking(False); print(c.connect_ex(("127.0.0.1", {strangers_port})))
    """)
    assert ran.words == ["me"] * len(hosts) + ["0"]


def test_the_port_stays_moved_in_the_next_life_of_the_program(ground: Ground, strangers_port: int) -> None:
    code = f"""
        import socket
        print(socket.create_server(("0.0.0.0", {strangers_port})).getsockname()[1], flush=True)
    """
    with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
        captured.hear("exited")
        first = captured.read_line()
        captured.lines.clear()
        captured.say("start")
        captured.hear("exited")
        assert captured.read_line() == first


def test_a_client_that_binds_first_can_call_another_machine(ground: Ground, own_address: str) -> None:
    """Its bind looked like a server's. This machine's own address stands for another machine."""
    with socket.create_server((own_address, 0)) as server:
        ran = ground.python(f"""
            import os, socket
            for source in ("0.0.0.0", "{own_address}"):
                c = socket.socket()
                c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                c.settimeout(7)
                c.bind((source, 0))
                print(c.getsockname()[0], c.connect_ex(("{own_address}", {server.getsockname()[1]})), c.getsockname()[0],
                      c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), c.gettimeout(),
                      os.get_blocking(c.fileno()), os.get_inheritable(c.fileno()))
        """)
    assert ran.out.splitlines() == [f"127.0.0.1 0 {own_address} 1 7.0 False False"] * 2


def test_binds_that_are_not_of_tcp_are_left_alone(ground: Ground, port: int) -> None:
    ran = ground.python(f"""
        import socket
        u = socket.socket(type=socket.SOCK_DGRAM); u.bind(("0.0.0.0", {port})); print(*u.getsockname())
        x = socket.socket(socket.AF_UNIX); x.bind("\\0tulle-test-{port}"); print(x.getsockname()[1:6].decode())
        s = socket.socket(); s.bind(("0.0.0.0", 0))
        try: s.bind(("0.0.0.0", 0))
        except OSError as error: print(error.errno)
    """)
    assert ran.words == ["0.0.0.0", str(port), "tulle", "22"]


@pytest.fixture
def own_address() -> str:
    """An address of this machine that is not loopback; it need not reach anything."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.99", 9))  # sends nothing
        except OSError as error:
            if error.errno != errno.ENETUNREACH:
                raise
            pytest.skip("no network here")
        return str(probe.getsockname()[0])
