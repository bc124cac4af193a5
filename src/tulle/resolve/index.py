"""The mesh as one value, and how a snapshot changes it.

`apply` shares every part that did not change and says which names did, so that whoever holds a part of the mesh can be
told exactly when it is touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.workload import Proxy, Workload

K = TypeVar("K")
V = TypeVar("V")

_Member = tuple[str, str]  # of a service: the ids of proxy and workload, the latter being one proxy's own matter


class Instance(Struct, frozen=True):
    """A workload, the proxy that is its sidecar, and where that takes calls for it."""

    proxy: str
    address: str
    port: int
    workload: Workload


class Service(Struct, frozen=True):
    """A service: what it offers, who may serve it, and who does. All tuples are sorted. vip: as KnownService's."""

    name: ServiceName
    ports: tuple[KnownPort, ...] = ()
    identities: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()
    vip: str = ""


class Mesh(Struct, frozen=True):
    """Everything that is known as of `revision`. The mappings are never changed in place.

    callers: the inverse of `callees`, per service all services that are known to call it.
    """

    revision: int = 0
    proxies: Mapping[str, Proxy] = {}
    known: Mapping[ServiceName, KnownService] = {}
    services: Mapping[ServiceName, Service] = {}
    callees: Mapping[ServiceName, tuple[Destination, ...]] = {}
    callers: Mapping[ServiceName, frozenset[ServiceName]] = {}
    namespaces: tuple[str, ...] = ()


class Changed(Struct, frozen=True):
    """The names whose values differ between two meshes.

    services: what they offer or who may serve them changed, or they came or went; endpoints: only who serves them now.
    """

    services: frozenset[ServiceName] = frozenset()
    endpoints: frozenset[ServiceName] = frozenset()
    proxies: frozenset[str] = frozenset()
    namespaces: bool = False


def apply(mesh: Mesh, snapshot: Snapshot) -> tuple[Mesh, Changed]:
    """The mesh after `snapshot`. Costs what the snapshot touches, plus a copy of each mapping that it touches."""
    proxies, known = _merged(mesh.proxies, snapshot.proxies), _merged(mesh.known, snapshot.services)
    touched = set(snapshot.services)
    members: dict[ServiceName, dict[_Member, Instance]] = {}
    for proxy_id, now in snapshot.proxies.items():
        before = mesh.proxies.get(proxy_id)
        touched.update(w.service for p in (before, now) if p is not None for w in p.workloads)
    for name in touched:
        service = mesh.services.get(name)
        members[name] = {(i.proxy, i.workload.id): i for i in service.instances} if service else {}
    for proxy_id, now in snapshot.proxies.items():
        for workload in before.workloads if (before := mesh.proxies.get(proxy_id)) else ():
            members[workload.service].pop((proxy_id, workload.id), None)
        if now is not None:
            for workload in now.workloads:
                instance = Instance(proxy_id, now.address, now.inbound_port, workload)
                members[workload.service][proxy_id, workload.id] = instance

    services = dict(mesh.services)
    for name in touched:
        service = _service(name, known.get(name), members[name])
        if service is None:
            services.pop(name, None)
        else:
            services[name] = service
        if services.get(name) == mesh.services.get(name) and name in mesh.services:
            services[name] = mesh.services[name]
    changed = frozenset(n for n in touched if mesh.services.get(n) != services.get(n))
    endpoints = frozenset(n for n in changed if _offer(mesh.services.get(n)) == _offer(services.get(n)))
    namespaces = (
        _namespaces(services) if any((n in mesh.services) != (n in services) for n in touched) else mesh.namespaces
    )
    after = Mesh(
        revision=snapshot.revision,
        proxies=proxies,
        known=known,
        services=services if changed else mesh.services,
        callees=_merged(mesh.callees, {caller: callees or None for caller, callees in snapshot.callees.items()}),
        callers=_callers(mesh, snapshot),
        namespaces=namespaces,
    )
    differing = frozenset(p for p in snapshot.proxies if mesh.proxies.get(p) != proxies.get(p))
    return after, Changed(changed - endpoints, endpoints, differing, namespaces != mesh.namespaces)


def _merged(before: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    if not changes:
        return before
    after = dict(before)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = value
    return after


def _callers(mesh: Mesh, snapshot: Snapshot) -> Mapping[ServiceName, frozenset[ServiceName]]:
    turned: defaultdict[ServiceName, set[ServiceName]] = defaultdict(set)
    for caller, now in snapshot.callees.items():
        before = mesh.callees.get(caller, ())
        for service in {c.service for c in before} ^ {c.service for c in now}:
            turned[service].add(caller)
    after = {service: mesh.callers.get(service, frozenset()) ^ callers for service, callers in turned.items()}
    return _merged(mesh.callers, {service: callers or None for service, callers in after.items()})


def _service(name: ServiceName, known: KnownService | None, members: Mapping[_Member, Instance]) -> Service | None:
    """What is known and who is alive, as one value; None if neither says anything."""
    if known is None and not members:
        return None
    instances = tuple(members[key] for key in sorted(members))
    offered = {p.number: KnownPort(p.number, p.protocol, p.name) for i in instances for p in i.workload.ports}
    identities = {i.workload.identity for i in instances}
    if known is not None:  # what was of the dead counts only while nobody alive says anything
        offered = offered or {p.number: p for p in known.ports}
        identities = identities or set(known.identities)
    vip = known.vip if known else ""
    return Service(name, tuple(offered[n] for n in sorted(offered)), tuple(sorted(identities)), instances, vip)


def _offer(service: Service | None) -> tuple[tuple[KnownPort, ...], tuple[str, ...], str] | None:
    return (service.ports, service.identities, service.vip) if service else None


def _namespaces(services: Mapping[ServiceName, Service]) -> tuple[str, ...]:
    return tuple(sorted({name.namespace for name in services}))
