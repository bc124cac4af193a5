"""How often access rules have decided what against whom: what the control plane is told, and shows.

Counts are since the agent's start, so that telling them twice does no harm. What callers can bring about is bounded: of too many
kinds those that came last are told apart, and of the others their number.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tulle.model.decisions import LONGEST, MOST, What

_MOST_BYTES = 48 * 1024  # of what fits into a line of a session


class Kind(NamedTuple):
    """source, place: of the rule, "" if none decided. caller: the principal, "" without a certificate."""

    what: What
    source: str
    place: str
    caller: str


class Counts:
    """clock: in seconds, only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_kind: dict[Kind, tuple[int, float]] = {}  # how often, and when last, in that order
        self._other = 0
        self._lost = 0
        self._version = 0
        self._changed = asyncio.Event()

    def add(self, kind: Kind) -> None:
        kind = Kind(kind.what, *map(_plain, kind[1:]))
        count, _ = self._by_kind.pop(kind, (0, 0.0))
        self._by_kind[kind] = (count + 1, self._clock())
        if len(self._by_kind) > MOST:
            self._other += self._by_kind.pop(next(iter(self._by_kind)))[0]
        self._touch()

    def lose(self) -> None:
        """Something was decided, and can't be read."""
        self._lost += 1
        self._touch()

    async def after(self, version: int) -> int:
        """Waits until there is more than there was in that version, 0 for nothing; the version now. One task at a time."""
        while self._version == version:
            self._changed.clear()
            await self._changed.wait()
        return self._version

    def told(self) -> dict[str, Any]:
        """As api/decisions.py reads it: the last first."""
        counts, other, size, now = [], self._other, 0, self._clock()
        for kind, (count, at) in reversed(self._by_kind.items()):
            line = {**kind._asdict(), "count": count, "ago": round(now - at, 3)}
            size += len(json.dumps(line)) + 2
            if size > _MOST_BYTES:
                other += count
            else:
                counts.append(line)
        return {"counts": counts, "other": other, "lost": self._lost}

    def _touch(self) -> None:
        self._version += 1
        self._changed.set()


def _plain(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:LONGEST])
