"""The sidecar's Envoy, kept running: started, started again when it crashes, replaced without a lost call, stopped.

There is always one current Envoy; one that it has taken over from may answer its last calls beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from tulle.agent import epoch
from tulle.agent.calls import Calls
from tulle.agent.console import Console
from tulle.agent.decisions import Decisions
from tulle.agent.ejections import Ejections
from tulle.agent.endpoints import Endpoints, LeftOut
from tulle.agent.epoch import Epoch
from tulle.agent.exits import AgentError
from tulle.agent.figures.open_connections import Carried, OpenConnections
from tulle.agent.folder import Folder
from tulle.agent.hot_restart import Lineage
from tulle.agent.idle import Idleness
from tulle.agent.logs import AgentLogs
from tulle.agent.output import Output
from tulle.agent.race import unless

_FIRST_TRIES = 3
_BACK_OFF = (0.1, 5.0)
_STEADY_SECONDS = 10.0
_DRAIN_POLL_SECONDS = 0.1
_HAND_OVER_SECONDS = 1.0
_HAND_OVER_POLL_SECONDS = 0.01


class RestartFailed(Exception):
    """The old Envoy goes on, or a fresh one was started; the message is for the user."""


class Envoy:
    """The sidecar of this agent, in its folder.

    binary: its file. look_up: finds the file anew, for a restart; raises AgentError. drain_seconds: how long calls in
    flight may take at the Envoy that is replaced. environment: of Envoy, beside the agent's own. live: whether the current one
    takes calls; to be read only. decisions: of access rules, and calls: single requests, by all of its processes.
    starts: how many there were. before_end: to be set; waited for when one that was taken over from has answered its last call.
    """

    def __init__(
        self,
        binary: str,
        folder: Folder,
        console: Console,
        look_up: Callable[[], str],
        drain_seconds: float,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._binary = binary
        self._folder = folder
        self._console = console
        self._look_up = look_up
        self._drain_seconds = drain_seconds
        self._environment = environment
        self._watcher: Callable[[int], None] = lambda _: None
        self._launch: Callable[[], None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._lineage: Lineage | None = None
        self._number = 0
        self._current: Epoch | None = None
        self._draining: dict[Epoch, asyncio.Task[None]] = {}
        self._replacing: asyncio.Task[str] | None = None
        self._was_ever_live = False
        self._idleness = Idleness()
        self.decisions = Decisions(console.info)
        self.calls = Calls(self._set_runtime)
        self.starts = 0
        self.before_end: Callable[[Epoch], Awaitable[None]] | None = None
        self.carried: Carried = lambda family, tags, size: None
        self._output = Output(console.warning)
        self.logs = AgentLogs(console.ring, console.instance, self._set_level)
        self.ejections = Ejections()
        self.endpoints = Endpoints(self._left_out, self.ejections)
        self.live = asyncio.Event()

    async def keep_running(self, on_live: Callable[[bool], None], launch: Callable[[], None] | None = None) -> None:
        """Runs Envoy until cancelled, then stops it.

        on_live: told whether it takes calls, at every change. launch: called in each new process, right before it becomes
        Envoy. Raises AgentError if it can't be brought to life the first time.
        """
        self._launch = launch
        try:
            await self._keep_running(on_live)
        finally:
            self._output.close()

    async def _keep_running(self, on_live: Callable[[bool], None]) -> None:
        pause, tries = _BACK_OFF[0], 0
        async with asyncio.TaskGroup() as self._group:
            while True:
                started = asyncio.get_running_loop().time()
                end = await self._run_once(on_live)
                tries += 1
                if not self._was_ever_live and tries >= _FIRST_TRIES:
                    raise AgentError(f"Envoy does not start; it {end}")
                if asyncio.get_running_loop().time() - started > _STEADY_SECONDS:
                    pause = _BACK_OFF[0]
                self._console.warning(f"starting Envoy again; it {end}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACK_OFF[1])

    async def restart(self, seconds: float) -> None:
        """Has a new Envoy take over within that time. Raises RestartFailed; cancelling gives up the waiting only."""
        if self._replacing:
            raise RestartFailed("a restart of this sidecar is under way already")
        if not (self._group and self._current and self._lineage and self.live.is_set()) or self._current.has_ended:
            raise RestartFailed("its Envoy is only just starting")
        if not self._lineage.is_possible:
            raise RestartFailed("this machine has no /dev/shm to write to, which Envoy needs to hand over to another")
        self._replacing = self._group.create_task(self._replace(seconds, self._current, self._lineage), name="restart")
        if problem := await asyncio.shield(self._replacing):
            raise RestartFailed(problem)

    async def active_requests(self) -> int | None:
        """How many requests and TCP connections to the program are in flight; None if Envoy does not answer."""
        counts = [await each.active_requests() for each in self.running()]
        return sum(filter(None, counts)) if any(count is not None for count in counts) else None

    async def look_at_calls(self) -> None:
        """So that `settled` knows how long ago the last one was."""
        for each in self.running():
            await each.calls()

    async def idle_clusters(self) -> list[str]:
        """The services' clusters that have had no call for long."""
        current = self._current
        stats = await current.outbound_calls() if current else None
        return self._idleness.look(current.pid, stats, asyncio.get_running_loop().time()) if current and stats else []

    async def secrets(self) -> Mapping[str, str] | None:
        """The version of each secret that the current one uses; None if it does not tell."""
        return await self._current.secrets() if self._current else None

    async def _left_out(self, clusters: Sequence[str]) -> LeftOut | None:
        return await self._current.left_out(clusters) if self._current else None

    async def _set_runtime(self, values: Mapping[str, int]) -> None:
        failure: OSError | None = None
        for each in self.running():
            try:
                await each.set_runtime(values)
            except OSError as error:
                failure = error
        if failure:
            raise failure

    async def _renew(self) -> None:
        """A new one is there, which knows nothing of what was wished for."""
        await self.calls.renew()
        with suppress(OSError):
            await self.logs.renew()

    async def _set_level(self, level: str) -> None:
        for each in self.running():
            await each.set_level(level)

    async def settled(self) -> None:
        """Waits until what its last calls are told by, spans and lines, has been told; a second at most."""
        if running := self.running():
            await asyncio.wait([asyncio.create_task(each.settled()) for each in running])

    def running(self) -> list[Epoch]:
        """Its processes: the current one, and those that answer their last calls."""
        return [*self._draining, *([self._current] if self._current else [])]

    def watched_by(self, watcher: Callable[[int], None]) -> None:
        """From now on `watcher` is told the process id of each Envoy, those that run already at once."""
        self._watcher = watcher
        for each in self.running():
            watcher(each.pid)

    async def _run_once(self, on_live: Callable[[bool], None]) -> str:
        """One life of Envoy, those that take over included; how it ended."""
        try:
            self._lineage = lineage = Lineage(self._folder)
            self._current, self._number = await self._start(self._binary, lineage, 0), 0
        except OSError as error:
            return f"can't be run: {error}"
        try:
            if await unless(self._current.live(), self._current.ended()):
                self._was_ever_live = True
                self.live.set()
                await self._renew()
                on_live(True)
            while True:
                current = self._current
                end = await current.ended()
                if self._replacing:  # it notices, or another has just taken over
                    await asyncio.wait([self._replacing])
                if self._current is current:
                    return end
        finally:
            self.live.clear()
            on_live(False)
            last, self._current, self._lineage = self._current, None, None
            await last.stop()
            lineage.close()

    async def _start(self, binary: str, lineage: Lineage, number: int) -> Epoch:
        assert self._group
        options = lineage.options(number, self._drain_seconds)
        started = await epoch.start(
            *(binary, self._folder, options, self._group, self._launch),
            *(self.decisions.decided, self.calls.told, OpenConnections(self.carried).said),
            *(self._output.write, self.logs.said),
            self._environment,
        )
        self._watcher(started.pid)
        self.starts += 1
        return started

    async def _replace(self, seconds: float, old: Epoch, lineage: Lineage) -> str:
        """A new Envoy takes over from `old`; why it did not, or nothing."""
        new: Epoch | None = None
        problem = ""
        try:
            try:
                async with asyncio.timeout(seconds):
                    if self._draining:  # a third one would cut what the first has still to answer
                        await unless(self._drained(), old.ended())
                    binary = await asyncio.to_thread(self._look_up)
                    lineage.forgive()
                    new = await self._start(binary, lineage, self._number + 1)
                    if not await unless(new.live(), new.ended(), old.ended()):
                        problem = f"the new Envoy {await new.ended()}" if new.has_ended else "the old Envoy ended"
            except TimeoutError:
                who = "one replaced before still has callers" if self._draining else "the new Envoy takes no calls"
                problem = f"{who} after {seconds:g} s"
            except (AgentError, OSError) as error:
                problem = str(error)
            if old.has_ended:
                return f"{problem}\nthe sidecar gets a fresh one"
            if new is None or (problem and not await old.handed_over()):
                return f"{problem}\nthe old Envoy goes on"
            await self._handed_over(old)
            self._take_over(new, old, lineage)
            successor, new, self._binary = new, None, binary
            await self._renew()
            if successor.has_ended:
                how = await successor.ended()
                return f"the new Envoy had just taken over when it {how}\nthe sidecar gets a fresh one"
            return ""
        finally:
            self._replacing = None
            if new:
                await new.kill()

    def _take_over(self, new: Epoch, old: Epoch, lineage: Lineage) -> None:
        assert self._group
        number, self._number, self._current = self._number, self._number + 1, new
        self._draining[old] = self._group.create_task(self._drain(old, lineage, number), name=f"drain Envoy {old.pid}")

    async def _handed_over(self, old: Epoch) -> None:
        """Waits until the old one takes no new connections, which it is told in the moment when the new one is live."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                while await old.handed_over() is False:  # noqa: ASYNC110  Envoy can only be asked
                    await asyncio.sleep(_HAND_OVER_POLL_SECONDS)

    async def _drained(self) -> None:
        await asyncio.wait(list(self._draining.values()))

    async def _drain(self, old: Epoch, lineage: Lineage, number: int) -> None:
        """Ends the old one when its last caller has gone, or after a while."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_seconds):
                    while not old.has_ended and await old.connections() != 0:  # noqa: ASYNC110  the same
                        await asyncio.sleep(_DRAIN_POLL_SECONDS)
            await old.settled()
            if self.before_end:
                await self.before_end(old)
        finally:
            await old.stop()
            del self._draining[old]
        if self._lineage is lineage:
            try:
                lineage.stand_in_for(number)
            except OSError as error:
                self._console.warning(f"Envoy may have to be started again soon; can't make a socket for it: {error}")
