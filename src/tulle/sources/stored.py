"""What users have declared: resources in the store, changed as one, read as snapshots.

Nothing is kept here, so that several control planes can share a store. Documents come in checked (codec). Thousands of
records are read and written beside the event loop, which has leases to keep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.actions import Action
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.sources.errors import Conflict, TooMany
from tulle.sources.records import ROOT, decode, encode, key_of, prefix_of, ref_of
from tulle.store.contract import MOST_OPERATIONS, Delete, Event, KeyValue, Put, Range, Store, Unchanged
from tulle.store.errors import Compacted

_FEW = 100  # as many are read one by one, and in the loop's own thread

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Outcome(Struct, frozen=True):
    """What became of one resource. before, after: it, as far as there was and is one that can be read."""

    ref: Ref
    action: Action
    before: Resource | None = None
    after: Resource | None = None


class Stored(Struct, frozen=True):
    """A resource, and the store's revision at which it was written last."""

    resource: Resource
    revision: int


class Declared:
    """clock: Unix time in seconds. All methods raise StoreError; then nothing has changed."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._reported: set[tuple[str, str]] = set()

    async def apply(
        self, resources: Sequence[Resource], *, expected: Mapping[Ref, int] | None = None, dry_run: bool = False
    ) -> list[Outcome]:
        """Write all of them or none, each under its own `ref`; in the order in which they are given.

        `created` and `generation` are those of what is stored. Raises Conflict for one whose revision is not as `expected`
        (0: that there is none), TooMany, ValueError for one that is given twice.
        """
        await _aside(len(resources), lambda: _check([one.ref for one in resources]))
        while True:
            stored = await self._read([key_of(one.ref) for one in resources])
            _compare(stored, expected or {})
            plan = await _aside(len(resources), partial(self._plan, resources, stored))
            if dry_run or not plan.operations:
                return plan.outcomes
            if await self._store.transaction(plan.compares, plan.operations) is not None:
                return plan.outcomes

    async def delete(
        self, refs: Sequence[Ref], *, expected: Mapping[Ref, int] | None = None, dry_run: bool = False
    ) -> list[Outcome]:
        """Remove those that there are, all of them or none: one outcome for each that was there. Raises as `apply`."""
        _check(refs)
        while True:
            stored = await self._read([key_of(ref) for ref in refs])
            _compare(stored, expected or {})
            there = [ref for ref in refs if key_of(ref) in stored]
            outcomes = await _aside(len(there), partial(self._deleted, there, stored))
            if dry_run or not there:
                return outcomes
            compares = [Unchanged(key_of(ref), stored[key_of(ref)].revision) for ref in there]
            if await self._store.transaction(compares, [Delete(key_of(ref)) for ref in there]) is not None:
                return outcomes

    async def get(self, ref: Ref) -> Stored | None:
        item = await self._store.get(key_of(ref))
        return self._stored(item) if item else None

    async def listed(self, kind: str = "", namespace: str | None = None) -> tuple[int, list[Stored]]:
        """All, those of a kind, those in a namespace, sorted; and the revision as of which they are."""
        listing = await self._store.range(prefix_of(kind, namespace))
        found = await _aside(len(listing.items), lambda: [self._stored(item) for item in listing.items])
        return listing.revision, [
            one for one in found if one is not None and namespace in (None, one.resource.ref.namespace)
        ]

    async def changes(self, after_revision: int) -> AsyncGenerator[list[tuple[Ref, Stored | None]], None]:
        """What is written, and deleted (None), after a revision, without end. Raises Compacted."""
        async with aclosing(self._store.watch(ROOT, after_revision)) as batches:
            async for events in batches:
                yield await _aside(len(events), partial(self._told, events))

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """First everything, then without end what has changed. A slow reader gets several changes as one."""
        told: dict[str, int] = {}  # revisions of the records that the reader has
        while True:
            listing = await self._store.range(ROOT)
            events = _difference(listing, told)
            yield await self._snapshot(listing.revision, events, told)
            try:
                async with aclosing(self._store.watch(ROOT, listing.revision)) as batches:
                    async for batch in batches:
                        yield await self._snapshot(batch[-1].revision, batch, told)
            except Compacted:
                continue  # the reader was too slow for the store's memory: list again, and tell the difference

    async def _snapshot(self, revision: int, events: Collection[Event], told: dict[str, int]) -> Snapshot:
        return Snapshot(revision, resources=await _aside(len(events), partial(self._news, events, told)))

    def _news(self, events: Iterable[Event], told: dict[str, int]) -> dict[Ref, Resource | None]:
        resources: dict[Ref, Resource | None] = {}
        for ref, stored in self._told(events):
            key = key_of(ref)
            if stored is not None:
                told[key] = stored.revision
                resources[ref] = stored.resource
            elif told.pop(key, None) is not None:
                resources[ref] = None
        return resources

    def _told(self, events: Iterable[Event]) -> list[tuple[Ref, Stored | None]]:
        found: list[tuple[Ref, Stored | None]] = []
        for event in {event.key: event for event in events}.values():
            try:
                ref = ref_of(event.key)
            except ValueError as error:
                self._report(event.key, str(error))
                continue
            item = None if event.value is None else KeyValue(event.key, event.value, event.revision)
            found.append((ref, self._stored(item) if item else None))
        return found

    async def _read(self, keys: Sequence[str]) -> dict[str, KeyValue]:
        if len(keys) > _FEW:
            items = (await self._store.range(ROOT)).items
            return await _aside(len(keys), lambda: _of_keys(items, frozenset(keys)))
        return {key: item for key in keys if (item := await self._store.get(key))}

    def _plan(self, resources: Sequence[Resource], stored: Mapping[str, KeyValue]) -> _Plan:
        now, plan = self._clock(), _Plan([], [], [])
        for given in resources:
            key = key_of(given.ref)
            item = stored.get(key)
            known = self._stored(item) if item else None
            before = known.resource if known else None
            after = _after(given, before, now)
            action = Action.CREATED if item is None else Action.CONFIGURED
            if before is not None and _says_the_same(before, after):
                action = Action.UNCHANGED
            plan.outcomes.append(Outcome(given.ref, action, before, after))
            plan.compares.append(Unchanged(key, item.revision if item else 0))
            value = encode(after)
            if item is None or value != item.value:
                plan.operations.append(Put(key, value))
        return plan

    def _deleted(self, refs: Iterable[Ref], stored: Mapping[str, KeyValue]) -> list[Outcome]:
        found = {ref: self._stored(stored[key_of(ref)]) for ref in refs}
        return [Outcome(ref, Action.DELETED, one.resource if one else None) for ref, one in found.items()]

    def _stored(self, item: KeyValue) -> Stored | None:
        try:
            return Stored(decode(item.key, item.value), item.revision)
        except ValueError as error:
            self._report(item.key, str(error))
            return None

    def _report(self, key: str, reason: str) -> None:
        if (key, reason) not in self._reported:
            self._reported.add((key, reason))
            _log.warning("the record at %s in the store is skipped: %s", key, reason)


class _Plan(Struct):
    outcomes: list[Outcome]
    compares: list[Unchanged]
    operations: list[Put]


def _after(given: Resource, before: Resource | None, now: float) -> Resource:
    if before is None:
        return replace(given, created=now, generation=1)
    generation = before.generation + (before.spec != given.spec)
    return replace(given, created=before.created, generation=generation)


def _says_the_same(before: Resource, after: Resource) -> bool:
    """Where its document was written says nothing."""
    return (before.generation, before.labels, before.annotations) == (after.generation, after.labels, after.annotations)


def _difference(listing: Range, told: Mapping[str, int]) -> list[Event]:
    present = {item.key for item in listing.items}
    gone = [Event(key, None, listing.revision) for key in told if key not in present]
    return gone + [
        Event(item.key, item.value, item.revision) for item in listing.items if item.revision != told.get(item.key)
    ]


def _of_keys(items: Iterable[KeyValue], keys: Collection[str]) -> dict[str, KeyValue]:
    return {item.key: item for item in items if item.key in keys}


def _compare(stored: Mapping[str, KeyValue], expected: Mapping[Ref, int]) -> None:
    for ref, revision in expected.items():
        item = stored.get(key_of(ref))
        if (item.revision if item else 0) != revision:
            raise Conflict(ref)


def _check(refs: Sequence[Ref]) -> None:
    if len(refs) > MOST_OPERATIONS:
        raise TooMany(f"{len(refs)} resources are more than can be changed as one: at most {MOST_OPERATIONS} at a time")
    if len(set(refs)) < len(refs):
        twice = next(ref for index, ref in enumerate(refs) if ref in refs[:index])
        raise ValueError(f"{twice} is given twice")


async def _aside(count: int, work: Callable[[], T]) -> T:
    """Beside the loop if it is much."""
    return await asyncio.to_thread(work) if count > _FEW else work()
