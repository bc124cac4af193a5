"""Until when each lease lives. In memory only: a heartbeat must cost no write.

When the whole process stood still (SIGSTOP, a long stall of the event loop), the heartbeats that came meanwhile lie
unread in its sockets. So only `tick` lets leases expire, and a tick that is late gives every lease its whole time
again. Deleting the keys of what has expired is left to the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

TICK_SECONDS = 0.25
STALL_SECONDS = 1.0


class _Lease(Struct):
    ttl: float
    deadline: float


class Leases:
    """All times are of one monotonic clock, in seconds; ttls too."""

    def __init__(self, ttls: Mapping[int, float], now: float) -> None:
        self._leases = {lease: _Lease(ttl, now + ttl) for lease, ttl in ttls.items()}
        self._expired: set[int] = set()
        self._last_tick = now

    def add(self, lease: int, ttl: float, now: float) -> None:
        self._leases[lease] = _Lease(ttl, now + ttl)

    def remove(self, lease: int) -> None:
        self._leases.pop(lease, None)
        self._expired.discard(lease)

    def keep_alive(self, lease: int, now: float) -> bool:
        """False if there is no such lease, or if it has expired."""
        found = self._leases.get(lease)
        if found is None:
            return False
        found.deadline = now + found.ttl
        return True

    def shorten(self, lease: int, seconds: float, now: float) -> None:
        if found := self._leases.get(lease):
            found.deadline = min(found.deadline, now + seconds)

    def tick(self, now: float) -> tuple[int, ...]:
        """The leases that have expired and were not removed yet: if that fails, the next tick names them again."""
        stalled = now - self._last_tick > STALL_SECONDS
        self._last_tick = now
        if stalled:
            for lease in self._leases.values():
                lease.deadline = now + lease.ttl
        for expired in [id for id, lease in self._leases.items() if lease.deadline <= now]:
            del self._leases[expired]
            self._expired.add(expired)
        return tuple(sorted(self._expired))
