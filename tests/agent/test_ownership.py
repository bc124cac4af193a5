"""Who listens where the program should: real sockets of the program, of others, and of other users."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tulle.agent.config import Port
from tulle.agent.console import Console
from tulle.agent.ownership import Ownership
from tulle.agent.ports import reserve

NOBODY = 65534
LISTENS = """
import os, socket, sys
address, port, user = sys.argv[1], *map(int, sys.argv[2:])
if user:
    os.setresuid(user, user, user)
server = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
print("listens", flush=True)
sys.stdin.read()
"""
Listen = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def port() -> Iterator[int]:
    with reserve([Port(80)]) as ports:
        ports.release_programs()
        yield ports.program


@pytest.fixture
def listen() -> Iterator[Listen]:
    """A shell that has started one who listens; the shell stands in for the reaper where that is the program."""
    started: list[subprocess.Popen[str]] = []

    def start(port: int, address: str = "127.0.0.1", user: int = 0) -> subprocess.Popen[str]:
        if user and os.geteuid() != 0:
            pytest.skip("only root can be another user")
        words = [sys.executable, "-c", LISTENS, address, str(port), str(user)]
        shell = subprocess.Popen(
            ["sh", "-c", '"$@"; :', "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(shell)
        assert shell.stdout and shell.stdout.readline() == "listens\n"
        return shell

    yield start
    for shell in started:
        shell.communicate()


@pytest.fixture
def nothing() -> Iterator[int]:
    """A process that stands in for the reaper of a program that has ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as alone:
        yield alone.pid
        alone.communicate()


def looking(root: int) -> tuple[Ownership, io.StringIO]:
    said = io.StringIO()
    return Ownership(root, Console("text", "a-000001", said)), said


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_what_the_program_opens_is_its_own(listen: Listen, port: int, address: str) -> None:
    ownership, said = looking(listen(port, address).pid)
    assert [ownership.stranger("127.0.0.1", port) for _ in range(2)] == ["", ""]
    assert not said.getvalue()


def test_a_program_that_has_changed_its_user_is_itself(listen: Listen, port: int) -> None:
    ownership, said = looking(listen(port, user=NOBODY).pid)
    assert ownership.stranger("127.0.0.1", port) == ""
    assert not said.getvalue()


def test_another_users_process_is_a_stranger_and_is_named_once(listen: Listen, port: int) -> None:
    with reserve([Port(80)]) as ports:
        ports.release_programs()
        ownership, said = looking(listen(ports.program).pid)
    listen(port, user=NOBODY)
    for _ in range(2):
        problem = ownership.stranger("127.0.0.1", port)
        assert f"port {port} is taken by process " in problem
        assert sys.executable in problem
        assert problem.endswith(", which is not this program's")
    assert said.getvalue().count("is taken by") == 1


def test_a_strangers_socket_that_hides_nothing_of_the_programs_does_not_matter(listen: Listen, port: int) -> None:
    ownership, _ = looking(listen(port).pid)
    listen(port, "127.0.0.2", NOBODY)
    assert ownership.stranger("127.0.0.1", port) == ""
    assert ownership.stranger("127.0.0.2", port)


def test_what_the_users_own_daemon_opens_may_be_for_the_program_and_is_told(listen: Listen, port: int) -> None:
    """As a container's port, which the engine's daemon opens."""
    with reserve([Port(80)]) as ports:
        ports.release_programs()
        ownership, said = looking(listen(ports.program).pid)
    listen(port)
    assert [ownership.stranger("127.0.0.1", port) for _ in range(2)] == ["", ""]
    assert said.getvalue().count(f"port {port} is held by process ") == 1


def test_of_a_program_that_has_ended_nobody_holds_a_port(listen: Listen, port: int, nothing: int) -> None:
    ownership, _ = looking(nothing)
    assert "just gone" in ownership.stranger("127.0.0.1", port)
    listen(port)
    assert "is taken by" in ownership.stranger("127.0.0.1", port)
