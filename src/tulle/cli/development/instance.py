"""One place in the plan, `service-b.1`, and the `tulle run` processes that fill it one after another."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from tulle.agent.exits import of_return_code
from tulle.aio.changes import Changes
from tulle.cli.development import process
from tulle.cli.development.plan import Service
from tulle.cli.development.screen import Screen, told_apart
from tulle.cli.exits import FAILED
from tulle.model.workload import Health

# As the agent has it: a program that has not listened by then probably only calls others.
_ONLY_CALLS_SECONDS = 10.0

# The one key of the loop's changes: there are few instances, and few who wait.
STATE = "state"


class Instance:
    """Touches STATE in `changes` whenever one of these may have changed.

    id: how the mesh calls its present process; empty until that is known. health: what the mesh says; empty: nothing.
    code: the exit code of its last process; None while that runs, or if none was started.
    was_told: whether that has ended because it was told to.
    """

    def __init__(self, service: Service, number: int, data: Path, screen: Screen, changes: Changes) -> None:
        self.service = service
        self.name = f"{service.name}.{number}"
        self.id = self.health = ""
        self.code: int | None = None
        self.was_told = False
        self.was_healthy = False
        self._data = data
        self._screen = screen
        self._changes = changes
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._registered_at = 0.0
        self._expect_no_health = False

    @property
    def runs(self) -> bool:
        return self._following is not None and not self._following.done()

    @property
    def has_failed(self) -> bool:
        return not self.was_told and self.code is not None and self.code != 0

    @property
    def is_good(self) -> bool:
        """Healthy; or started, if it only calls others; or done, if it is a job."""
        if self.code is not None:
            return self.code == 0 and not self.was_told
        return self.health == Health.HEALTHY or self._only_calls

    @property
    def is_settled(self) -> bool:
        return self.is_good or self.code is not None

    @property
    def _only_calls(self) -> bool:
        """A guess: nobody has said that it listens. The second process of one that did not at first is known to."""
        if self.service.must_listen or self.health != Health.RUNNING:
            return False
        return self._expect_no_health or time.monotonic() - self._registered_at > _ONLY_CALLS_SECONDS

    async def start(self) -> None:
        """Starts a process in the place of the one that has ended."""
        self._expect_no_health = self._process is not None and not self.was_healthy
        self.id = self.health = ""
        self.code, self.was_told, self.was_healthy = None, False, False
        service = self.service
        options = [*service.options, "--trace" if service.trace else "--no-trace"]
        options += ["--data", str(self._data), "--log-format", "json"]
        if service.restart is not None:
            options += ["--restart", service.restart]
        try:
            self._process = await process.start(
                *("run", service.name, *options, "--", *service.command),
                folder=service.folder,
                environment=service.environment,
            )
        except OSError as error:
            self._screen.say(f"can't run {self.name} in {service.folder}: {error.strerror}", "error")
            self.code = FAILED
            self._changes.touch(STATE)
            return
        self._following = asyncio.create_task(self._follow(self._process), name=self.name)
        self._changes.touch(STATE)

    async def stop(self) -> None:
        """Has it end in good order, and waits for that."""
        self.tell_to_end()
        await self.ended()

    async def ended(self) -> None:
        if self._following is not None:
            await asyncio.wait([self._following])

    def tell_to_end(self) -> None:
        if self.runs:
            self.was_told = True
            self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def observe(self, healths: dict[str, str]) -> None:
        """What the mesh says of its instances, by their ids."""
        health = healths.get(self.id, "") if self.id else ""
        if health and not self.health:
            self._registered_at = time.monotonic()
        if health == Health.HEALTHY:
            self.was_healthy = True
        self.health = health
        self._changes.touch(STATE)

    async def _follow(self, running: asyncio.subprocess.Process) -> None:
        code = await process.follow(running, self._hear)
        self.code = of_return_code(code)
        self.health = ""
        self._changes.touch(STATE)

    def _hear(self, line: bytes) -> None:
        words, said = told_apart(line, self.service.name)
        if words or said is None:
            self._screen.program(self.name, words)
        if said is None:
            return
        self._screen.tulle(self.name, said.level, said.message)
        if said.instance and said.instance != self.id:
            self.id = said.instance
            self._changes.touch(STATE)
