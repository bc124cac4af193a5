"""Takes exports in, and has them written: whoever sends is answered at once, and nobody waits for the disk.

What waits is bounded in bytes; beyond, senders are told to come again. A disk that is full or broken costs spans, which are
counted and told of once; it is tried again. It is also looked at when nothing comes: others may need the room.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct

from tulle.telemetry.traces import otlp
from tulle.telemetry.traces.database import MOST_BYTES, MOST_SECONDS, Database
from tulle.telemetry.traces.otlp import Sender
from tulle.telemetry.traces.search import Search
from tulle.telemetry.traces.span import Span

FILE = "traces.db"
MOST_WAITING = 16 * 1024 * 1024
_AT_ONCE = 1024 * 1024
_AGAIN_SECONDS = 5.0
_LOOK_EVERY = 5.0
_TELL_AGAIN = 3600.0  # that traces give way: on a short disk they do all the time
_MOST_AGENTS = 10_000
_FAREWELL_SECONDS = 3.0
_MOST_ASKING = 50
_JUMP = 300.0  # by so many seconds a clock is not merely corrected

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Full(Exception):
    """More came than can be written; come again."""


class Unreadable(Exception):
    """The file of traces can't be read now. The message says why."""


class Onward(Protocol):
    """Where spans go beside the file."""

    def add(self, export: bytes, spans: int) -> None:
        """Called from another thread than the loop's."""


class Counts(Struct, frozen=True):
    """Spans since the start: taken, lost by us, and lost by agents, as they say.

    deleted: traces; crowded_out: those of them that made room for others. trouble: why nothing can be written now, or "".
    largest: the service that has most of the room that is taken, "" for who is no sidecar, and how much of it, 0 to 1.
    """

    taken: int
    lost: int
    lost_by_agents: int
    malformed: int
    waiting_bytes: int
    deleted: int
    crowded_out: int
    trouble: str
    largest: tuple[str, float]


class Traces:
    """clock: Unix time in seconds. onward: None if spans go nowhere else. steady: seconds on a clock that only goes forward."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.time,
        onward: Onward | None = None,
        most_bytes: int = MOST_BYTES,
        most_seconds: float = MOST_SECONDS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = Database(folder / FILE, most_bytes, most_seconds)
        self._search = Search(folder / FILE)
        self._clock, self._steady = clock, steady
        self._offset = clock() - steady()
        self._onward = onward
        self._exports: deque[tuple[bytes, Sender | None]] = deque()
        self._waiting = 0
        self._waiting_of: Counter[str] = Counter()  # by the proxy whose agent sends; "" for who is none
        self._some = asyncio.Event()
        self._begun = asyncio.Event()  # only who writes can mend what a killed control plane has left
        self._writing = ThreadPoolExecutor(1, "traces")
        self._reading = ThreadPoolExecutor(1, "traces: search")
        self._taken = self._lost = self._malformed = 0
        self._lost_by: dict[str, int] = {}
        self._lost_by_agents = 0
        self._trouble = ""
        self._given_back, self._told_of_it = 0, -_TELL_AGAIN
        self._asking = 0

    def take(self, export: bytes, sender: Sender | None = None) -> None:
        """sender: who has proved to have sent it. Raises Full.

        Nobody may have more waiting than is still free: one who floods leaves half of the room, two leave a third of it.
        """
        whose = sender.proxy if sender else ""
        if self._waiting_of[whose] + len(export) > MOST_WAITING - self._waiting:
            raise Full("too many spans come at once; try again in a few seconds")
        if export:
            self._waiting_of[whose] += len(export)
            self._exports.append((export, sender))
            self._waiting += len(export)
            self._some.set()

    def lost_by(self, proxy: str, spans: int) -> None:
        """The proxy's agent has lost so many since its start."""
        before = self._lost_by.get(proxy, 0)
        self._lost_by_agents += spans - before if spans >= before else spans
        self._lost_by.pop(proxy, None)
        if len(self._lost_by) >= _MOST_AGENTS:
            del self._lost_by[next(iter(self._lost_by))]
        self._lost_by[proxy] = spans

    def counts(self) -> Counts:
        return Counts(
            *(self._taken, self._lost + self._database.lost, self._lost_by_agents, self._malformed),
            *(self._waiting, self._database.deleted, self._database.crowded_out, self._trouble),
            max(self._database.shares.items(), key=lambda one: one[1], default=("", 0.0)),
        )

    async def ask(self, question: Callable[[Search], T]) -> T:
        """What the question finds, in a thread of its own. Raises what it raises, and Unreadable."""
        if self._asking >= _MOST_ASKING:
            raise Unreadable("too many ask for traces at once; try again")
        self._asking += 1
        try:
            await self._begun.wait()
            return await asyncio.get_running_loop().run_in_executor(self._reading, question, self._search)
        except sqlite3.Error as error:
            raise Unreadable(f"the traces can't be read now: {self._trouble or error}") from error
        finally:
            self._asking -= 1

    async def keep(self) -> None:
        """Writes for ever; what has come is written when it is cancelled, if that does not take long."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writing, self._write, [])
            self._begun.set()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._some.wait()
                await loop.run_in_executor(self._writing, self._write, self._batch())
                if self._trouble:
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            last = self._writing.submit(self._last)
            await asyncio.wait([asyncio.wrap_future(last)], timeout=_FAREWELL_SECONDS)
            self._writing.shutdown(wait=False)
            self._reading.shutdown(wait=False)

    def _batch(self) -> list[tuple[bytes, Sender | None]]:
        batch: list[tuple[bytes, Sender | None]] = []
        size = 0
        while self._exports and size < _AT_ONCE:
            export, sender = self._exports.popleft()
            batch.append((export, sender))
            self._waiting_of[sender.proxy if sender else ""] -= len(export)
            size += len(export)
        self._waiting -= size
        if not self._exports:
            self._some.clear()
            self._waiting_of.clear()
        return batch

    def _last(self) -> None:
        while self._exports and not self._trouble:
            self._write(self._batch())
        self._database.close()

    def _write(self, batch: list[tuple[bytes, Sender | None]]) -> None:
        """In the thread that writes."""
        told: dict[str, list[Span]] = {}
        for export, sender in batch:
            told.setdefault(sender.service if sender else "", []).extend(self._spans(export, sender))
        count = sum(map(len, told.values()))
        try:
            self._database.write(told, self._now())
        except Exception as error:  # mostly of SQLite or the disk; none may end the control plane
            self._lost += count
            text = f"{self._database.path}: {error}"
            if text != self._trouble:
                _log.warning("traces can't be written, and spans are lost until they can: %s", text)
            self._trouble = text
        else:
            if self._trouble:
                _log.info("traces are written again; %d spans were lost", self._lost)
            self._trouble = ""
            self._taken += count
        self._tell_what_was_given_back()

    def _tell_what_was_given_back(self) -> None:
        more, now = self._database.given_back - self._given_back, self._steady()
        if more and now - self._told_of_it >= _TELL_AGAIN:
            self._given_back, self._told_of_it = self._database.given_back, now
            _log.warning(
                "%s: its disk is short of room; %d traces were dropped, the oldest first", self._database.path, more
            )

    def _now(self) -> int:
        """Unix time in nanoseconds. What is kept does not age by a jump of the machine's clock."""
        unix = self._clock()
        jump = unix - self._steady() - self._offset
        if abs(jump) > _JUMP:
            self._database.shift(int(jump * 1e9), int(unix * 1e9))
            self._offset += jump
        return int(unix * 1e9)

    def _spans(self, export: bytes, sender: Sender | None) -> list[Span]:
        try:
            request = otlp.parsed(export)
            if sender:
                otlp.stamp(request, sender)
            spans = list(otlp.spans_of(request))
        except Exception as error:  # mostly Malformed; none may end the control plane
            self._malformed += 1
            if self._malformed == 1:
                _log.warning("%s sent what is no export of spans: %s", sender.proxy if sender else "somebody", error)
            return []
        if self._onward and spans:
            self._onward.add(request.SerializeToString(), len(spans))
        return spans
