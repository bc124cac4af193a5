"""Whether this instance should be given calls: what the program answers, if its sidecar is up, if it is leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from tulle.agent import http1
from tulle.agent.console import Console
from tulle.model.addresses import LOOPBACK

STARTING, RUNNING = "starting", "running"
HEALTHY, UNHEALTHY, DRAINING = "healthy", "unhealthy", "draining"

_OFTEN_SECONDS = 0.1  # between checks, until it is healthy or it takes longer than _LATE_SECONDS
_SELDOM_SECONDS = 1.0
_TIMEOUT_SECONDS = 1.0
_FAILURES = 3  # in a row, of those that may pass by themselves
_LATE_SECONDS = 10.0


class Health:
    """The instance's health as it is now."""

    def __init__(self) -> None:
        self._program = STARTING
        self._program_runs = False
        self._sidecar_is_live = False
        self._sidecar_has_its_door = True
        self._has_served = False
        self._leaving: str | None = None
        self._changed = asyncio.Event()

    @property
    def value(self) -> str:
        if self._leaving:
            return self._leaving
        if self._program == HEALTHY:
            if not self._sidecar_is_live:
                return UNHEALTHY
            if self._sidecar_has_its_door:
                self._has_served = True
                return HEALTHY
            if self._has_served:
                return UNHEALTHY
        elif self._program != STARTING:
            return self._program
        return RUNNING if self._program_runs and self._sidecar_is_live else STARTING

    def program_is(self, health: str) -> None:
        self._program = health
        self._changed.set()

    def program_runs(self, runs: bool) -> None:
        """Of one that need not serve: it may only call others, for which a sidecar that is live is enough."""
        self._program_runs = runs
        self._changed.set()

    def sidecar_is_live(self, live: bool) -> None:
        self._sidecar_is_live = live
        self._changed.set()

    def sidecar_has_its_door(self, has: bool) -> None:
        """Whether the sidecar takes calls for what is offered now."""
        self._sidecar_has_its_door = has
        self._changed.set()

    def leave(self, health: str) -> None:
        """From now on, whatever happens, the instance's health is DRAINING or UNHEALTHY: it gets no new calls."""
        self._leaving = health
        self._changed.set()

    def touch(self) -> None:
        """Wakes the one who waits for a change."""
        self._changed.set()

    async def change(self, seconds: float) -> None:
        """Waits for the next change, at most so long. One task at a time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()


class Checks:
    """Asks the program again and again, and keeps `health` up to date."""

    def __init__(
        self,
        targets: Sequence[int],
        path: str | None,
        health: Health,
        console: Console,
        *,
        expected: bool,
        settled: Callable[[], None] = lambda: None,
        stranger: Callable[[str, int], str] = lambda _address, _port: "",
    ) -> None:
        """targets: where the program should listen; none: that is not known yet. expected: whether the user has named
        them, so that it must. settled: called once, when the program is healthy or may be one that never listens.
        stranger: what is wrong with who listens there, "" if it is the program (`ownership.py`).
        """
        self._path = path
        self._health = health
        self._console = console
        self._expected = expected
        self._settled = settled
        self._stranger = stranger
        self._address = LOOPBACK
        self._targets: tuple[int, ...] = ()
        self._moved = asyncio.Event()
        self.retarget(targets)

    def retarget(self, targets: Sequence[int], address: str = LOOPBACK) -> None:
        """From now on the program is asked there, at once; at none of them it is as if nothing listened."""
        self._targets, self._address = tuple(dict.fromkeys(targets)), address
        self._moved.set()

    def look(self) -> None:
        """Asks the program at once, as something has happened to it."""
        self._moved.set()

    async def run(self) -> None:
        """Checks for ever."""
        loop = asyncio.get_running_loop()
        start, failures, state, told_late = loop.time(), 0, STARTING, False
        while True:
            problem, is_sure = await self._problem()
            failures = failures + 1 if problem else 0
            if not problem and state != HEALTHY:
                state = HEALTHY
                self._console.info("the program is healthy: calls reach it now")
                self._health.program_is(HEALTHY)
                self._settle()
            elif problem and state == HEALTHY and (is_sure or failures >= _FAILURES):
                state, start = UNHEALTHY, loop.time()
                self._console.warning(f"the program is unhealthy, calls go elsewhere: {problem}")
                self._health.program_is(UNHEALTHY)
            late = loop.time() - start > _LATE_SECONDS
            if problem and state == STARTING and late and not told_late:
                told_late = True
                self._tell_late(problem)
            await self._pause(_SELDOM_SECONDS if state == HEALTHY or late else _OFTEN_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        self._moved.clear()

    async def _problem(self) -> tuple[str, bool]:
        """What is wrong with the program, "" if nothing, and whether that can't be a passing hitch."""
        address = self._address
        if not self._targets:
            return "the program does not listen", True
        for target in self._targets:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS), http1.over_tcp(address, target) as connection:
                    if problem := self._stranger(address, target):
                        return problem, True
                    if self._path and target == self._targets[0]:
                        await connection.request(
                            "GET", self._path, {"User-Agent": "tulle"}, host=_authority(address, target)
                        )
                        status = await connection.response()
                        if not 200 <= status < 300:
                            return f"GET {self._path} on port {target} is answered with {status}", False
            except ConnectionRefusedError:
                return f"nothing listens on {_authority(address, target)}", True
            except TimeoutError:
                return f"no answer from {_authority(address, target)} within {_TIMEOUT_SECONDS:g} s", False
            except OSError as error:
                return f"{_authority(address, target)}: {error.strerror or error}", False
        return "", True

    def _tell_late(self, problem: str) -> None:
        seconds = f"{_LATE_SECONDS:g} s after the start"
        if self._expected or self._path:
            self._console.warning(
                f"{problem}, {seconds}: no calls reach this instance until that is so. "
                "The program must listen on the port that --port names, else on $PORT"
            )
        else:
            self._console.info(
                f"{problem}, {seconds}. That is fine if the program only calls others; "
                "else let it listen on $PORT, or say with --port where it listens"
            )
            self._settle()

    def _settle(self) -> None:
        settled, self._settled = self._settled, lambda: None
        settled()


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
