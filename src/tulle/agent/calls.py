"""Single requests that Envoy tells of: kept within bounds, and told to the control plane.

Those that failed or were slow always, a few a second; all that somebody wants to see while he looks. Nobody reads more of a line
than its beginning when there are too many. Headers are told for those alone who want them, and what is secret of them never
leaves this process.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from tulle.agent.api import Refused
from tulle.agent.reports import Reports
from tulle.model import headers
from tulle.model.calls import ABOUT, HEADERS, MOST_AT_ONCE, Wanted, checked, is_notable, is_wanted, runtime

BEGINNING = f'{{"{ABOUT}":'.encode()
WITH_HEADERS = f'{{"{ABOUT}":"{HEADERS}"'.encode()
_OF_HEADERS = ("request_headers", "response_headers", "response_trailers")
_NOTABLE_AT_ONCE, _NOTABLE_A_SECOND = 50.0, 10.0
_READ_A_SECOND = 2000.0  # to look whether they are wanted; long ones count for several
_READ_AS_ONE = 4096  # bytes
_MOST_HEADERS = 512 * 1024  # bytes, in one report
_MOST_TAPS = 10
_LONGEST = 300
_PAUSE, _TAP_PAUSE = 1.0, 0.2
_BACK_OFF = 2.0
_OFF = runtime(tapped=False, headers=False)


class Calls:
    """set_runtime: of all running Envoys; raises OSError. clock: seconds, only goes forward."""

    def __init__(
        self,
        set_runtime: Callable[[Mapping[str, int]], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._set_runtime = set_runtime
        self._clock = clock
        self._taps: dict[str, tuple[Wanted, float]] = {}
        self._runtime: Mapping[str, int] | None = _OFF  # None: not known, or not the same of all
        self._kept: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0  # of their headers
        self._lost = 0
        self._notable = _Bucket(_NOTABLE_AT_ONCE, _NOTABLE_A_SECOND, clock)
        self._read = _Bucket(_READ_A_SECOND, _READ_A_SECOND, clock)
        self._passed: dict[str, _Bucket] = {}
        self._woken = asyncio.Event()

    def told(self, line: bytes) -> None:
        """One line of Envoy's, as translate/telemetry/calls.py has it written."""
        if not self._read.take(1 + len(line) // _READ_AS_ONE):
            self._lost += 1
            return
        try:
            call = json.loads(line)
        except ValueError:  # cut off, as Envoy ended
            self._lost += 1
            return
        # Who wants headers is not told of what Envoy had told without them, as it does until it has been turned.
        has_headers = call.get(ABOUT) == HEADERS
        by = [
            name
            for name, (wanted, _) in self._taps.items()
            if is_wanted(wanted, call) and (has_headers or not wanted.headers)
        ]
        taps = [name for name in by if self._passed[name].take()]
        notable = is_notable(call)
        if notable and not taps and not self._notable.take():
            notable = False
            self._lost += 1
        elif by and not taps:
            self._lost += 1
        if taps or notable:
            self._keep(call, taps)

    def _keep(self, call: dict[str, Any], taps: list[str]) -> None:
        kept = {name: _bounded(value) for name, value in call.items() if name != ABOUT and name not in _OF_HEADERS}
        size = 0
        if call.get(ABOUT) == HEADERS and any(self._taps[name][0].headers for name in taps):
            of_headers = {name: headers.shown(call.get(name)) for name in _OF_HEADERS}
            kept |= of_headers
            size = len(json.dumps(of_headers))
        self._kept.append(({**kept, "taps": taps}, size))
        self._bytes += size
        while len(self._kept) > MOST_AT_ONCE or self._bytes > _MOST_HEADERS:
            self._bytes -= self._kept.popleft()[1]
            self._lost += 1
        self._woken.set()

    def wish(self, value: Any) -> None:
        """The control plane wants to see requests: `{"<name>": {... Wanted}}`, all of its wishes; it says so again and again.

        What is beyond the bounds of one is refused: nothing is told for it.
        """
        now = self._clock()
        found = {}
        for name, said in list(value.items() if isinstance(value, dict) else ())[:_MOST_TAPS]:
            # A control plane of another version may want what is not known here: nothing of that is told.
            with suppress(ValueError):
                wanted = checked(msgspec.convert(said, Wanted))
                found[str(name)] = (wanted, now + min(float(wanted.seconds), 60.0))
                bucket = self._passed.get(str(name))
                if bucket is None or bucket.rate != wanted.most:
                    self._passed[str(name)] = _Bucket(float(wanted.most), float(wanted.most), self._clock)
        self._taps = found
        self._passed = {name: bucket for name, bucket in self._passed.items() if name in found}
        self._woken.set()

    async def renew(self) -> None:
        """A new Envoy is there, which knows of nothing."""
        if self._runtime != _OFF:
            self._runtime = None
        await self._turn()

    async def run(self, reports: Reports) -> None:
        """Tells what there is, until it is cancelled."""
        while True:
            if not self._taps and self._runtime == _OFF:
                await self._woken.wait()
            self._woken.clear()
            await self._turn()
            if self._kept or self._lost:
                await self._report(reports)
            await asyncio.sleep(_TAP_PAUSE if self._taps else _PAUSE)

    async def finish(self, reports: Reports, seconds: float) -> None:
        """Tells what is left, if that can be done in that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._kept or self._lost:
                    await self._report(reports)

    async def _report(self, reports: Reports) -> None:
        told, lost = [call for call, _ in self._kept], self._lost
        self._kept.clear()
        self._bytes = self._lost = 0
        try:
            await reports.send(json.dumps({"calls": told, "lost": lost}).encode())
        except (OSError, Refused):  # what is of a moment is not worth telling later
            self._lost += lost + len(told)
            await asyncio.sleep(_BACK_OFF)

    async def _turn(self) -> None:
        """Has Envoy tell what is wanted now. One that does not answer is asked again: else it would tell of all for ever."""
        now = self._clock()
        self._taps = {name: (wanted, until) for name, (wanted, until) in self._taps.items() if until > now}
        with_headers = any(wanted.headers for wanted, _ in self._taps.values())
        wanted = runtime(tapped=bool(self._taps), headers=with_headers)
        if wanted == self._runtime:
            return
        try:
            await self._set_runtime(wanted)
            self._runtime = wanted
        except OSError:  # another one may have taken it
            self._runtime = None


class _Bucket:
    """Of tokens. rate: a second."""

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self._size, self.rate, self._clock = size, rate, clock
        self._left, self._at = size, clock()

    def take(self, tokens: int = 1) -> bool:
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < tokens:
            return False
        self._left -= tokens
        return True


def _bounded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in value[:_LONGEST])
