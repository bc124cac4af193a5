"""The life of one workload, in order: what `tulle run` does from its first to its last moment.

Program and ports looked at; keys, certificates; folder; a mode of capture, its rules, resolver and reaper; Envoy, session;
ready; the way proved; the program, checked, perhaps started again; its end (`ending.py`); bye; rules, the program's tree,
Envoy and the folder gone; exit code. Every wait has a bound, but those for the control plane at the start.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tulle.agent.api import ControlPlane, Enrolment
from tulle.agent.capture import choose
from tulle.agent.capture.mode import Settings, Unavailable
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.credentials import Credentials, write_secrets
from tulle.agent.dns.resolv_conf import Nameservers
from tulle.agent.ending import after_end, drain, give_up
from tulle.agent.envoy import Envoy
from tulle.agent.exits import AgentError, of_signal
from tulle.agent.folder import agent_folder
from tulle.agent.health import Checks, Health
from tulle.agent.key_making import KeyMaker, Keys
from tulle.agent.observed import Observed
from tulle.agent.offer import Offer
from tulle.agent.ownership import Ownership
from tulle.agent.ports import reserve
from tulle.agent.program import locate
from tulle.agent.race import unless
from tulle.agent.reports import Reports
from tulle.agent.restarts import Restarts
from tulle.agent.service_manager import ServiceManager
from tulle.agent.serving import Serving
from tulle.agent.session import Session
from tulle.agent.signals import handled_signals
from tulle.agent.spans.door import spans_door
from tulle.agent.spans.forwarding import CONTENT_TYPE, forward
from tulle.agent.spans.identity import identity
from tulle.agent.spans.waiting import Waiting
from tulle.agent.tracing import FOREIGN, is_foreign
from tulle.agent.way import Way, Ways, check_ports, failure, proved
from tulle.agent.workload import Sidecar, Workload
from tulle.agent.workload_api import environment, workload_api
from tulle.envoy_api import binary
from tulle.model.addresses import LOOPBACK
from tulle.model.join_token import JoinToken

_READY_SECONDS = 10.0
_BYE_SECONDS = 1.0


async def supervise(
    config: AgentConfig,
    proxy: str,
    maker: KeyMaker,
    console: Console,
    manager: ServiceManager,
    open_files: int,
    join: JoinToken | None = None,
) -> int:
    """Runs the workload to its end; the exit code. Raises AgentError, perhaps within exception groups.

    maker: makes the keys already. open_files: how many the program may have open, as its user could. join: how to join a control
    plane on another machine.
    """
    file = locate(config.command[0])
    if config.trace and is_foreign(file):
        console.info(FOREIGN)
    control_plane = ControlPlane(Path(config.data))
    if join:
        from tulle.agent.remote import (
            RemoteControlPlane,
            own_address,
        )  # needs TLS, which an agent beside has no use for

        control_plane = RemoteControlPlane(Path(config.data), join, config.jwt_file)
        config = replace(config, address=config.address or own_address(join))
    credentials = Credentials(config, proxy, control_plane, console)
    address, inbound = config.address or LOOPBACK, config.inbound_port
    with handled_signals() as signals, reserve(config.service_ports, address, inbound) as ports:
        check_ports(ports, config.capture)
        admission = await unless(_admission(config, credentials, maker), signals.stop())
        if admission is None:
            return of_signal(signals.first)
        envoy_file, keys, enrolment = admission
        with agent_folder(Path(config.data), proxy) as folder:
            write_secrets(folder, keys, enrolment)
            folder.replace(folder.bootstrap.name, json.dumps(enrolment.bootstrap))
            health, serving = Health(), Serving(config, ports, console)
            session = Session(config, proxy, ports, serving.offer, health, control_plane, console)
            sidecar = Sidecar(
                config=config,
                console=console,
                manager=manager,
                signals=signals,
                ports=ports,
                health=health,
                envoy=Envoy(
                    *(envoy_file, folder, console, partial(_envoy_file, config.envoy), config.drain_seconds),
                    environment=identity(config, proxy),
                ),
                session=session,
            )
            session.restart_envoy = sidecar.envoy.restart
            session.idle_clusters = sidecar.envoy.idle_clusters
            session.decisions = sidecar.envoy.decisions.counts
            session.wishes["tap"] = sidecar.envoy.calls.wish
            session.wishes["log"] = sidecar.envoy.logs.wish
            observed = Observed(sidecar, serving, credentials, control_plane)
            async with AsyncExitStack() as stack:
                session.metrics = await stack.enter_async_context(observed.figures.door())
                if config.workload_api:
                    await stack.enter_async_context(workload_api(folder, proxy, control_plane, console))

                def reports(what: str, content_type: str = "application/json") -> Reports:
                    made = Reports(control_plane, proxy, what, content_type)
                    stack.push_async_callback(made.close)
                    return made

                waiting = Waiting()
                door = await stack.enter_async_context(spans_door(folder.path, waiting))
                spans = forward(waiting, reports("spans", CONTENT_TYPE), console)
                calls = sidecar.envoy.calls.run(reports("calls"))
                ways = Ways(
                    config=config,
                    settings=_settings(proxy, folder.path, sidecar, serving),
                    ports=ports,
                    folder=folder,
                    file=file,
                    session=session,
                    console=console,
                    open_files=open_files,
                    hear=serving.hear,
                    spans=door if config.trace else None,
                    environment=environment(folder) if config.workload_api else {},
                )
                renewal = credentials.keep_fresh(folder, enrolment, session.trusts, sidecar.envoy)
                logs = sidecar.envoy.logs.run(reports("logs"))
                beside = {"certificates": renewal, "spans": spans, "calls": calls, "logs": logs}
                beside |= observed.figures.tasks()
                return await _Life(sidecar, serving, observed).run(ways, beside)


async def _admission(config: AgentConfig, credentials: Credentials, maker: KeyMaker) -> tuple[str, Keys, Enrolment]:
    """Envoy's file, and the certificates; both take their time."""
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(asyncio.to_thread(_envoy_file, config.envoy), name="find Envoy")
        enrolling = group.create_task(credentials.first(maker), name="enrolment")
    return finding.result(), *enrolling.result()


def _envoy_file(given: str | None) -> str:
    try:
        return str(binary.find({binary.VARIABLE: given} if given else os.environ).path)
    except (binary.EnvoyMissing, binary.EnvoyWrongVersion) as error:
        raise AgentError(str(error)) from error


def _settings(proxy: str, folder: Path, sidecar: Sidecar, serving: Serving) -> Settings:
    ports = sidecar.ports
    return Settings(proxy, folder, ports.outbound, ports.inbound, ports.dns, serving.places, Nameservers()())


class _Life:
    """From the first mode that is tried to the program's end."""

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
                            await self._sidecar.session.bye(_BYE_SECONDS)
                            await self._end()
                        break
                except Unavailable as unavailable:
                    reasons.append((mode, str(unavailable)))
            if self._around:
                await self._sidecar.session.bye(_BYE_SECONDS)
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
        await self._observed.figures.finish()
        for task in self._around:
            task.cancel()
        await asyncio.wait(self._around)

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
        restarts: Restarts | None = Restarts(workload.config.restart)
        while restarts:
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
