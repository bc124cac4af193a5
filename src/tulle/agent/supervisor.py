"""The life of one workload, in order: what `tulle run` does from its first to its last moment.

Program and ports looked at; keys, certificates; folder; then `life.py`: a mode of capture, its rules, resolver and reaper;
Envoy, session; ready; the way proved; the program, checked, perhaps started again; its end (`ending.py`); bye; rules, the
program's tree, Envoy gone; here again the folder gone; exit code. Every wait has a bound, but those for the control
plane at the start.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tulle.agent.api import ControlPlane, Enrolment
from tulle.agent.capture.mode import Settings
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.credentials import Credentials, write_secrets
from tulle.agent.dns.resolv_conf import Nameservers
from tulle.agent.envoy import Envoy
from tulle.agent.exits import AgentError, of_signal
from tulle.agent.folder import agent_folder
from tulle.agent.health import Health
from tulle.agent.key_making import KeyMaker, Keys
from tulle.agent.life import Life
from tulle.agent.observed import Observed
from tulle.agent.ports import reserve
from tulle.agent.program import locate
from tulle.agent.race import unless
from tulle.agent.reports import Reports
from tulle.agent.service_manager import ServiceManager
from tulle.agent.serving import Serving
from tulle.agent.session import Session
from tulle.agent.signals import handled_signals
from tulle.agent.spans.door import spans_door
from tulle.agent.spans.forwarding import CONTENT_TYPE, Forwarding
from tulle.agent.spans.identity import identity
from tulle.agent.spans.waiting import Waiting
from tulle.agent.tracing import FOREIGN, is_foreign
from tulle.agent.way import Ways, check_ports
from tulle.agent.workload import Sidecar
from tulle.agent.workload_api import environment, workload_api
from tulle.envoy_api import binary
from tulle.model.addresses import LOOPBACK
from tulle.model.join_token import JoinToken


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
            session.wishes["endpoints"] = sidecar.envoy.endpoints.wish
            observed = Observed(sidecar, serving, credentials, control_plane)
            async with AsyncExitStack() as stack:
                more = stack.enter_context(sidecar.envoy.ejections.read(folder.path))
                folder.replace(folder.bootstrap.name, json.dumps({**enrolment.bootstrap, **more}))
                session.metrics = await stack.enter_async_context(observed.figures.door())
                if config.workload_api:
                    await stack.enter_async_context(workload_api(folder, proxy, control_plane, console))

                def reports(what: str, content_type: str = "application/json") -> Reports:
                    made = Reports(control_plane, proxy, what, content_type)
                    stack.push_async_callback(made.close)
                    return made

                waiting = Waiting()
                door = await stack.enter_async_context(spans_door(folder.path, waiting))
                spans = Forwarding(waiting, reports("spans", CONTENT_TYPE), console)
                calls, of_calls = sidecar.envoy.calls, reports("calls")
                observed.rest = [spans.finish, partial(calls.finish, of_calls)]
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
                endpoints = sidecar.envoy.endpoints.run(reports("endpoints"))
                beside = {"certificates": renewal, "spans": spans.run(), "calls": calls.run(of_calls)}
                beside |= {"logs": logs, "endpoints": endpoints}
                beside |= observed.figures.tasks()
                return await Life(sidecar, serving, observed).run(ways, beside)


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
