"""What one reader of snapshots has been told, and from that what to tell next.

However the store's changes are cut into batches, and also after a gap, the snapshots add up to what the store holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import KnownService, Snapshot
from tulle.model.workload import Proxy
from tulle.registry.keys import Callee, decode, subject_of
from tulle.store.contract import Event, Range


class View:
    """One reader's view. A record that can't be read counts as absent; `report` is given its key and the reason."""

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._told: dict[str, int] = {}  # revisions of the records that the reader has
        self._callees: defaultdict[ServiceName, set[Destination]] = defaultdict(set)

    def listed(self, listing: Range) -> Snapshot:
        """What differs from the whole as it is now: all of it for a new reader."""
        present = {item.key for item in listing.items}
        gone = [Event(key, None, listing.revision) for key in self._told if key not in present]
        new = [
            Event(item.key, item.value, item.revision)
            for item in listing.items
            if item.revision != self._told.get(item.key)
        ]
        return self._snapshot(listing.revision, [*gone, *new])

    def changed(self, events: tuple[Event, ...]) -> Snapshot:
        """What some events, oldest first, have changed."""
        return self._snapshot(events[-1].revision, events)

    def _snapshot(self, revision: int, events: Iterable[Event]) -> Snapshot:
        proxies: dict[str, Proxy | None] = {}
        services: dict[ServiceName, KnownService | None] = {}
        callers: set[ServiceName] = set()
        for event in {event.key: event for event in events}.values():
            record = self._read(event)
            if record is None and self._told.pop(event.key, None) is None:
                continue
            match record or subject_of(event.key):
                case Proxy() as proxy:
                    proxies[proxy.id] = proxy
                case KnownService() as known:
                    services[known.service] = known
                case Callee() as callee:
                    self._set_callee(callee, is_there=record is not None)
                    callers.add(callee.caller)
                case ServiceName() as service:
                    services[service] = None
                case id:
                    proxies[id] = None
        callees = {caller: tuple(sorted(self._callees.get(caller, ()))) for caller in sorted(callers)}
        return Snapshot(revision, proxies, services, callees)

    def _read(self, event: Event) -> Proxy | KnownService | Callee | None:
        if event.value is None:
            return None
        try:
            record = decode(event.key, event.value)
        except ValueError as error:
            self._report(event.key, str(error))
            return None
        self._told[event.key] = event.revision
        return record

    def _set_callee(self, callee: Callee, *, is_there: bool) -> None:
        callees = self._callees[callee.caller]
        if is_there:
            callees.add(callee.destination)
        else:
            callees.discard(callee.destination)
        if not callees:
            del self._callees[callee.caller]
