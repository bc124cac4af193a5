"""Keeps the key sets that resources name: fetched, refreshed, the last good one kept; and tells them as facts.

A set is written to the store and told from there. One that can't be fetched is a trouble, with since when; tokens whose keys
have never been fetched are not good.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial

from tulle.api.doors import KeyTrouble
from tulle.control_plane.key_sets import records, schedule
from tulle.control_plane.key_sets.addresses import Allowed, Refused
from tulle.control_plane.key_sets.fetching import FetchFailed, LookUp, fetch, look_up
from tulle.control_plane.key_sets.reading import Unreadable, keys_uri, public_keys
from tulle.control_plane.key_sets.records import KeySet
from tulle.control_plane.key_sets.schedule import Source
from tulle.control_plane.logs import plain
from tulle.control_plane.mesh import DECLARED, LiveMesh
from tulle.model.snapshot import Snapshot
from tulle.store.contract import Event, Store
from tulle.store.errors import Compacted, StoreError

_AT_ONCE = 8

_log = logging.getLogger(__name__)


class KeySets:
    """clock: Unix time in seconds. refresh: after how many seconds a set is fetched again."""

    def __init__(
        self, store: Store, allowed: Allowed, refresh: float, clock: Callable[[], float], look_up: LookUp = look_up
    ) -> None:
        self._store, self._allowed, self._refresh, self._clock, self._look_up = store, allowed, refresh, clock, look_up
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._known: dict[str, KeySet] = {}
        self._troubles: dict[str, KeyTrouble] = {}

    def troubles(self) -> Mapping[str, KeyTrouble]:
        """Why sets could not be fetched when it was tried last, by their URI."""
        return self._troubles

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """First all that are stored, then without end what has changed."""
        told: dict[str, str] = {}  # the URI of each record's key
        while True:
            listing = await self._store.range(records.ROOT)
            there = [Event(item.key, item.value, item.revision) for item in listing.items]
            gone = [Event(key, None, listing.revision) for key in told.keys() - {item.key for item in listing.items}]
            yield Snapshot(listing.revision, key_sets=self._news([*there, *gone], told))
            try:
                async with aclosing(self._store.watch(records.ROOT, listing.revision)) as batches:
                    async for batch in batches:
                        yield Snapshot(batch[-1].revision, key_sets=self._news(batch, told))
            except Compacted:
                continue

    def _news(self, events: Iterable[Event], told: dict[str, str]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for event in events:
            if event.value is None:
                if (uri := told.pop(event.key, None)) is not None:
                    found[uri] = None
                    self._known.pop(uri, None)
                continue
            try:
                record = records.decode(event.key, event.value)
            except ValueError as error:
                _log.warning("the record at %s in the store is skipped: %s", event.key, error)
                continue
            told[event.key] = record.uri
            found[record.uri] = record.keys
            self._known[record.uri] = record
        return found

    async def keep(self, live: LiveMesh) -> None:
        """Fetch what the mesh's resources name, for ever. The mesh must be known."""
        tasks: dict[Source, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                policies = live.hub.mesh.declared.policies
                wanted = schedule.sources(live.hub.mesh.declared)
                within = set(list(wanted.values())[: schedule.MOST_SETS])
                for source in tasks.keys() - within:
                    tasks.pop(source).cancel()
                for uri in self._troubles.keys() - wanted.keys():
                    del self._troubles[uri]
                for source in wanted.values():
                    if source not in within:
                        self._failed(source, f"there are more than {schedule.MOST_SETS} key sets to be fetched")
                    elif source not in tasks:
                        tasks[source] = group.create_task(self._follow(source), name=f"keys at {source.uri}")
                await self._forget(self._known.keys() - wanted.keys())
                await live.changes.until(DECLARED, partial(_differ, live, policies))

    async def _follow(self, source: Source) -> None:
        failures = 0
        while True:
            async with self._few:
                failures = 0 if await self._fetched(source) else failures + 1
            await asyncio.sleep(schedule.wait(failures, self._refresh, random.random()))  # noqa: S311

    async def _fetched(self, source: Source) -> bool:
        try:
            keys = public_keys(await self._answer(source))
            await self._put(source.uri, keys)
        except (FetchFailed, Refused, Unreadable) as error:
            self._failed(source, str(error))
            return False
        except StoreError as error:
            self._failed(source, f"the keys can't be kept: {error}")
            return False
        if self._troubles.pop(source.uri, None) is not None:
            _log.info("the keys at %s are fetched again", plain(source.uri))
        return True

    async def _answer(self, source: Source) -> bytes:
        body = await fetch(source.uri, self._allowed, source.timeout, self._look_up)
        if not source.described:
            return body
        return await fetch(keys_uri(body), self._allowed, source.timeout, self._look_up)

    async def _put(self, uri: str, keys: str) -> None:
        before = self._known.get(uri)
        if before is None or before.keys != keys:
            await self._store.put(records.key_of(uri), records.encode(KeySet(uri, keys, self._clock())))
            _log.info("the keys at %s are %s", plain(uri), "fetched" if before is None else "others now")

    async def _forget(self, uris: Iterable[str]) -> None:
        for uri in list(uris):
            try:
                await self._store.delete(records.key_of(uri))
            except StoreError as error:
                _log.warning("the keys at %s can't be forgotten yet: %s", plain(uri), error)

    def _failed(self, source: Source, why: str) -> None:
        before, kept = self._troubles.get(source.uri), self._known.get(source.uri)
        self._troubles[source.uri] = KeyTrouble(why, before.since if before else self._clock(), kept is not None)
        if before is None or before.reason != why:
            then = "those that were fetched before stay" if kept else "no token of that issuer is good until then"
            _log.warning("the keys at %s can't be fetched, %s: %s", plain(source.uri), then, plain(why))


def _differ(live: LiveMesh, policies: object) -> bool:
    return live.hub.mesh.declared.policies is not policies
