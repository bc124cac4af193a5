"""The life of one workload, in order: what `tulle run` does from its first to its last moment.

Program and ports looked at; keys, certificates; folder, reaper; Envoy, session; ready; the program, checked; its end
(`ending.py`); bye; Envoy, the program's tree and the folder gone; exit code. Every wait has a bound, but the one for
the control plane at the start.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tulle.agent.api import ControlPlane, Enrolment
from tulle.agent.capture.environment import program_environment
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.credentials import Credentials, write_secrets
from tulle.agent.ending import after_crash, drain
from tulle.agent.envoy import Envoy
from tulle.agent.exits import AgentError, of_signal
from tulle.agent.folder import agent_folder
from tulle.agent.health import Checks, Health
from tulle.agent.key_making import KeyMaker, Keys
from tulle.agent.ports import reserve
from tulle.agent.program import locate, under_reaper
from tulle.agent.race import unless
from tulle.agent.session import Session
from tulle.agent.signals import handled_signals
from tulle.agent.workload import Workload
from tulle.envoy_api import binary

_READY_SECONDS = 10.0
_BYE_SECONDS = 1.0


async def supervise(config: AgentConfig, proxy: str, maker: KeyMaker, console: Console) -> int:
    """Runs the workload to its end; the exit code. Raises AgentError, perhaps within exception groups.

    maker: makes the keys already.
    """
    file = locate(config.command[0])
    control_plane = ControlPlane(Path(config.data))
    credentials = Credentials(config, proxy, control_plane, console)
    with handled_signals() as signals, reserve(config.service_ports) as ports:
        admission = await unless(_admission(config, credentials, maker), signals.stop())
        if admission is None:
            return of_signal(signals.first)
        envoy_file, keys, enrolment = admission
        environment, notes = program_environment(os.environ, config, proxy, ports)
        for note in notes:
            console.warning(note)
        with agent_folder(Path(config.data), proxy) as folder:
            async with under_reaper(file, config.command, environment, folder) as program:
                write_secrets(folder, keys, enrolment)
                folder.replace(folder.bootstrap.name, json.dumps(enrolment.bootstrap))
                health = Health()
                workload = Workload(
                    config=config,
                    console=console,
                    signals=signals,
                    ports=ports,
                    health=health,
                    envoy=Envoy(envoy_file, folder, console),
                    session=Session(config, proxy, ports, health, control_plane, console),
                    program=program,
                )
                return await _run(workload, credentials.keep_fresh(folder, enrolment))


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


async def _run(workload: Workload, renewal: Coroutine[Any, Any, None]) -> int:
    """Keeps the parts around the program running as long as the program does; the exit code."""
    health, program = workload.health, workload.program
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(workload.envoy.keep_running(program.envoy_is, health.sidecar_is_live), name="envoy"),
            group.create_task(workload.session.run(), name="session"),
            group.create_task(renewal, name="certificates"),
        ]
        if await unless(_sidecar_ready(workload), workload.signals.stop()):
            tasks.append(group.create_task(_checks(workload).run(), name="health checks"))
            code = await _run_program(workload)
        else:
            code = of_signal(workload.signals.first)
        await workload.session.bye(_BYE_SECONDS)
        for task in tasks:
            task.cancel()
    return code


async def _run_program(workload: Workload) -> int:
    """From the program's start to its end; the exit code."""
    workload.ports.release_programs()
    await workload.program.start()
    workload.signals.receiver = workload.program.signal
    if await unless(workload.program.ended(), workload.signals.stop()) is None:
        await drain(workload)
    else:
        await after_crash(workload)
    return workload.program.exit_code()


async def _sidecar_ready(workload: Workload) -> bool:
    """Waits until calls of the program find their way; goes on after a while in any case."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await workload.envoy.live.wait()
            await workload.session.ready()
        workload.console.info(
            f"{workload.session.proxy} is in the mesh; starting the program with PORT={workload.ports.program}"
        )
    except TimeoutError:
        if not workload.session.is_connected:
            why = "the control plane does not answer"
        elif not workload.envoy.live.is_set():
            why = "its Envoy has not got its configuration"
        else:
            why = "the control plane has not seen its Envoy take its configuration"
        workload.console.warning(
            f"the sidecar is not ready after {_READY_SECONDS:g} s ({why}); starting the program all the same, "
            "its first calls may fail"
        )
    return True


def _checks(workload: Workload) -> Checks:
    config = workload.config
    targets = [workload.ports.program if port.target is None else port.target for port in config.service_ports]
    return Checks(targets, config.health_path, workload.health, workload.console, expected=bool(config.ports))
