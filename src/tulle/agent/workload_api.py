"""The SPIFFE Workload API beside the program, if it is asked for: a process of its own (`tulle.workload_api`), kept running.

It has nothing but the workload's own certificate and key, in the folder; what it needs of the control plane it asks for here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from tulle.agent.api import ControlPlane, Refused
from tulle.agent.console import Console
from tulle.agent.descendants import die_with_parent
from tulle.agent.exits import AgentError
from tulle.agent.folder import Folder

VARIABLE = "SPIFFE_ENDPOINT_SOCKET"
_SOCKET = "workload.sock"
_LONGEST = 107  # unix(7), sun_path, less its last byte
_READY_SECONDS = 15.0
_AGAIN_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
_LONGEST_LINE = 1 << 20  # bytes; the longest list of audiences is shorter, as JSON too


def environment(folder: Folder) -> Mapping[str, str]:
    """What the program is told. Source: SPIFFE Workload Endpoint, section 4. Raises AgentError."""
    path = str(folder.path / _SOCKET)
    if len(os.fsencode(path)) > _LONGEST:
        raise AgentError(
            f"{path} is longer than the name of a socket can be ({_LONGEST} bytes): --workload-api needs a state folder "
            "with a shorter path; give one with --data, to `tulle up` as well"
        )
    return {VARIABLE: f"unix://{path}"}


@asynccontextmanager
async def workload_api(
    folder: Folder, proxy: str, control_plane: ControlPlane, console: Console
) -> AsyncIterator[None]:
    """It is there within the block; started again whenever it dies. Raises AgentError."""
    served = _Served(folder, proxy, control_plane, console)
    process = await served.started()
    keeping = asyncio.create_task(served.keep(process), name="workload API")
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


class _Served:
    def __init__(self, folder: Folder, proxy: str, control_plane: ControlPlane, console: Console) -> None:
        self._folder = folder
        self._proxy = proxy
        self._control_plane = control_plane
        self._console = console

    async def started(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tulle.workload_api", str(self._folder.path)),
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # ctrl-C in a terminal is for the agent
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        assert process.stdout
        try:
            async with asyncio.timeout(_READY_SECONDS):
                if await process.stdout.readline():
                    return process
        except TimeoutError:
            pass
        await _ended(process)
        raise AgentError("the SPIFFE Workload API does not start")

    async def keep(self, process: Process) -> None:
        while True:
            try:
                await self._answer(process)
            finally:
                await _ended(process)
            self._console.warning("the SPIFFE Workload API has died; starting it again")
            while True:
                await asyncio.sleep(_AGAIN_SECONDS)
                with suppress(AgentError, OSError):
                    process = await self.started()
                    break

    async def _answer(self, process: Process) -> None:
        assert process.stdout and process.stdin
        async with asyncio.TaskGroup() as group:
            while line := await process.stdout.readline():
                group.create_task(self._one(json.loads(line), process), name="question of the workload API")

    async def _one(self, asked: dict[str, Any], process: Process) -> None:
        answer: dict[str, Any] = {"answer": asked.get("ask")}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if asked.get("what") == "jwt_svid":
                    answer["value"] = await self._control_plane.jwt_svid(self._proxy, asked["audience"])
                else:
                    answer["value"] = await self._control_plane.jwt_keys()
        except (OSError, Refused) as error:
            answer["error"] = str(error) or "the control plane can't be asked now"
        assert process.stdin
        with suppress(OSError):
            process.stdin.write(json.dumps(answer).encode() + b"\n")
            await process.stdin.drain()


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
