"""One service while `tulle dev` runs: started after what it needs, restarted when its files change, ended at last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tulle.aio.changes import Changes
from tulle.cli.development.instance import STATE, Instance
from tulle.cli.development.plan import Service
from tulle.cli.development.screen import Screen
from tulle.model.workload import Health

_PATIENCE_SECONDS = 10.0


class RunningService:
    """can_not_start: whether it never was started, because what it needs has failed. watched: whether --watch is on."""

    def __init__(self, service: Service, data: Path, screen: Screen, changes: Changes, *, watched: bool) -> None:
        self.service = service
        self.instances = [Instance(service, n, data, screen, changes) for n in range(1, service.replicas + 1)]
        self.can_not_start = False
        self._watched = watched
        self._screen = screen
        self._changes = changes
        self._revision = 0
        screen.introduce(service.name, [instance.name for instance in self.instances])

    @property
    def has_failed(self) -> bool:
        return self.can_not_start or any(instance.has_failed for instance in self.instances)

    @property
    def is_ready(self) -> bool:
        """Whether those that need it may start: all instances are as they should be, but for some that failed."""
        return all(i.is_settled for i in self.instances) and any(i.is_good for i in self.instances)

    @property
    def can_not_be_ready(self) -> bool:
        """Nothing will change that, but perhaps a change of its files."""
        return self.can_not_start or all(i.is_settled and not i.is_good for i in self.instances)

    def has_changed(self, what: str) -> None:
        """A file that it watches is another now."""
        self._screen.say(f"{what} has changed: restarting {self.service.name}")
        self._revision += 1
        self._changes.touch(STATE)

    async def run(self, needed: Sequence[RunningService]) -> None:
        """Returns when all that it has started is over, and for good."""
        if not await self._wait_for(needed):
            self.can_not_start = True
            self._changes.touch(STATE)
            return
        revision = self._revision
        async with asyncio.TaskGroup() as group:
            for instance in self.instances:
                await instance.start()
                group.create_task(self._tell_of_ends(instance), name=f"{instance.name}: its end")
            while self._watched:
                await self._superseded(revision)
                revision = self._revision
                await self._roll(revision)

    async def end(self, those_that_need_it: Sequence[RunningService], hurried: asyncio.Event) -> None:
        """Ends it once nobody needs it any more, or at once when there is hurry."""
        others = [instance for service in those_that_need_it for instance in service.instances]
        free = asyncio.create_task(_all_ended(others), name=f"{self.service.name}: nobody needs it")
        hurry = asyncio.create_task(hurried.wait(), name=f"{self.service.name}: hurry")
        await asyncio.wait([free, hurry], return_when=asyncio.FIRST_COMPLETED)
        free.cancel()
        hurry.cancel()
        await asyncio.gather(*(instance.stop() for instance in self.instances))

    async def _wait_for(self, needed: Sequence[RunningService]) -> bool:
        """Whether all that it needs is there."""
        for other in needed:
            while not await self._is_ready(other):
                if other.can_not_be_ready and not self._watched:
                    self._screen.say(
                        f"{self.service.name} is not started: it needs {other.service.name}, which has failed", "error"
                    )
                    return False
                state = ", ".join(f"{i.name} is {_state(i)}" for i in other.instances)
                self._screen.say(f"{self.service.name} waits for {other.service.name}: {state}")
        return True

    async def _is_ready(self, other: RunningService) -> bool:
        """False after a while, or once it can't become so."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._changes.until(
                    STATE, lambda: other.is_ready or (other.can_not_be_ready and not self._watched)
                )
        except TimeoutError:
            return False
        return other.is_ready

    async def _roll(self, revision: int) -> None:
        """One instance after another, so that the others take the calls. Those first that don't do so anyhow."""
        for instance in sorted(self.instances, key=lambda i: i.health == Health.HEALTHY):
            await instance.stop()
            if self._revision > revision:
                return
            await instance.start()
            await self._changes.until(STATE, partial(self._is_done_with, instance, revision))
            if self._revision > revision:
                return
            if instance.has_failed:
                if left := [other.name for other in self.instances if other.runs]:
                    self._screen.say(f"left as before: {', '.join(left)}", "warning")
                return

    async def _superseded(self, revision: int) -> None:
        await self._changes.until(STATE, lambda: self._revision > revision)

    def _is_done_with(self, instance: Instance, revision: int) -> bool:
        return instance.is_settled or self._revision > revision

    async def _tell_of_ends(self, instance: Instance) -> None:
        """Says how its processes end that nobody has told to; until none can follow."""
        while True:
            await self._changes.until(STATE, lambda: instance.code is not None)
            if not instance.was_told:
                self._screen.say(*_epitaph(instance, watched=self._watched))
            if not self._watched:
                return
            await self._changes.until(STATE, lambda: instance.code is None)


def dependents(services: Mapping[str, RunningService], name: str) -> list[RunningService]:
    """Those that need it, be it through others."""
    found: dict[str, RunningService] = {}
    waiting = [name]
    while waiting:
        needed = waiting.pop()
        for other, running in services.items():
            if needed in running.service.depends_on and other not in found:
                found[other] = running
                waiting.append(other)
    return list(found.values())


async def _all_ended(instances: Sequence[Instance]) -> None:
    for instance in instances:
        await instance.ended()


def _epitaph(instance: Instance, *, watched: bool) -> tuple[str, str]:
    then = "; a change of its files starts it again" if watched else ""
    if instance.code == 0:
        return f"{instance.name} has ended{then}", "info"
    return f"{instance.name} has failed with exit code {instance.code}{then or '; the others go on'}", "error"


def _state(instance: Instance) -> str:
    if instance.code is not None:
        return f"ended with exit code {instance.code}"
    return instance.health or ("starting" if instance.runs else "not started yet")
