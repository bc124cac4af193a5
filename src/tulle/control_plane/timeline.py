"""Since when things are as they are. Not durable: after a restart it begins anew.

Wall-clock times, as people read them.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health
from tulle.pipeline.view import View


class Sync(Struct):
    """A stream's history: since when it is there, and since when it is, or is not, in sync."""

    connected_since: float
    in_sync: bool
    since: float


class Timeline:
    """clock: Unix time in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._health: dict[str, dict[str, tuple[Health, float]]] = {}  # by proxy and workload
        self._sync: dict[View, Sync] = {}

    def saw_facts(self, snapshot: Snapshot) -> None:
        now = self._clock()
        for proxy_id, proxy in snapshot.proxies.items():
            before = self._health.pop(proxy_id, {})
            if proxy is not None:
                self._health[proxy_id] = {w.id: _since(before.get(w.id), w.health, now) for w in proxy.workloads}

    def saw(self, view: View) -> None:
        now, ready = self._clock(), view.ready
        sync = self._sync.get(view)
        if sync is None:
            self._sync[view] = Sync(now, ready, now)
        elif sync.in_sync != ready:
            sync.in_sync, sync.since = ready, now

    def lost(self, view: View) -> None:
        self._sync.pop(view, None)

    def health_since(self, proxy: str, workload: str) -> float | None:
        found = self._health.get(proxy, {}).get(workload)
        return found[1] if found else None

    def sync(self, view: View) -> Sync | None:
        return self._sync.get(view)


def _since(before: tuple[Health, float] | None, health: Health, now: float) -> tuple[Health, float]:
    return before if before and before[0] is health else (health, now)
