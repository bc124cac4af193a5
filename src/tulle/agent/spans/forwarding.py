"""Sends what waits to the control plane. One that is away costs nothing but spans, which are counted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from tulle.agent.api import Refused, error_text
from tulle.agent.console import Console
from tulle.agent.spans.waiting import Waiting

CONTENT_TYPE = "application/x-protobuf"
LOST = "x-tulle-lost-spans"
_GATHER_SECONDS = 0.2
_BACK_OFF = (0.5, 5.0)
_TELL_SECONDS = 60.0


class Sending(Protocol):
    """agent/reports.py."""

    async def send(self, body: bytes, **headers: str) -> object: ...


class Forwarding:
    """reports: of the kind `spans`."""

    def __init__(self, waiting: Waiting, reports: Sending, console: Console) -> None:
        self._waiting = waiting
        self._reports = reports
        self._losses = _Losses(waiting, console)
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """For ever."""
        pause = _BACK_OFF[0]
        while True:
            await self._waiting.some()
            await asyncio.sleep(_GATHER_SECONDS)
            if await self._send():
                pause = _BACK_OFF[0]
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACK_OFF[1])

    async def finish(self, seconds: float) -> None:
        """Sends what is left, if that can be done in that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Those that are on their way are none that wait, and may come back.
                while await self._send() and self._waiting.spans:
                    pass

    async def _send(self) -> bool:
        """Whether that worked."""
        async with self._turn:
            waiting, taken = self._waiting, self._waiting.take()
            if not taken:
                return True
            try:
                await self._reports.send(b"".join(export for export, _ in taken), **{LOST: str(waiting.lost)})
            except (OSError, Refused) as error:
                if isinstance(error, Refused) and error.is_final:
                    waiting.lose(taken)
                else:
                    waiting.put_back(taken)
                self._losses.tell(error)
                return False
            except asyncio.CancelledError:
                waiting.put_back(taken)
                raise
            return True


class _Losses:
    """Told seldom: the program's output is worth more."""

    def __init__(self, waiting: Waiting, console: Console) -> None:
        self._waiting = waiting
        self._console = console
        self._told, self._next = 0, 0.0

    def tell(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._waiting.lost > self._told and now >= self._next:
            self._console.warning(
                f"{self._waiting.lost - self._told} spans of traces are lost, as the control plane does not take them "
                f"({error_text(error)}); calls are not affected"
            )
            self._told, self._next = self._waiting.lost, now + _TELL_SECONDS
