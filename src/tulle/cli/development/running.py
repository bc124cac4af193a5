"""The development loop: the control plane, all services in order, and their end in the reverse order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from tulle.agent.restarts import NO, ON_FAILURE
from tulle.aio.changes import Changes
from tulle.cli.development.control_plane import MeshControlPlane
from tulle.cli.development.instance import STATE
from tulle.cli.development.plan import Plan
from tulle.cli.development.screen import Screen
from tulle.cli.development.service import RunningService, dependents
from tulle.cli.exits import FAILED

_OFTEN_SECONDS = 0.1  # between looks at the mesh, while something is about to become healthy
_SELDOM_SECONDS = 1.0
_HURRY_SECONDS = 0.1  # a signal that comes while the same one is pending is lost


class Wishes(Struct, frozen=True):
    """What the command line says of the whole."""

    data: Path
    watch: bool
    exit_on_failure: bool


async def develop(plan: Plan, wishes: Wishes, screen: Screen) -> int:
    """Runs everything until it is over or a signal asks for the end; the exit code. Raises Failed."""
    loop = _Loop(plan, wishes, screen)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, loop.ask_to_end)
    screen.gone = loop.ask_to_end
    return await loop.run()


class _Loop:
    def __init__(self, plan: Plan, wishes: Wishes, screen: Screen) -> None:
        self._plan = plan
        self._wishes = wishes
        self._screen = screen
        self._changes = Changes()
        self._asked = 0
        self._control_plane = MeshControlPlane(wishes.data, screen)
        # Where files are watched, it is the next change that is waited for: the same program would fail again.
        restart = NO if wishes.watch or wishes.exit_on_failure else ON_FAILURE
        self._services = {
            service.name: RunningService(
                structs.replace(service, restart=service.restart or restart),
                wishes.data,
                screen,
                self._changes,
                watched=wishes.watch,
            )
            for service in plan.services
        }

    async def run(self) -> int:
        code = FAILED
        try:
            await self._until_asked(self._control_plane.ensure())
            if not self._asked:
                await self._until_asked(self._work())
            code = FAILED if self._has_failed else 0
        finally:
            await self._end()
        return code

    def ask_to_end(self) -> None:
        self._asked += 1
        self._changes.touch(STATE)

    async def _work(self) -> None:
        """Returns when all is over, or something has failed and that is to end all."""
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._control_plane.keep_running(), name="keep the control plane"),
                group.create_task(self._observe(), name="look at the mesh"),
                group.create_task(self._tell_when_ready(), name="tell when ready"),
            ]
            if self._wishes.watch:
                beside.append(group.create_task(self._watch(), name="watch files"))
            services = [
                group.create_task(running.run([self._services[n] for n in running.service.depends_on]), name=name)
                for name, running in self._services.items()
            ]
            for task in services:
                task.add_done_callback(lambda _: self._changes.touch(STATE))
            await self._changes.until(STATE, lambda: self._is_over(services))
            for task in (*beside, *services):
                task.cancel()

    def _is_over(self, services: Sequence[asyncio.Task[None]]) -> bool:
        if self._has_failed and self._wishes.exit_on_failure:
            return True
        return all(task.done() for task in services)

    @property
    def _has_failed(self) -> bool:
        return any(running.has_failed for running in self._services.values())

    async def _observe(self) -> None:
        """Keeps the instances' health as the mesh sees it."""
        instances = [instance for running in self._services.values() for instance in running.instances]

        def is_something_pending() -> bool:
            return any(instance.runs and not instance.is_settled for instance in instances)

        while True:
            healths = await self._control_plane.healths()
            if healths is not None:
                for instance in instances:
                    instance.observe(healths)
            await asyncio.sleep(_OFTEN_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SELDOM_SECONDS):
                    await self._changes.until(STATE, is_something_pending)

    async def _tell_when_ready(self) -> None:
        services = self._services.values()
        await self._changes.until(STATE, lambda: all(running.is_ready for running in services))
        if count := sum(instance.runs for running in services for instance in running.instances):
            self._screen.say(f"all is up: {count} program{'s' if count > 1 else ''}. Ctrl-C ends it")

    async def _watch(self) -> None:
        from tulle.cli.development import watching  # only now: its library takes its time

        try:
            await self._restart_on(watching.changes(self._plan, self._wishes.data))
        except OSError as error:
            self._screen.say(
                f"can't watch all files ({error}); looking at them again and again instead. Name fewer with `watch`, "
                "or raise fs.inotify.max_user_watches",
                "warning",
            )
            await self._restart_on(watching.changes(self._plan, self._wishes.data, polling=True))

    async def _restart_on(self, changes: AsyncIterator[Mapping[str, str]]) -> None:
        async for found in changes:
            for name, what in found.items():
                if name:
                    self._services[name].has_changed(what)
                else:
                    self._screen.say(f"{what} has changed, which counts after a new start of `tulle dev`", "warning")

    async def _end(self) -> None:
        """Ends all that runs: those first that nobody else needs, the control plane last."""
        hurried = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            hurrying = group.create_task(self._hurry(hurried), name="hurry")
            ends = [
                group.create_task(running.end(dependents(self._services, name), hurried), name=f"end {name}")
                for name, running in self._services.items()
            ]
            await asyncio.wait(ends)
            await self._control_plane.end()
            hurrying.cancel()
        self._screen.say("all has ended")

    async def _hurry(self, hurried: asyncio.Event) -> None:
        """The first wish for the end may have led here; the next one hurries, the one after it kills."""
        before = min(self._asked, 1)
        if before:
            self._screen.say("ending in good order; Ctrl-C again hurries, and a third time kills")
        instances = [instance for running in self._services.values() for instance in running.instances]
        await self._changes.until(STATE, lambda: self._asked > before)
        self._screen.say("hurrying", "warning")
        hurried.set()
        for instance in instances:
            instance.tell_to_end()
        await asyncio.sleep(_HURRY_SECONDS)
        for instance in instances:
            instance.signal(signal.SIGTERM)
        await self._changes.until(STATE, lambda: self._asked > before + 1)
        self._screen.say("killing all", "warning")
        for instance in instances:
            instance.signal(signal.SIGKILL)
        self._control_plane.signal(signal.SIGKILL)

    async def _until_asked(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work, or as much of it as there is time for until somebody asks for the end."""
        working = asyncio.create_task(work, name="work")
        asked = asyncio.create_task(self._changes.until(STATE, lambda: self._asked > 0), name="asked to end")
        try:
            await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            if not working.done():
                working.cancel()
            await asyncio.wait([working, asked])
        if not working.cancelled():
            working.result()
