"""Tells the control plane what was counted, as often as it wants to know. Nothing waits for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tulle.agent.api import Refused
from tulle.agent.figures.reading import SECONDS, Reading
from tulle.agent.figures.telling import Telling
from tulle.agent.reports import Reports

_LONGEST_SECONDS = 300.0
_REFUSED_SECONDS = 15.0
_BAD = (400, 413, 422)  # to send the same again would be of no use


class Reporting:
    def __init__(self, reading: Reading, telling: Telling, reports: Reports) -> None:
        self._reading = reading
        self._telling = telling
        self._reports = reports
        self._turn = asyncio.Lock()
        self.sent = 0
        self.failed = 0
        self.lost = 0  # that the control plane can't read

    async def run(self) -> None:
        """For ever. Where nothing could be read, nothing is told: that there were no calls is not known."""
        while True:
            await self._reading.came.wait()
            self._reading.came.clear()
            await asyncio.sleep(await self._send())

    async def finish(self, seconds: float) -> None:
        """Tells what is left, if that can be done in that time, and closes the connection."""
        with suppress(OSError):  # a TimeoutError is one
            async with asyncio.timeout(seconds):
                while self._telling.has_more:
                    failed = self.failed
                    await self._send()
                    if self.failed != failed:
                        break
        await self._reports.close()

    async def _send(self) -> float:
        """Seconds until the next one."""
        async with self._turn:  # else what confirms one could be taken to confirm the next
            return await self._send_next()

    async def _send_next(self) -> float:
        try:
            answer = await self._reports.send(self._telling.report())
        except Refused as refused:
            self.failed += 1
            if refused.status in _BAD:
                self.lost += 1
                self._telling.confirmed()
            return _REFUSED_SECONDS
        except OSError:
            self.failed += 1
            return SECONDS
        self.sent += 1
        self._telling.confirmed()
        return _again(answer)


def _again(answer: object) -> float:
    again = answer.get("again") if isinstance(answer, dict) else None
    return min(max(float(again), 0.1), _LONGEST_SECONDS) if isinstance(again, int | float) else SECONDS
