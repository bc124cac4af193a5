"""Sends what waits to the control plane, for ever. One that is away costs nothing but spans, which are counted."""

from __future__ import annotations

import asyncio
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


async def forward(waiting: Waiting, reports: Sending, console: Console) -> None:
    """reports: of the kind `spans`."""
    losses = _Losses(waiting, console)
    pause = _BACK_OFF[0]
    while True:
        await waiting.some()
        await asyncio.sleep(_GATHER_SECONDS)
        taken = waiting.take()
        try:
            await reports.send(b"".join(export for export, _ in taken), **{LOST: str(waiting.lost)})
        except (OSError, Refused) as error:
            is_final = isinstance(error, Refused) and error.is_final
            if is_final:
                waiting.lose(taken)
            else:
                waiting.put_back(taken)
            losses.tell(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BACK_OFF[1])
        except asyncio.CancelledError:
            waiting.put_back(taken)
            raise
        else:
            pause = _BACK_OFF[0]


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
