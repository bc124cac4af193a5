"""Throwing out of the mesh who must not be in it any more, and taking that back. What is revoked is in the store (revoked.py).

What follows from it elsewhere (lists for handshakes, rules for requests, sessions that end) is made of `states` by others. Here
it is what enrolment compares with, so that nobody slips in between.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing

from msgspec import Struct

from tulle.identity import enrolled, revoked
from tulle.identity.audit import Audit, Event, nobody
from tulle.identity.crl import Revoked
from tulle.identity.enrolled import Enrolled
from tulle.identity.revocation_targets import Account, Named, NoTarget, meant, target_of
from tulle.identity.revocation_targets import nobody as nobody_there
from tulle.identity.revoked import RevokedAccount, RevokedProxy
from tulle.identity.svid import BACK_DATED, subject_of
from tulle.model.snapshot import Snapshot
from tulle.model.spiffe import workload_id
from tulle.store.contract import Delete, Put, Store, Unchanged
from tulle.store.errors import Compacted

_AT_ONCE = 1000  # proxies in a transaction

_log = logging.getLogger(__name__)


class IsRevoked(Exception):
    """It may not enrol, nor renew. The message says why."""


class Revocation(Struct, frozen=True):
    """All that is revoked as of `revision`, by key."""

    revision: int
    records: Mapping[str, RevokedProxy | RevokedAccount]

    @property
    def proxies(self) -> list[RevokedProxy]:
        return [one for one in self.records.values() if isinstance(one, RevokedProxy)]

    def serials(self, now: float) -> frozenset[Revoked]:
        """Of certificates that have not ended, whichever clock looks at them."""
        since = now - BACK_DATED.total_seconds()
        return frozenset(
            Revoked(int(each.serial, 16), one.since)
            for one in self.proxies
            for each in one.enrolled.certificates
            if each.not_after > since
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """Of all certificates that their workloads ever had, sorted: a connection that is open may be older than those of now."""
        return tuple(sorted(subject_of(one.enrolled.proxy) for one in self.proxies))


class Outcome(Struct, frozen=True):
    """changed: what was revoked, or undone, now. already: what of the target had been revoked before."""

    changed: tuple[RevokedProxy | RevokedAccount, ...]
    already: tuple[RevokedProxy | RevokedAccount, ...] = ()


class Revocations:
    """clock: Unix time in seconds. All methods raise StoreError."""

    def __init__(self, store: Store, clock: Callable[[], float], audit: Audit = nobody) -> None:
        self._store, self._clock, self._audit = store, clock, audit

    async def revoke(self, text: str, namespace: str = "", reason: str = "", by: str = "") -> Outcome:
        """Who is enrolled and meant by `text`, and with a service account also whoever would enrol. Raises NoTarget."""
        target = target_of(text, namespace)
        now, done = self._clock(), list[RevokedProxy | RevokedAccount]()
        already = await self._of(target)
        if isinstance(target, Account):
            # Before its proxies are listed: whoever was enrolled until now is among them, and nobody comes after.
            account = RevokedAccount(target.namespace, target.service_account, now, reason, by)
            key = revoked.account_key(target.namespace, target.service_account)
            if await self._store.transaction((Unchanged(key, 0),), (Put(key, revoked.encode(account)),)) is not None:
                done.append(account)
                self._tell("revoked", account, by, reason)
        while True:
            there = await self._enrolled()
            found = meant(target, [one for one, _ in there.values()])
            if not found and not done and not already and isinstance(target, Named):
                raise nobody_there(target, [one for one, _ in there.values()])
            for start in range(0, len(found), _AT_ONCE):
                part = [RevokedProxy(one, now, reason, by) for one in found[start : start + _AT_ONCE]]
                if not await self._thrown_out(part, there):
                    break  # one of them has renewed at this moment, or is gone
                done += part
                for one in part:
                    self._tell("revoked", one, by, reason)
            else:
                return Outcome(tuple(done), tuple(already))

    async def undo(self, text: str, namespace: str = "", by: str = "") -> Outcome:
        """A proxy is as before, with its certificates; a service account may enrol again, and no more. Raises NoTarget."""
        target = target_of(text, namespace)
        changed: list[RevokedProxy | RevokedAccount] = []
        for one in await self._of(target):
            if isinstance(one, RevokedProxy) and isinstance(target, Account):
                continue  # the keys for which it was revoked are no safer now
            if await self._undone(one):
                changed.append(one)
                self._tell("revocation undone", one, by, one.reason)
        if not changed:
            raise NoTarget(f"{text} is not revoked; `tulle revoke --list` shows what is")
        return Outcome(tuple(changed))

    async def check(self, proxy: str, namespace: str, service_account: str) -> tuple[Unchanged, ...]:
        """What must still hold when it is written down that the proxy is enrolled. Raises IsRevoked."""
        keys = (revoked.proxy_key(proxy), revoked.account_key(namespace, service_account))
        for key in keys:
            if stored := await self._store.get(key):
                record = self._decoded(stored.key, stored.value)
                why = record.why if record else f"the record at {key} in the store can't be read; remove it"
                raise IsRevoked(f"{why}; whoever runs the mesh can undo it: tulle revoke --undo")
        return tuple(Unchanged(key, 0) for key in keys)

    async def why(self, proxy: str) -> str:
        """Why a proxy is revoked; "" if it is not."""
        stored = await self._store.get(revoked.proxy_key(proxy))
        record = self._decoded(stored.key, stored.value) if stored else None
        return record.why if record else ""

    async def all(self) -> Revocation:
        listing = await self._store.range(revoked.PREFIX)
        return Revocation(listing.revision, self._records((item.key, item.value) for item in listing.items))

    async def states(self) -> AsyncGenerator[Revocation, None]:
        """All that is revoked, now and after each change, without end."""
        while True:
            state = await self.all()
            yield state
            try:
                async with aclosing(self._store.watch(revoked.PREFIX, state.revision)) as batches:
                    async for events in batches:
                        records = dict(state.records)
                        for event in events:
                            records.pop(event.key, None)
                            if event.value is not None:
                                records.update(self._records([(event.key, event.value)]))
                        state = Revocation(events[-1].revision, records)
                        yield state
            except Compacted:
                continue

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Those whose requests are to be denied, as a source."""
        async with aclosing(self.states()) as states:
            async for state in states:
                yield Snapshot(state.revision, revoked=state.subjects)

    async def tidy(self) -> None:
        """Forgets proxies whose certificates have ended, and the connections that were open with them as well."""
        for one in (await self.all()).proxies:
            if one.ends + revoked.KEPT_SECONDS < self._clock():
                await self._store.delete(revoked.proxy_key(one.enrolled.proxy))

    async def _enrolled(self) -> dict[str, tuple[Enrolled, int]]:
        """By proxy, with the revision of its record."""
        found: dict[str, tuple[Enrolled, int]] = {}
        for item in (await self._store.range(enrolled.PREFIX)).items:
            try:
                record = enrolled.decode(item.value)
            except ValueError as error:
                _log.warning("the record at %s in the store is skipped: %s", item.key, error)
                continue
            found[record.proxy] = (record, item.revision)
        return found

    async def _thrown_out(self, part: Iterable[RevokedProxy], there: Mapping[str, tuple[Enrolled, int]]) -> bool:
        compares: list[Unchanged] = []
        operations: list[Put | Delete] = []
        for one in part:
            proxy = one.enrolled.proxy
            compares.append(Unchanged(enrolled.key(proxy), there[proxy][1]))
            operations += (Put(revoked.proxy_key(proxy), revoked.encode(one)), enrolled.deletion(proxy))
        return await self._store.transaction(compares, operations) is not None

    async def _undone(self, one: RevokedProxy | RevokedAccount) -> bool:
        """False: somebody else was faster. Raises NoTarget if its service account is revoked."""
        free, back = list[Unchanged](), list[Put]()
        if isinstance(one, RevokedAccount):
            key = revoked.account_key(one.namespace, one.service_account)
        else:
            was = one.enrolled
            key, account = revoked.proxy_key(was.proxy), revoked.account_key(was.namespace, was.service_account)
            if await self._store.get(account):
                raise NoTarget(
                    f"the service account {was.service_account} in namespace {was.namespace} is revoked: undo that first, "
                    f"tulle revoke --undo ns/{was.namespace}/sa/{was.service_account}"
                )
            free.append(Unchanged(account, 0))
            back.append(Put(enrolled.key(was.proxy), enrolled.encode(was)))
        stored = await self._store.get(key)
        if stored is None or self._decoded(key, stored.value) != one:
            return False
        compares = (Unchanged(key, stored.revision), *free)
        return await self._store.transaction(compares, (Delete(key), *back)) is not None

    async def _of(self, target: Account | Named) -> list[RevokedProxy | RevokedAccount]:
        """What of a target is revoked."""
        records = (await self.all()).records.values()
        proxies = [one for one in records if isinstance(one, RevokedProxy)]
        chosen = meant(target, [one.enrolled for one in proxies])
        found: list[RevokedProxy | RevokedAccount] = [one for one in proxies if one.enrolled in chosen]
        if isinstance(target, Account):
            asked = (target.namespace, target.service_account)
            accounts = [one for one in records if isinstance(one, RevokedAccount)]
            found = [*(one for one in accounts if (one.namespace, one.service_account) == asked), *found]
        return found

    def _tell(self, event: str, one: RevokedProxy | RevokedAccount, by: str, reason: str) -> None:
        if isinstance(one, RevokedProxy):
            what = f"proxy {one.enrolled.proxy}"
            spiffe_id = workload_id(one.enrolled.namespace, one.enrolled.service_account)
        else:
            what, spiffe_id = "service account", workload_id(one.namespace, one.service_account)
        self._audit(Event(self._clock(), event, by, what, spiffe_id, reason=reason))

    def _records(self, items: Iterable[tuple[str, bytes]]) -> dict[str, RevokedProxy | RevokedAccount]:
        return {key: record for key, value in items if (record := self._decoded(key, value))}

    def _decoded(self, key: str, value: bytes) -> RevokedProxy | RevokedAccount | None:
        try:
            return revoked.decode(key, value)
        except ValueError as error:
            _log.warning("the record at %s in the store is skipped: %s", key, error)
            return None
