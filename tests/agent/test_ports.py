"""Ports are chosen so that they stay the agent's own."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tulle.agent.config import Port
from tulle.agent.exits import AgentError
from tulle.agent.ports import reserve
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
        numbers = [number for one in held for number in (one.outbound, one.inbound, one.program)]
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
    with pytest.raises(AgentError) as failure, reserve([Port(80, taken)]):
        pass
    assert f"port {taken} is taken by process {os.getpid()} (" in str(failure.value)
    assert "--port" in str(failure.value)


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
