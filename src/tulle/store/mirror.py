"""The store's contents in memory, and what a batch of changes would make of them.

Reads are answered from the mirror, which shows only what is durable. A batch of changes is decided in a draft over it.
The draft is written to the file, and becomes part of the mirror once it is there or is thrown away whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tulle.store.contract import Delete, Event, KeyValue, NothingNewer, Put, Range, Unchanged
from tulle.store.errors import LeaseNotFound


class Mirror:
    """What is durable. `leases`: their ttls. `last_lease`: the highest id ever granted, so that none is used twice."""

    def __init__(self, revision: int, last_lease: int, leases: Mapping[int, float], items: Iterable[KeyValue]) -> None:
        self.revision = revision
        self.last_lease = last_lease
        self.leases = dict(leases)
        self.items: dict[str, KeyValue] = {}
        self._keys: defaultdict[int, set[str]] = defaultdict(set)
        for item in items:
            self._set(item.key, item)

    def range(self, prefix: str) -> Range:
        found = [item for key, item in self.items.items() if key.startswith(prefix)]
        return Range(self.revision, tuple(sorted(found, key=lambda item: item.key)))

    def keys_of(self, lease: int) -> frozenset[str]:
        return frozenset(self._keys.get(lease, ()))

    def apply(self, draft: Draft) -> None:
        """Take over what is now durable. The draft must have been made of this mirror as it is."""
        self.revision, self.last_lease = draft.revision, draft.last_lease
        for key, item in draft.items.items():
            self._set(key, item)
        for lease, ttl in draft.leases.items():
            if ttl is None:
                self.leases.pop(lease, None)
            else:
                self.leases[lease] = ttl

    def _set(self, key: str, item: KeyValue | None) -> None:
        before = self.items.pop(key, None) if item is None else self.items.get(key)
        if before is not None and before.lease:
            self._keys[before.lease].discard(key)
            if not self._keys[before.lease]:
                del self._keys[before.lease]
        if item is not None:
            self.items[key] = item
            if item.lease:
                self._keys[item.lease].add(key)


class Draft:
    """A mirror with changes. `items` and `leases` hold only what differs (None: gone), `events` every step.

    A method that raises has changed nothing.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self.revision = mirror.revision
        self.last_lease = mirror.last_lease
        self.items: dict[str, KeyValue | None] = {}
        self.leases: dict[int, float | None] = {}
        self.events: list[Event] = []

    @property
    def is_empty(self) -> bool:
        return not self.items and not self.leases

    def transaction(
        self, compares: Sequence[Unchanged | NothingNewer], operations: Sequence[Put | Delete]
    ) -> int | None:
        """As `Store.transaction`, for checked arguments."""
        if not all(self._holds(compare) for compare in compares):
            return None
        for operation in operations:
            if isinstance(operation, Put) and operation.lease and not self._is_granted(operation.lease):
                raise LeaseNotFound(f"key {operation.key!r} can't be put under lease {operation.lease}: it is gone")
        self._change([one for one in operations if isinstance(one, Put) or self._get(one.key) is not None])
        return self.revision

    def grant(self, ttl: float) -> int:
        self.last_lease += 1
        self.leases[self.last_lease] = ttl
        return self.last_lease

    def revoke(self, leases: Iterable[int]) -> None:
        """End those of the leases that there are, and delete their keys in one revision."""
        revoked = [lease for lease in leases if self._is_granted(lease)]
        self._change([Delete(key) for lease in revoked for key in sorted(self._keys_of(lease))])
        self.leases.update(dict.fromkeys(revoked))

    def _change(self, operations: Sequence[Put | Delete]) -> None:
        if operations:
            self.revision += 1
        for one in operations:
            if isinstance(one, Put):
                self.items[one.key] = KeyValue(one.key, one.value, self.revision, one.lease)
                self.events.append(Event(one.key, one.value, self.revision))
            else:
                self.items[one.key] = None
                self.events.append(Event(one.key, None, self.revision))

    def _holds(self, compare: Unchanged | NothingNewer) -> bool:
        if isinstance(compare, Unchanged):
            found = self._get(compare.key)
            return (found.revision if found else 0) == compare.revision
        return all(item.revision <= compare.revision for item in self._under(compare.prefix))

    def _get(self, key: str) -> KeyValue | None:
        return self.items[key] if key in self.items else self._mirror.items.get(key)

    def _under(self, prefix: str) -> Iterator[KeyValue]:
        for items in (self.items, self._mirror.items):
            for key, item in items.items():
                if key.startswith(prefix) and item is not None and (items is self.items or key not in self.items):
                    yield item

    def _is_granted(self, lease: int) -> bool:
        return (self.leases[lease] if lease in self.leases else self._mirror.leases.get(lease)) is not None

    def _keys_of(self, lease: int) -> set[str]:
        kept = {key for key in self._mirror.keys_of(lease) if key not in self.items}
        return kept | {key for key, item in self.items.items() if item is not None and item.lease == lease}
