"""The last requests that failed or were slow, by the ids under which people ask for them. Bounded; the oldest go first.

A service whose requests all fail takes no more than its share of the room, so that those of others stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from tulle.telemetry.calls.told import Told

_MOST, _MOST_OF_ONE = 5000, 1000
_SHORTEST = 6  # of an id's beginning


class Kept(Struct, frozen=True):
    """proxy, service: who tells of it; identity proved by the agent."""

    proxy: str
    service: str
    told: Told


class Calls:
    """lost: how many sidecars have not told of, as there were too many."""

    def __init__(self, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._kept: dict[int, Kept] = {}  # in the order in which they came
        self._of_services: dict[str, deque[int]] = {}
        self._next = 0
        self.lost = 0

    def add(self, kept: Kept) -> None:
        own = self._of_services.setdefault(kept.service, deque())
        if len(own) >= self._most_of_one:
            del self._kept[own.popleft()]
        elif len(self._kept) >= self._most:
            self._forget_oldest()
        own = self._of_services.setdefault(kept.service, own)  # its only one may just have gone
        own.append(self._next)
        self._kept[self._next] = kept
        self._next += 1

    def _forget_oldest(self) -> None:
        kept = self._kept.pop(next(iter(self._kept)))
        own = self._of_services[kept.service]
        own.popleft()
        if not own:
            del self._of_services[kept.service]

    def __iter__(self) -> Iterator[Kept]:
        """The newest first."""
        return reversed(self._kept.values())

    def of(self, id: str) -> list[Kept]:
        """All that is told of a request, by its id or its trace's, or the beginning of one; in the order of time."""
        if len(id) < _SHORTEST:
            return []
        found = [one for one in self if one.told.id.startswith(id) or one.told.trace.startswith(id)]
        return sorted(found, key=lambda one: (one.told.at, one.told.side.value != "source"))
