"""One Envoy, kept running: started, asked whether it is ready, started again when it crashes, stopped.

It is a direct child, which the kernel kills when the agent ends, and in a session of its own, so that ctrl-C in a
terminal does not end it before the program. What it logs is kept, the last of it, and shown when it fails;
TULLE_DEBUG=1 shows all.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from tulle.agent import http1
from tulle.agent.console import Console
from tulle.agent.descendants import die_with_parent
from tulle.agent.exits import AgentError, of_return_code
from tulle.agent.folder import Folder

_OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "-l", "warning")
_FIRST_TRIES = 3
_BACK_OFF = (0.1, 5.0)
_STEADY_SECONDS = 10.0
_STOP_SECONDS = 2.0
_POLL_SECONDS = 0.02
_ADMIN_SECONDS = 1.0
_LOG_BYTES = 16384
_LOG_LINES = 12
_ACTIVE = "http.inbound.downstream_rq_active"


class Envoy:
    """The sidecar of this agent, in its folder."""

    def __init__(self, binary: str, folder: Folder, console: Console) -> None:
        self._binary = binary
        self._folder = folder
        self._console = console
        self._log = b""
        self._pid = 0
        self._watcher: Callable[[int], None] = lambda _: None
        self._launch: Callable[[], None] | None = None
        self.live = asyncio.Event()

    async def keep_running(self, on_live: Callable[[bool], None], launch: Callable[[], None] | None = None) -> None:
        """Runs Envoy until cancelled, then stops it.

        on_live: told whether it takes calls, at every change. launch: called in the new process, right before it becomes
        Envoy. Raises AgentError if it can't be brought to life the first time.
        """
        self._launch = launch
        pause, tries = _BACK_OFF[0], 0
        while True:
            started = asyncio.get_running_loop().time()
            end = await self._run_once(on_live)
            tries += 1
            if not self.live.is_set() and tries >= _FIRST_TRIES:
                raise AgentError(f"Envoy does not start; it {end}")
            if asyncio.get_running_loop().time() - started > _STEADY_SECONDS:
                pause = _BACK_OFF[0]
            self._console.warning(f"starting Envoy again; it {end}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BACK_OFF[1])

    async def active_requests(self) -> int | None:
        """How many requests to the program are in flight; None if Envoy does not answer."""
        answer = await self._admin(f"/stats?filter={quote(f'^{_ACTIVE}$')}")
        if answer is None:
            return None
        value = answer.rpartition(b":")[2].strip()
        return int(value) if value.isdigit() else 0

    def watched_by(self, watcher: Callable[[int], None]) -> None:
        """From now on `watcher` is told the process id of each Envoy, the present one's at once."""
        self._watcher = watcher
        if self._pid:
            watcher(self._pid)

    async def _run_once(self, on_live: Callable[[bool], None]) -> str:
        """One life of Envoy; how it ended."""
        try:
            process = await self._start()
        except OSError as error:  # no memory for it, or its file is gone for a moment, as in an upgrade
            return f"can't be run: {error}"
        self._pid = process.pid
        self._watcher(self._pid)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_log(process), name="envoy log")
                watching = group.create_task(self._watch(on_live), name="envoy readiness")
                code = await process.wait()
                watching.cancel()
            return f"ended with exit code {of_return_code(code)} and said:\n{self._last_words()}"
        finally:
            on_live(False)
            self._pid = 0
            await _stop(process)

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *(self._binary, "--config-path", self._folder.bootstrap.name, *_OPTIONS),
            cwd=self._folder.path,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            start_new_session=True,
            preexec_fn=functools.partial(_become, os.getpid(), self._launch),
        )

    async def _watch(self, on_live: Callable[[bool], None]) -> None:
        """Waits until Envoy says that it is live; it stays so until it ends."""
        while b"LIVE" not in (await self._admin("/ready") or b""):  # noqa: ASYNC110  Envoy can only be asked
            await asyncio.sleep(_POLL_SECONDS)
        self.live.set()
        on_live(True)

    async def _admin(self, target: str) -> bytes | None:
        """A GET at Envoy's admin socket; None if it does not answer, or not with 200."""
        with suppress(OSError):
            async with asyncio.timeout(_ADMIN_SECONDS), http1.over_unix(self._folder.admin) as connection:
                await connection.request("GET", target, {})
                status, body = await connection.response(), await connection.body()
                return body if status == 200 else None
        return None

    async def _read_log(self, process: Process) -> None:
        assert process.stderr
        show = os.environ.get("TULLE_DEBUG")
        while part := await process.stderr.read(4096):
            self._log = (self._log + part)[-_LOG_BYTES:]
            if show:
                sys.stderr.write(part.decode(errors="replace"))

    def _last_words(self) -> str:
        words, self._log = self._log, b""
        lines = words.decode(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  nothing"


def _become(agent: int, launch: Callable[[], None] | None) -> None:
    """In the new process."""
    die_with_parent(agent)
    if launch:
        launch()


async def _stop(process: Process) -> None:
    """Ends Envoy; it exits at once on SIGTERM, whatever is in flight."""
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with suppress(ProcessLookupError, TimeoutError):
                end()
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
