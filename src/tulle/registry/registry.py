"""Who is alive: what agents tell of their proxies and workloads, kept in the store.

The registry itself keeps nothing, so that several control planes can share a store. A proxy's record lies under a lease
of its own and goes with it; what is learned of services and of who calls whom stays. Who may speak for which proxy is
left to the API.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import KnownService, Snapshot
from tulle.model.vips import NETWORK, candidates
from tulle.model.workload import Health, Proxy, Workload
from tulle.registry.admission import problems_of
from tulle.registry.errors import NotRegistered, RegistrationRefused, StillAlive
from tulle.registry.keys import (
    PROXIES,
    ROOT,
    Callee,
    callee_key,
    callees_prefix,
    decode,
    encode,
    proxy_key,
    service_key,
    vip_holder,
    vip_key,
)
from tulle.registry.known import changed_protocols, disagreement, with_workloads
from tulle.registry.view import View
from tulle.store.contract import Delete, KeyValue, NothingNewer, Put, Range, Store, Unchanged
from tulle.store.errors import Compacted, LeaseNotFound

_DELETES_AT_ONCE = 100

_log = logging.getLogger(__name__)


class Registry:
    """All methods raise StoreError when the store fails; then nothing has changed that a reader could see."""

    def __init__(self, store: Store, lease_seconds: float = 4.0, grace_seconds: float = 1.0) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._reported: set[tuple[str, str]] = set()

    async def register(self, proxy: Proxy) -> None:
        """The proxy is alive, and as given, healths included. Writes nothing if that is known.

        Raises RegistrationRefused: for what is invalid, an id that lives as somebody else, or a port that live
        instances of the service offer with another protocol.
        """
        if problems := problems_of(proxy):
            raise RegistrationRefused("; ".join(problems))
        value = encode(proxy)
        lease = 0
        while True:
            stored = await self._store.get(proxy_key(proxy.id))
            self._check_same_instances(stored, proxy)
            compares, operations = await self._remember(proxy)
            if stored is not None and await self._store.keep_alive(stored.lease):
                if stored.value == value and not operations:
                    return
                lease = stored.lease
            lease = lease or await self._store.grant(self._lease_seconds)
            compares.append(Unchanged(proxy_key(proxy.id), stored.revision if stored else 0))
            operations.append(Put(proxy_key(proxy.id), value, lease))
            try:
                if await self._store.transaction(compares, operations) is not None:
                    return
            except LeaseNotFound:  # it expired at the last moment
                lease = 0

    async def keep_alive(self, proxy: str) -> bool:
        """Give the proxy its whole lease again. False: it is gone, and has to be registered again. Writes nothing."""
        stored = await self._store.get(proxy_key(proxy))
        return stored is not None and await self._store.keep_alive(stored.lease)

    async def set_health(self, proxy: str, workload: str, health: Health) -> None:
        """One workload's health, from now on. Writes nothing if it is known. Raises NotRegistered."""
        while True:
            stored = await self._store.get(proxy_key(proxy))
            known = self._decode(stored)
            if stored is None or not isinstance(known, Proxy) or workload not in {one.id for one in known.workloads}:
                raise NotRegistered(f"workload {workload} of proxy {proxy} is not registered: register it first")
            workloads = tuple(replace(one, health=health) if one.id == workload else one for one in known.workloads)
            if workloads == known.workloads:
                return
            put = Put(stored.key, encode(replace(known, workloads=workloads)), stored.lease)
            try:
                if await self._store.transaction((Unchanged(stored.key, stored.revision),), (put,)) is not None:
                    return
            except LeaseNotFound:  # the record will be gone with it
                raise NotRegistered(f"the lease of proxy {proxy} has expired: register it again") from None

    async def leave(self, proxy: str) -> None:
        """The proxy ended in good order: it is gone at once."""
        if stored := await self._store.get(proxy_key(proxy)):
            await self._store.revoke(stored.lease)

    async def abandon(self, proxy: str) -> None:
        """Nobody speaks for the proxy any more: it goes after the grace unless it is kept alive or registered again."""
        if stored := await self._store.get(proxy_key(proxy)):
            await self._store.shorten(stored.lease, self._grace_seconds)

    async def address_of(self, service: ServiceName) -> str:
        """The address that stands for a declared host; given to it for good if it has none yet. Raises RegistryError."""
        while True:
            stored = await self._store.get(service_key(service))
            found = self._decode(stored)
            known = found if isinstance(found, KnownService) else KnownService(service, (), ())
            if known.vip:
                return known.vip
            vip, taking = await self._vip(service)
            compares = (
                Unchanged(vip_key(vip), taking.revision if taking else 0),
                Unchanged(service_key(service), stored.revision if stored else 0),
            )
            puts = (
                Put(vip_key(vip), vip_holder(service)),
                Put(service_key(service), encode(replace(known, vip=vip))),
            )
            if await self._store.transaction(compares, puts) is not None:
                return vip

    async def learn(self, caller: ServiceName, callee: Destination) -> None:
        """Remember for good that a service calls a destination. Writes nothing if it is known."""
        key = callee_key(caller, callee)
        if await self._store.get(key) is None:
            await self._store.transaction((Unchanged(key, 0),), (Put(key, b""),))

    async def forget(self, service: ServiceName) -> None:
        """Forget what is known of a service, and whom it calls; not who calls it. Raises StillAlive."""
        while True:
            proxies = await self._store.range(PROXIES)
            live = [one.id for one in self._workloads(proxies) if one.service == service]
            if live:
                raise StillAlive(f"{service} has live instances ({', '.join(live)}): stop them first")
            callees = await self._store.range(callees_prefix(service))
            if await self._delete((*(item.key for item in callees.items), service_key(service)), proxies):
                return

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """First everything, then without end what has changed, at once. A slow reader gets several changes as one."""
        view = View(self._report)
        while True:
            listing = await self._store.range(ROOT)
            yield view.listed(listing)
            try:
                async with aclosing(self._store.watch(ROOT, listing.revision)) as changes:
                    async for events in changes:
                        yield view.changed(events)
            except Compacted:
                continue  # the reader was too slow for the store's memory: list again, and tell the difference

    async def _remember(self, proxy: Proxy) -> tuple[list[Unchanged | NothingNewer], list[Put | Delete]]:
        """What to write of the proxy's services, if anything, and what must still hold then."""
        compares: list[Unchanged | NothingNewer] = []
        operations: list[Put | Delete] = []
        for service in sorted({workload.service for workload in proxy.workloads}):
            stored = await self._store.get(service_key(service))
            found = self._decode(stored)
            known = found if isinstance(found, KnownService) else None
            wanted = with_workloads(known, service, (one for one in proxy.workloads if one.service == service))
            if not wanted.vip:
                vip, taking = await self._vip(service)
                wanted = replace(wanted, vip=vip)
                compares.append(Unchanged(vip_key(vip), taking.revision if taking else 0))
                operations.append(Put(vip_key(vip), vip_holder(service)))
            # Also when nothing is new: whoever changes or forgets the service meanwhile hasn't seen this proxy.
            compares.append(Unchanged(service_key(service), stored.revision if stored else 0))
            if known is not None and changed_protocols(known, wanted):
                proxies = await self._store.range(PROXIES)
                others = (one for one in self._proxies(proxies) if one.id != proxy.id)
                if refusal := disagreement(others, wanted):
                    raise RegistrationRefused(refusal)
                compares.append(NothingNewer(PROXIES, proxies.revision))
            if wanted != known:
                operations.append(Put(service_key(service), encode(wanted)))
        return compares, operations

    async def _vip(self, service: ServiceName) -> tuple[str, KeyValue | None]:
        """The first of the service's addresses that is free, or its own already, and what is stored there."""
        for vip in candidates(service):
            stored = await self._store.get(vip_key(vip))
            if stored is None or stored.value == vip_holder(service):
                return vip, stored
        raise RegistrationRefused(f"there is no address left for {service}: all of {NETWORK} are given to services")

    async def _delete(self, keys: Sequence[str], proxies: Range) -> bool:
        """Delete them, in parts; False as soon as a proxy was put since `proxies` were listed."""
        for start in range(0, len(keys), _DELETES_AT_ONCE):
            part = [Delete(key) for key in keys[start : start + _DELETES_AT_ONCE]]
            if await self._store.transaction((NothingNewer(PROXIES, proxies.revision),), part) is None:
                return False
        return True

    def _check_same_instances(self, stored: KeyValue | None, proxy: Proxy) -> None:
        """Whoever registers with an id that is alive must be who lives."""
        found = self._decode(stored)
        if isinstance(found, Proxy) and _instances(found) != _instances(proxy):
            raise RegistrationRefused(
                f"proxy id {proxy.id} is taken: it is alive as {', '.join(sorted(_instances(found)))}. Choose another "
                "id, or stop that one first"
            )

    def _proxies(self, listing: Range) -> Iterator[Proxy]:
        for item in listing.items:
            if isinstance(found := self._decode(item), Proxy):
                yield found

    def _workloads(self, listing: Range) -> Iterator[Workload]:
        for proxy in self._proxies(listing):
            yield from proxy.workloads

    def _decode(self, stored: KeyValue | None) -> Proxy | KnownService | Callee | None:
        if stored is None:
            return None
        try:
            return decode(stored.key, stored.value)
        except ValueError as error:
            self._report(stored.key, str(error))
            return None

    def _report(self, key: str, reason: str) -> None:
        if (key, reason) not in self._reported:
            self._reported.add((key, reason))
            _log.warning("the record at %s in the store is skipped: %s", key, reason)


def _instances(proxy: Proxy) -> frozenset[str]:
    return frozenset(f"{one.id} of {one.service} ({one.identity})" for one in proxy.workloads)
