"""Ports are chosen so that they stay the agent's own."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tulle.agent.capture.mode import Prepared
from tulle.agent.config import AgentConfig, Port
from tulle.agent.console import Console
from tulle.agent.exits import AgentError
from tulle.agent.ports import reserve
from tulle.agent.serving import Serving
from tulle.agent.way import check_ports
from tulle.model.addresses import LOOPBACK


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


def listen(port: int, address: str = LOOPBACK, *, reuse_port: bool = False) -> socket.socket:
    return socket.create_server((address, port), reuse_port=reuse_port)


def test_the_ports_are_no_ephemeral_ones() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    with reserve([Port(80)]) as ports:
        for port in (ports.outbound, ports.inbound, ports.program):
            assert not low <= port <= high


def test_envoy_can_listen_on_its_ports_again_and_again_and_nobody_else_can() -> None:
    with reserve([Port(80)]) as ports:
        for port in (ports.outbound, ports.inbound):
            for _ in range(2):
                with listen(port, reuse_port=True), socket.create_connection((LOOPBACK, port), timeout=5):
                    pass
            for address in (LOOPBACK, "0.0.0.0"):
                with pytest.raises(OSError) as failure:
                    listen(port, address)
                assert failure.value.errno == errno.EADDRINUSE


def test_the_resolvers_port_is_held_and_can_be_served_on_again_and_again() -> None:
    with reserve([Port(80)]) as ports:
        for address in (LOOPBACK, "0.0.0.0"):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(type=kind) as other, pytest.raises(OSError) as failure:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    other.bind((address, ports.dns))
                assert failure.value.errno == errno.EADDRINUSE
        by_tcp = next(s for s in ports.dns_sockets if (s.family, s.type) == (socket.AF_INET, socket.SOCK_STREAM))
        for _ in range(2):  # one mode of capture after the other
            with by_tcp.dup() as served:
                served.listen()
                with socket.create_connection((LOOPBACK, ports.dns), timeout=5):
                    served.accept()[0].close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_block_is_passed_over_whose_port_for_the_resolver_is_taken(
    monkeypatch: pytest.MonkeyPatch, kind: socket.SocketKind
) -> None:
    with reserve([Port(80)]) as one, reserve([Port(80)]) as two:
        first, second = one.outbound, two.outbound
    monkeypatch.setattr("tulle.agent.ports._range", lambda: (first, second))
    with socket.socket(type=kind) as other:
        other.bind((LOOPBACK, first + 3))
        for _ in range(10):
            with reserve([Port(80)]) as ports:
                assert ports.outbound == second


def test_the_program_finds_its_port_free_once_it_is_released() -> None:
    with reserve([Port(80)]) as ports:
        with pytest.raises(OSError):
            socket.socket().bind((LOOPBACK, ports.program))
        ports.release_programs()
        for address in (LOOPBACK, "0.0.0.0"):
            listener = socket.socket()  # without SO_REUSEADDR
            with listener:
                listener.bind((address, ports.program))
                listener.listen()


def test_many_agents_at_once_get_ports_of_their_own() -> None:
    ports = [reserve([Port(80)]) for _ in range(100)]
    held = [port.__enter__() for port in ports]
    try:
        for one in held:
            one.release_programs()
        numbers = [number for one in held for number in (one.outbound, one.inbound, one.program, one.dns)]
        assert len(set(numbers)) == len(numbers)
    finally:
        for port in ports:
            port.__exit__(None, None, None)


def test_a_named_port_is_where_the_program_listens() -> None:
    with reserve([Port(80)]) as free:
        number = free.program
    with reserve([Port(80, number), Port(81, number)]) as ports:
        assert ports.program == number
        ports.release_programs()
        listen(number).close()
    with reserve([Port(80), Port(9090, number)]) as ports:
        assert ports.program != number


def test_a_taken_port_is_named_with_its_holder(taken: int) -> None:
    with reserve([Port(80, taken)]) as ports:
        assert f"port {taken} is taken by process {os.getpid()} (" in ports.taken[taken]
        assert ports.program == taken
        for mode in ("redirect", "proxy", "none"):
            with pytest.raises(AgentError, match=rf"port {taken} is taken by .*; stop that, or give another --port"):
                check_ports(ports, mode)
        for mode in ("auto", "seccomp", "netns"):  # two programs may have the same port
            check_ports(ports, mode)


def test_where_nobody_listens_is_held_as_long_as_the_agent_lives(taken: int) -> None:
    with reserve([Port(80, taken)]) as ports:
        ports.release_programs()
        with pytest.raises(OSError):
            socket.create_server((LOOPBACK, ports.nowhere))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, ports.nowhere))


@pytest.mark.parametrize("mode", ["seccomp", "netns"])
def test_no_call_is_led_to_a_strangers_port_before_the_program_has_its_own(taken: int, mode: str) -> None:
    given = (Port(8080, taken), Port(80, taken))
    config = AgentConfig("service-b", "/state", ("true",), "service-b", ports=given, capture=mode)
    with reserve(given) as ports:
        serving = Serving(config, ports, Console("text", "test"))
        serving.captured_by(mode, Prepared({}))
        assert serving.offer.targets == (ports.nowhere,)
        serving.hear("moved", f"{taken} 40000")
        assert serving.offer.targets == (40000,)


def test_a_port_of_a_namespace_is_nowhere_outside_of_it_until_it_is_moved() -> None:
    with reserve([Port(80)]) as free:
        given = (Port(80, free.program),)
    for mode, leads_there in (("netns", False), ("seccomp", True), ("redirect", True)):
        config = AgentConfig("service-b", "/state", ("true",), "service-b", ports=given, capture=mode)
        with reserve(given) as ports:
            assert (Serving(config, ports, Console("text", "test")).offer.targets == (ports.program,)) is leads_there


def test_a_port_that_was_used_a_moment_ago_is_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        number = listener.getsockname()[1]
        client = socket.create_connection((LOOPBACK, number))
        accepted, _ = listener.accept()
        accepted.close()  # the server closes first: its end lingers in TIME_WAIT
        client.close()
    with reserve([Port(80, number)]) as ports:
        assert ports.program == number


def test_a_held_port_is_nobody_elses_whatever_options_they_set() -> None:
    with reserve([Port(80)]) as free:
        number = free.program
    for port in (Port(80, number), Port(80)):
        with reserve([port]) as ports:
            for _ in range(3):
                for address in (LOOPBACK, "0.0.0.0"):
                    with pytest.raises(OSError) as failure:
                        listen(ports.program, address)  # with SO_REUSEADDR
                    assert failure.value.errno == errno.EADDRINUSE
                ports.release_programs()
                with listen(ports.program) as listener, socket.create_connection((LOOPBACK, ports.program)):
                    listener.accept()[0].close()  # lingers, but does not matter
                ports.hold_programs()


def test_a_port_that_somebody_has_when_it_is_to_be_held_again_is_left_to_them() -> None:
    with reserve([Port(80)]) as ports:
        ports.release_programs()
        with listen(ports.program):
            ports.hold_programs()
        ports.hold_programs()
        with pytest.raises(OSError):
            listen(ports.program)


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_sidecars_port_may_be_named_and_is_held_for_envoy_alone() -> None:
    port = free_port()
    with reserve([Port(80)], inbound=port) as ports:
        assert ports.inbound == port != ports.outbound
        with listen(port, reuse_port=True), socket.create_connection((LOOPBACK, port), timeout=5):
            pass
        with pytest.raises(OSError) as failure:
            listen(port)
        assert failure.value.errno == errno.EADDRINUSE
    with reserve([Port(80)], inbound=port):
        pass  # what is left of connections does not matter


def test_a_sidecars_port_that_is_taken_is_told_with_who_has_it(taken: int) -> None:
    with pytest.raises(AgentError) as failure, reserve([Port(80)], inbound=taken):
        pass
    assert str(failure.value).startswith(f"--inbound-port {taken} is taken by process {os.getpid()} (")
    assert str(failure.value).endswith("; name another, or let tulle choose one")
