"""The control plane of the development loop: the one that runs on the state folder, else one of its own, kept running."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tulle.api.views import ServiceView, StatusView
from tulle.cli.client import ControlPlane
from tulle.cli.development import process
from tulle.cli.development.screen import Screen, told_apart
from tulle.cli.exits import Failed, Unreachable

NAME = "up"
_POLL_SECONDS = 0.05
_END_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


class MeshControlPlane:
    """Is started if none answers; then `keep_running` is to run as long as it is needed, and `end` at the end."""

    def __init__(self, data: Path, screen: Screen) -> None:
        self._data = data
        self._client = ControlPlane(data, environ={})
        self._screen = screen
        self._own: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[int] | None = None

    async def healths(self) -> dict[str, str] | None:
        """The health of each instance by its id; None while no control plane answers."""
        try:
            services = await asyncio.to_thread(self._client.get, "/v1/services", list[ServiceView])
        except (Unreachable, Failed):
            return None
        return {instance.id: str(instance.health) for service in services for instance in service.instances}

    async def ensure(self) -> None:
        """Returns when one answers. Raises Failed if it can't be started."""
        if await self._answers():
            return
        self._screen.say(f"no control plane runs on {self._data}; starting one")
        await self._start()

    async def keep_running(self) -> None:
        """Starts it again whenever it ends without being told to; somebody else's is left alone."""
        while self._following is not None:
            code = await asyncio.shield(self._following)
            self._screen.say(f"the control plane has ended with exit code {code}; starting it again", "warning")
            await asyncio.sleep(_AGAIN_SECONDS)
            try:
                await self._start()
            except Failed as error:
                self._screen.say(error.message, "error")

    async def end(self) -> None:
        """Ends it if it is ours."""
        if self._own is None or self._following is None:
            return
        self.signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._following], timeout=_END_SECONDS)
        if not done:
            self.signal(signal.SIGKILL)
            await self._following
        self._own = None

    def signal(self, number: signal.Signals) -> None:
        if self._own is not None and self._own.returncode is None:
            self._own.send_signal(number)

    async def _start(self) -> None:
        # Who develops looks at each call.
        words = ("--log-format", "json", "--trace-sampling", "100", "--trace-b3")
        self._own = await process.start("up", "--data", str(self._data), *words)
        self._following = asyncio.create_task(process.follow(self._own, self._hear), name="control plane")
        while not self._following.done():
            if await self._answers():
                return
            await asyncio.sleep(_POLL_SECONDS)
        self._own, code, self._following = None, self._following.result(), None
        if not await self._answers():  # another `tulle dev` may have been quicker
            raise Failed(f"the control plane could not be started (exit code {code}); its last lines say why")

    async def _answers(self) -> bool:
        try:
            await asyncio.to_thread(self._client.get, "/v1/status", StatusView)
        except Unreachable:
            return False
        return True

    def _hear(self, line: bytes) -> None:
        words, said = told_apart(line)
        if words or said is None:
            self._screen.program(NAME, words)
        if said is not None:
            self._screen.tulle(NAME, said.level, said.message)
