"""The last requests that failed or were slow, by the ids under which people ask for them. Bounded; the oldest go first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from tulle.telemetry.calls.told import Told

_MOST = 5000
_SHORTEST = 6  # of an id's beginning


class Kept(Struct, frozen=True):
    """proxy, service: who tells of it; identity proved by the agent."""

    proxy: str
    service: str
    told: Told


class Calls:
    """lost: how many sidecars have not told of, as there were too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._kept: deque[Kept] = deque(maxlen=most)
        self.lost = 0

    def add(self, kept: Kept) -> None:
        self._kept.append(kept)

    def __iter__(self) -> Iterator[Kept]:
        """The newest first."""
        return reversed(self._kept)

    def of(self, id: str) -> list[Kept]:
        """All that is told of a request, by its id or its trace's, or the beginning of one; in the order of time."""
        if len(id) < _SHORTEST:
            return []
        found = [one for one in self if one.told.id.startswith(id) or one.told.trace.startswith(id)]
        return sorted(found, key=lambda one: (one.told.at, one.told.side.value != "source"))
