"""Reads what Envoys count, every two seconds and when somebody wants to know, and adds it up.

Each of its processes begins at 0, and an old one that answers its last calls is read as well. One that does not answer is passed
over. While calls have neither come nor gone, only how many there were is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tulle.agent.figures.collectors import Counts
from tulle.agent.figures.exposition import Reader, lines_of
from tulle.agent.figures.totals import Flow, Totals

SECONDS = 2.0
_LONGEST_SECONDS = 30.0
_SHARE = 20  # reading takes at most so much of the time: one part of it
_SETTLED_SECONDS = 8.0  # Envoy may tell how long requests took a few seconds after it tells how many there were
_WHOLE_SECONDS = 10.0  # and nothing of that is to be seen of what flows through TCP connections that are open
_SOON_SECONDS = 0.5
_DOORS = {"source": "http.outbound", "destination": "http.inbound"}  # by the reporter; of Envoy's stats
# Requests whose answers have begun, and those that have not ended; Envoy counts a request in series when it has ended.
_COMPLETED, _ACTIVE = "downstream_rq_completed", "downstream_rq_active"


class Process(Protocol):
    """A running Envoy."""

    async def calls(self) -> Mapping[str, int] | None:
        """How many there were, of all kinds; None if it does not tell."""

    async def figures(self) -> bytes | None:
        """All that it counts of them, in Prometheus' format; None if it does not tell."""

    async def collectors(self) -> Counts | None:
        """What collectors have not taken of what it told them; None if it does not tell."""


class _Known:
    """What is remembered of one process."""

    def __init__(self, totals: Totals) -> None:
        self.reader: Reader[tuple[str, Flow]] = Reader(totals.meaning)
        self.calls: Mapping[str, int] = {}
        self.collectors: Counts = {}
        self.moved = self.read = 0.0
        self.completed: dict[str, int] = {}
        self.active: dict[str, int] = {}


class Reading:
    """running: the processes, those that are about to end among them. clock: in seconds, only goes forward."""

    def __init__(self, totals: Totals, running: Callable[[], Sequence[Process]], clock: Callable[[], float]) -> None:
        self._totals = totals
        self._running = running
        self._clock = clock
        self._known: dict[Process, _Known] = {}
        self._completed: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looked = -_WHOLE_SECONDS
        self._turn = asyncio.Lock()
        self.uncounted = dict.fromkeys(_DOORS, 0)  # requests by reporter that were answered and are in no series
        self.failed = 0
        self.done = 0
        self.came = asyncio.Event()  # something was read since somebody cleared it

    async def run(self) -> None:
        """For ever."""
        while True:
            began = self._clock()
            await self._look()
            took = self._clock() - began
            await asyncio.sleep(min(max(SECONDS, _SHARE * took), _LONGEST_SECONDS))

    async def refresh(self, seconds: float) -> None:
        """Has all read now, and waits so long for it; a reading that takes longer is not cut off."""
        if self._looking is None and self._clock() - self._looked >= _SOON_SECONDS:
            self._looking = asyncio.create_task(self._look(whole=True), name="figures")
            self._looking.add_done_callback(self._looked_at)
        if self._looking:
            await asyncio.wait([self._looking], timeout=seconds)

    async def last(self, process: Process) -> None:
        """It is about to end."""
        async with self._turn:
            await self._read(process, whole=True)

    def _looked_at(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            self._looked = self._clock()
            task.exception()

    async def _look(self, *, whole: bool = False) -> None:
        async with self._turn:
            running = self._running()
            self._known = {process: known for process, known in self._known.items() if process in running}
            for process in running:
                await self._read(process, whole=whole)

    async def _read(self, process: Process, *, whole: bool) -> None:
        known = self._known.setdefault(process, _Known(self._totals))
        calls, now = await process.calls(), self._clock()
        if calls is None:
            self.failed += 1
            return
        if calls != known.calls:
            known.calls, known.moved = calls, now
        if whole or now - known.moved < _SETTLED_SECONDS or now - known.read >= _WHOLE_SECONDS:
            text = await process.figures()
            if text is None:
                self.failed += 1
                return
            for lines in lines_of(text):
                known.reader.read(lines)
                await asyncio.sleep(0)
            self._totals.add(known.reader.finish())
            self._compare(known, calls)
            await self._read_collectors(process, known)
            known.read = now
        self.done += 1
        self.came.set()

    async def _read_collectors(self, process: Process, known: _Known) -> None:
        counts = await process.collectors()
        if counts is None:
            self.failed += 1
            return
        self._totals.collectors.add(known.collectors, counts)
        known.collectors = counts

    def _compare(self, known: _Known, calls: Mapping[str, int]) -> None:
        for reporter, door in _DOORS.items():
            now, before = calls.get(f"{door}.{_COMPLETED}", 0), known.completed.get(reporter, 0)
            self._completed[reporter] = self._completed.get(reporter, 0) + max(0, now - before)
            known.completed[reporter] = max(now, before)
            known.active[reporter] = calls.get(f"{door}.{_ACTIVE}", 0)
            active = sum(each.active.get(reporter, 0) for each in self._known.values())
            missing = self._completed[reporter] - active - int(self._totals.counted.get(reporter, 0))
            self.uncounted[reporter] = max(self.uncounted[reporter], missing)
