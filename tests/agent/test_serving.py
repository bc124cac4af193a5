"""Where a program listens whose ports the user has named: the very addresses, as they become known and change."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tulle.agent.capture.mode import Place
from tulle.agent.config import AgentConfig, Port
from tulle.agent.console import Console
from tulle.agent.ownership import Ownership
from tulle.agent.ports import Ports, reserve
from tulle.agent.serving import Serving

Until = Callable[..., Awaitable[Any]]
LISTENS = """
import socket, sys
for line in sys.stdin:
    address, port = line.split()
    server = None  # the one before is closed
    server = socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    print("listens", flush=True)
"""


class Program:
    """Listens where it is told to, below a shell, which stands in for the reaper."""

    def __init__(self) -> None:
        words = [sys.executable, "-c", LISTENS]
        self._process = subprocess.Popen(
            ["sh", "-c", '"$@"; :', "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.root = self._process.pid

    def listen(self, address: str, port: int) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{address} {port}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "listens\n"

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def program() -> Iterator[Program]:
    running = Program()
    yield running
    running.end()


@pytest.fixture
def ports() -> Iterator[Ports]:
    with reserve([Port(80)]) as held:
        held.release_programs()
        yield held


@asynccontextmanager
async def following(program: Program, ports: Ports, *given: Port) -> AsyncIterator[tuple[Serving, list[list[Place]]]]:
    console = Console("text", "a-000001", io.StringIO())
    config = AgentConfig(service="a", service_account="a", data="/", command=("a",), ports=given)
    serving, told = Serving(config, ports, console), list[list[Place]]()
    follow = serving.follow(Ownership(program.root, console), lambda _: told.append(list(serving.places)))
    task = asyncio.create_task(follow)
    yield serving, told
    task.cancel()
    await asyncio.wait([task])


async def test_a_named_port_is_expected_on_loopback_until_its_addresses_are_known(
    program: Program, ports: Ports, until: Until
) -> None:
    port = ports.program
    async with following(program, ports, Port(80, port)) as (serving, told):
        assert serving.places == (("127.0.0.1", port),)
        program.listen("0.0.0.0", port)
        await until(lambda: told[-1:] == [[("0.0.0.0", port)]])
        program.listen("127.0.0.1", port)
        await until(lambda: told[-1:] == [[("127.0.0.1", port)]])
        program.listen("127.0.0.1", 0)  # it has closed the other, but will open it again where it was
        program.listen("0.0.0.0", port)
        await until(lambda: told[-1:] == [[("0.0.0.0", port)]])
        assert serving.offer.targets == (port,)


async def test_another_programs_addresses_are_not_the_programs(program: Program, ports: Ports, until: Until) -> None:
    other = Program()
    try:
        other.listen("127.0.0.2", ports.program)
        async with following(program, ports, Port(80, ports.program)) as (_, told):
            program.listen("127.0.0.3", ports.program)
            await until(lambda: told[-1:] == [[("127.0.0.3", ports.program)]])
    finally:
        other.end()


async def test_the_port_that_was_chosen_is_expected_everywhere_until_it_is_found(
    program: Program, ports: Ports, until: Until
) -> None:
    async with following(program, ports) as (serving, told):
        assert serving.places == (("::", ports.program),)
        program.listen("127.0.0.1", ports.program)
        await until(lambda: told == [[("127.0.0.1", ports.program)]])
        program.listen("0.0.0.0", ports.program)
        await until(lambda: told[-1] == [("0.0.0.0", ports.program)])
