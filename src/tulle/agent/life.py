"""The life of one program and what is around it, from the first mode of capture that is tried to the program's end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from tulle.agent.capture import choose
from tulle.agent.capture.mode import Unavailable
from tulle.agent.ending import after_end, drain, give_up
from tulle.agent.exits import AgentError, of_signal
from tulle.agent.health import Checks
from tulle.agent.observed import Observed
from tulle.agent.offer import Offer
from tulle.agent.ownership import Ownership
from tulle.agent.race import unless
from tulle.agent.restarts import Restarts
from tulle.agent.serving import Serving
from tulle.agent.way import Way, Ways, failure, proved
from tulle.agent.workload import Sidecar, Workload

_READY_SECONDS = 10.0
_BYE_SECONDS = 1.0


class Life:
    """Once, from `run` to its end."""

    def __init__(self, sidecar: Sidecar, serving: Serving, observed: Observed) -> None:
        self._sidecar = sidecar
        self._serving = serving
        self._observed = observed
        self._around: list[asyncio.Task[Any]] = []

    async def run(self, ways: Ways, beside: Mapping[str, Coroutine[Any, Any, None]]) -> int:
        """Keeps the parts around the program running as long as the program does; the exit code. beside: more, by name."""
        reasons: list[tuple[str, str]] = []
        code: int | None = None
        async with asyncio.TaskGroup() as group:
            for mode in choose.candidates(self._sidecar.config.capture):
                try:
                    async with ways.tried(mode) as way:
                        self._begin(group, way, beside)
                        session = self._sidecar.session
                        problem = await unless(self._problem(way), self._sidecar.signals.stop(), session.revoked())
                        if problem:
                            reasons.append((mode, problem))
                            way.program.keep_folder()
                            continue
                        try:
                            if problem is None and session.revocation:
                                raise AgentError(_revoked(session.revocation))
                            if problem is None:
                                code = of_signal(self._sidecar.signals.first)
                            else:
                                self._say_captured(mode, reasons)
                                code = await self._in_the_mesh(group, way)
                        finally:  # also when it ends by a mistake of the user's
                            await self._end()
                        break
                except Unavailable as unavailable:
                    reasons.append((mode, str(unavailable)))
            if self._around:
                await self._end()
            else:
                for each in beside.values():
                    each.close()
        if code is None:
            raise failure(self._sidecar.config.capture, reasons, self._sidecar.ports)
        return code

    def _begin(self, group: asyncio.TaskGroup, way: Way, beside: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        sidecar = self._sidecar
        self._serving.captured_by(way.mode, way.prepared)
        sidecar.session.offer(self._serving.offer)
        sidecar.envoy.watched_by(way.program.envoy_is)
        self._observed.program = way.program
        if not self._around:
            self._around = [
                group.create_task(
                    sidecar.envoy.keep_running(sidecar.health.sidecar_is_live, way.prepared.envoy_launch), name="envoy"
                ),
                group.create_task(sidecar.session.run(), name="session"),
                *(group.create_task(work, name=name) for name, work in beside.items()),
            ]

    async def _end(self) -> None:
        """Of all that is around the program, while its reaper, which would kill Envoy, is still there."""
        if self._around:
            await self._observed.finish()  # the control plane takes nothing of an instance that has said bye
            await self._sidecar.session.bye(_BYE_SECONDS)
            for task in self._around:
                task.cancel()
            await asyncio.wait(self._around)
            self._around = []

    async def _problem(self, way: Way) -> str:
        """Why the mode does not work after all; "" if it is proved that it does."""
        told = False
        while True:
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await self._sidecar.envoy.live.wait()
                    await self._sidecar.session.ready()
                break
            except TimeoutError:
                if not told:
                    self._say_not_ready()
                told = True
        return await proved(way) or ""

    async def _in_the_mesh(self, group: asyncio.TaskGroup, way: Way) -> int:
        """From the program's start to its end; the exit code."""
        workload = Workload.of(self._sidecar, way.program)
        ownership = Ownership(way.program.reaper, self._sidecar.console)
        checks = self._checks(ownership)

        def tell(offer: Offer) -> None:
            workload.session.offer(offer)
            try:
                way.prepared.retarget(self._serving.places)
            except OSError as error:  # whoever is on this machine could call it past its sidecar
                raise AgentError(f"can't lead calls of the program to its sidecar first: {error}") from error
            checks.retarget(offer.targets, offer.address)

        workload.ports.release_programs()
        await workload.program.start()
        workload.signals.receiver = workload.program.signal
        following = group.create_task(self._serving.follow(ownership, tell), name="where the program serves")
        self._around += [
            group.create_task(checks.run(), name="health checks"),
            group.create_task(workload.manager.heartbeat(), name="service manager"),
            following,
        ]
        may_only_call = not (workload.config.ports or workload.config.health_path)
        restarts: Restarts | None = Restarts(workload.config.restart)
        while restarts:
            workload.health.program_runs(may_only_call)
            enders = (workload.signals.stop(), _done(following), workload.session.revoked())
            if await unless(workload.program.ended(), *enders) is None:
                if workload.session.revocation and not workload.signals.first:
                    await give_up(workload)
                    raise AgentError(_revoked(workload.session.revocation))
                if following.done() and not workload.signals.first:
                    await give_up(workload)
                    raise AgentError(following.result())
                await drain(workload)
                break
            checks.look()
            workload.health.program_runs(False)
            restarts = await after_end(workload, restarts)
        return workload.program.exit_code()

    def _checks(self, ownership: Ownership) -> Checks:
        config = self._sidecar.config
        return Checks(
            self._serving.offer.targets,
            config.health_path,
            self._sidecar.health,
            self._sidecar.console,
            expected=bool(config.ports),
            settled=self._sidecar.manager.ready,
            stranger=ownership.stranger,
        )

    def _say_captured(self, mode: str, reasons: list[tuple[str, str]]) -> None:
        console = self._sidecar.console
        for other, reason in reasons:
            console.info(f"capture by {other} is not possible here: {reason}")
        console.info(choose.told(mode))
        console.info(
            f"{self._sidecar.session.proxy} is in the mesh; starting the program with PORT={self._sidecar.ports.program}"
        )

    def _say_not_ready(self) -> None:
        if not self._sidecar.session.is_connected:
            why = "the control plane does not answer"
        elif not self._sidecar.envoy.live.is_set():
            why = "its Envoy has not got its configuration"
        else:
            why = "the control plane has not seen its Envoy take its configuration"
        self._sidecar.console.warning(
            f"the sidecar is not ready after {_READY_SECONDS:g} s ({why}); the program is started when it is"
        )


def _revoked(why: str) -> str:
    return f"this instance is out of the mesh, and its program ends: {why}. Started anew, it gets new keys"


async def _done(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
