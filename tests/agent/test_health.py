"""What makes an instance healthy, and what takes it out again."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tulle.agent.console import Console
from tulle.agent.health import DRAINING, HEALTHY, RUNNING, STARTING, UNHEALTHY, Checks, Health

Until = Callable[..., Awaitable[Any]]


class Program:
    """A server whose answer can be changed, or that goes."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)

    def go(self) -> None:
        if self._server:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line := await reader.readline():
            self.requests.append(line.decode().strip())
            if self.status:
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
            else:
                await reader.read()
        writer.close()


@asynccontextmanager
async def checked(
    program: Program, path: str | None = None, expected: bool = False
) -> AsyncIterator[tuple[Health, Any]]:
    said = io.StringIO()
    health = Health()
    health.sidecar_is_live(True)
    checks = Checks([program.port], path, health, Console("text", "a-000001", said), expected=expected)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(checks.run())
        yield health, said
        task.cancel()
        program.go()


async def test_a_program_is_healthy_as_soon_as_it_listens_and_not_once_it_does_not(until: Until) -> None:
    program = Program()
    async with checked(program) as (health, _):
        await asyncio.sleep(0)
        assert health.value == STARTING
        await program.listen()
        await until(lambda: health.value == HEALTHY)
        program.go()
        await until(lambda: health.value == UNHEALTHY)
        await program.listen()
        await until(lambda: health.value == HEALTHY)


async def test_with_a_health_path_only_2xx_is_healthy(until: Until) -> None:
    program = Program()
    program.status = 503
    await program.listen()
    async with checked(program, "/health?deep=1") as (health, said):
        await until(lambda: len(program.requests) >= 3)
        assert health.value == STARTING
        assert program.requests[0] == "GET /health?deep=1 HTTP/1.1"
        program.status = 204
        await until(lambda: health.value == HEALTHY)
        asked = len(program.requests)
        program.status = 500
        await until(lambda: health.value == UNHEALTHY)
        assert len(program.requests) - asked >= 3, "one bad answer is no reason to leave"
        assert "answered with 500" in said.getvalue()


async def test_a_program_that_accepts_and_says_nothing_is_unhealthy(until: Until) -> None:
    program = Program()
    await program.listen()
    async with checked(program, "/health") as (health, said):
        await until(lambda: health.value == HEALTHY)
        program.status = 0
        await until(lambda: health.value == UNHEALTHY)
        assert "no answer" in said.getvalue()


async def test_a_program_that_never_listens_is_told_so(until: Until, monkeypatch: Any) -> None:
    monkeypatch.setattr("tulle.agent.health._LATE_SECONDS", 0.3)
    program = Program()
    for expected, words in ((True, "--port names"), (False, "only calls others")):
        async with checked(program, expected=expected) as (health, said):
            await until(said.getvalue)
            assert words in said.getvalue()
            assert str(program.port) in said.getvalue()
            assert "$PORT" in said.getvalue()
            assert health.value == STARTING


async def test_targets_may_become_known_late_and_change(until: Until) -> None:
    first, second = Program(), Program()
    for program in (first, second):
        await program.listen()
    health, settled = Health(), []
    health.sidecar_is_live(True)
    console = Console("text", "a-000001", io.StringIO())
    checks = Checks([], "/health", health, console, expected=False, settled=lambda: settled.append(health.value))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(checks.run())
        await asyncio.sleep(0)
        assert health.value == STARTING
        checks.retarget([first.port])
        await until(lambda: health.value == HEALTHY)
        first.go()
        await until(lambda: health.value == UNHEALTHY)
        checks.retarget([second.port])
        await until(lambda: health.value == HEALTHY)
        assert second.requests
        checks.retarget([])
        await until(lambda: health.value == UNHEALTHY)
        task.cancel()
    second.go()
    assert settled == [HEALTHY]


async def test_a_program_that_may_only_call_others_is_settled_after_a_while_and_an_expected_one_is_not(
    until: Until, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tulle.agent.health._LATE_SECONDS", 0.1)
    for expected in (True, False):
        said, settled = io.StringIO(), asyncio.Event()
        console = Console("text", "a-000001", said)
        checks = Checks([], None, Health(), console, expected=expected, settled=settled.set)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(checks.run())
            await until(said.getvalue)
            assert "the program does not listen, 0.1 s after the start" in said.getvalue()
            assert settled.is_set() is not expected
            task.cancel()


def test_an_instance_that_listens_elsewhere_serves_once_its_sidecar_knows_where() -> None:
    health = Health()
    health.sidecar_is_live(True)
    health.sidecar_has_its_door(False)
    health.program_is(HEALTHY)
    assert health.value == STARTING
    health.sidecar_has_its_door(True)
    assert health.value == HEALTHY
    health.sidecar_has_its_door(False)
    assert health.value == UNHEALTHY


def test_an_instance_without_its_sidecar_is_unhealthy_and_one_that_leaves_stays_so() -> None:
    health = Health()
    assert health.value == STARTING
    health.program_is(HEALTHY)
    assert health.value == UNHEALTHY
    health.sidecar_is_live(True)
    assert health.value == HEALTHY
    health.leave(DRAINING)
    health.program_is(UNHEALTHY)
    health.sidecar_is_live(False)
    assert health.value == DRAINING


def test_a_program_that_need_not_serve_is_running_with_its_sidecar_until_it_serves_or_ends() -> None:
    health = Health()
    health.program_runs(True)
    assert health.value == STARTING
    health.sidecar_is_live(True)
    assert health.value == RUNNING
    health.program_runs(False)
    assert health.value == STARTING
    health.program_runs(True)
    health.sidecar_has_its_door(False)
    health.program_is(HEALTHY)
    assert health.value == RUNNING
    health.sidecar_has_its_door(True)
    assert health.value == HEALTHY
    health.sidecar_has_its_door(False)
    assert health.value == UNHEALTHY
    health.program_is(UNHEALTHY)
    assert health.value == UNHEALTHY
