"""The program's port on a machine with other users, who may want it for themselves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tulle.agent.config import Port
from tulle.agent.ports import reserve

Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., Any]
NOBODY = 65534
TAKES = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
sys.stdin.read()
"""


@contextmanager
def squatter(port: int) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    words = [sys.executable, "-c", TAKES, str(port)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "listens\n"
        yield
        other.communicate()


@pytest.fixture
def port() -> int:
    with reserve([Port(80)]) as ports:
        return ports.program


def is_taken(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


async def test_who_takes_the_port_before_the_program_gets_no_calls_and_the_program_does_later(
    control_plane: Any, start_agent: StartAgent, port: int, server: str, until: Until
) -> None:
    when_told = f"echo starting; read _ <&3; PORT={port} exec {sys.executable} {server}"
    told, tells = os.pipe()
    shell = f"exec 3</proc/{os.getpid()}/fd/{told}; {when_told}"
    agent = start_agent("sh", "-c", shell, ports=(Port(80, port),))
    await agent.says("starting\n")
    with squatter(port):
        said = await agent.says(f"port {port} is taken by process ")
        assert ", which is not this program's" in said
        assert "healthy" not in control_plane.healths
    os.write(tells, b"now\n")
    await until(lambda: "healthy" in control_plane.healths)
    assert "is held by" not in agent.text
    os.close(told)
    os.close(tells)


async def test_the_port_stays_the_programs_while_it_is_to_be_started_again(
    control_plane: Any, start_agent: StartAgent, port: int, until: Until
) -> None:
    agent = start_agent("sh", "-c", "exit 3", ports=(Port(80, port),), restart="always")
    await agent.says("starting it again in 1 s")
    await until(lambda: is_taken(port))
