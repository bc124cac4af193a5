"""How a snapshot changes the mesh.

`apply` shares every part that did not change and says which names did, so that whoever holds a part of the mesh can be
told exactly when it is touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from tulle.model.names import ServiceName, service_of
from tulle.model.resources.request_authentication import RequestAuthentication, keys_at
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.resolve import declared
from tulle.resolve.access.plain_text import called_in_plain_text
from tulle.resolve.declared import Declared
from tulle.resolve.mesh import Changed, Instance, Member, Mesh, Service
from tulle.resolve.selecting import selecting
from tulle.resolve.selection import Selection
from tulle.resolve.workload_entries import group_of

K = TypeVar("K")
V = TypeVar("V")


def apply(mesh: Mesh, snapshot: Snapshot) -> tuple[Mesh, Changed]:
    """The mesh after `snapshot`. Costs what the snapshot touches, plus a copy of each mapping that it touches."""
    proxies, known = _merged(mesh.proxies, snapshot.proxies), _merged(mesh.known, snapshot.services)
    rules, about = declared.apply(mesh.declared, snapshot.resources)
    touched = {*snapshot.services, *map(service_of, about.entries)}
    members: dict[ServiceName, dict[Member, Instance]] = {}
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
        _put(services, mesh, _service(name, known.get(name), members[name], rules))
    chosen_by = _selecting(rules, touched, mesh.services, services)
    chosen_by |= {name for name in touched if name in services and services[name].entries}
    selection = Selection(
        rules, ((s.name, ((i.workload.tags, i) for i in s.instances)) for s in list(services.values()))
    )
    for name in chosen_by:
        _put(services, mesh, _with_selected(services[name], selection, rules))
    touched |= chosen_by
    differing = frozenset(n for n in touched if mesh.services.get(n) != services.get(n))
    endpoints = frozenset(n for n in differing if _offer(mesh.services.get(n)) == _offer(services.get(n)))
    after = Mesh(
        revision=max(snapshot.revision, mesh.revision),
        proxies=proxies,
        known=known,
        services=services if differing else mesh.services,
        callees=_merged(mesh.callees, {caller: callees or None for caller, callees in snapshot.callees.items()}),
        callers=_callers(mesh, snapshot),
        namespaces=mesh.namespaces,
        hosts=_hosts(rules) if about.hosts else mesh.hosts,
        declared=rules,
        addresses=_addresses(rules) if about.entries else mesh.addresses,
        key_sets=_merged(mesh.key_sets, snapshot.key_sets),
        revoked=mesh.revoked if snapshot.revoked is None else snapshot.revoked,
        plain=called_in_plain_text(mesh.plain, mesh.proxies, proxies, snapshot.proxies, rules, about),
        opening=mesh.opening,
        closing=mesh.closing,
        sampling=mesh.sampling,
        b3=mesh.b3,
    )
    if any((n in mesh.services) != (n in services) for n in touched):
        after = replace(after, namespaces=_namespaces(services))
    endpoints |= _spoken_to_otherwise(mesh, after) - differing
    ruled = {service_of(host) for host in about.hosts if not host.startswith("*")}
    return after, Changed(
        services=(differing - endpoints) | ruled,
        endpoints=endpoints - ruled,
        proxies=frozenset(p for p in snapshot.proxies if mesh.proxies.get(p) != proxies.get(p))
        | _chosen_otherwise(mesh.services, services, differing),
        names=(after.namespaces, after.hosts, after.addresses) != (mesh.namespaces, mesh.hosts, mesh.addresses),
        wildcards=frozenset(host for host in about.hosts if host.startswith("*")),
        scopes=about.namespaces,
        policed=about.policed | _keyed(rules, snapshot) | _all_if_revoked(mesh, after),
        everything=about.everything,
    )


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


def _spoken_to_otherwise(before: Mesh, after: Mesh) -> frozenset[ServiceName]:
    """The services of which an instance newly takes plain text alone, or no longer, or because of other policies."""
    if before.plain is after.plain:
        return frozenset()
    members = {member for member, _ in before.plain.items() ^ after.plain.items()}
    return frozenset(
        name
        for name, service in after.services.items()
        if any((i.proxy, i.workload.id) in members for i in (*service.instances, *service.chosen))
    )


def _keyed(rules: Declared, snapshot: Snapshot) -> frozenset[str]:
    """The namespaces of the RequestAuthentications whose keys have come or changed."""
    return frozenset(
        namespace
        for namespace, found in (rules.policies.items() if snapshot.key_sets else ())
        for one in found
        if isinstance(one.spec, RequestAuthentication)
        and any(keys_at(rule) in snapshot.key_sets for rule in one.spec.jwt_rules)
    )


def _all_if_revoked(before: Mesh, after: Mesh) -> frozenset[str]:
    """A certificate that no longer counts may have been shown to anybody."""
    return frozenset((after.declared.root_namespace,) if before.revoked != after.revoked else ())


def _callers(mesh: Mesh, snapshot: Snapshot) -> Mapping[ServiceName, frozenset[ServiceName]]:
    turned: defaultdict[ServiceName, set[ServiceName]] = defaultdict(set)
    for caller, now in snapshot.callees.items():
        before = mesh.callees.get(caller, ())
        for service in {c.service for c in before} ^ {c.service for c in now}:
            turned[service].add(caller)
    after = {service: mesh.callers.get(service, frozenset()) ^ callers for service, callers in turned.items()}
    return _merged(mesh.callers, {service: callers or None for service, callers in after.items()})


def _put(services: dict[ServiceName, Service], mesh: Mesh, made: Service | ServiceName) -> None:
    """Into `services`; the very value that the mesh has, if it is equal."""
    if isinstance(made, ServiceName):
        services.pop(made, None)
    else:
        before = mesh.services.get(made.name)
        services[made.name] = before if before is not None and before == made else made


def _service(
    name: ServiceName, known: KnownService | None, members: Mapping[Member, Instance], rules: Declared
) -> Service | ServiceName:
    """What is known, who is alive and what is declared, as one value; its name alone if there is no such service."""
    entries = rules.service_entries.get(name.host, ())
    if not entries and not members and (known is None or not name.namespace):
        return name
    instances = tuple(members[key] for key in sorted(members))
    offered = {p.number: KnownPort(p.number, p.protocol, p.name) for i in instances for p in i.workload.ports}
    identities = {i.workload.identity for i in instances}
    if known is not None:  # what was of the dead counts only while nobody alive says anything
        offered = offered or {p.number: p for p in known.ports}
        identities = identities or set(known.identities)
    vip = known.vip if known else ""
    return Service(name, tuple(offered[n] for n in sorted(offered)), tuple(sorted(identities)), instances, vip, entries)


def _selecting(
    rules: Declared,
    touched: Iterable[ServiceName],
    before: Mapping[ServiceName, Service],
    after: Mapping[ServiceName, Service],
) -> set[ServiceName]:
    """The services whose entries select instances of those that were touched, or did."""
    if not rules.selecting:
        return set()
    changed: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for name in touched:
        there = (service for services in (before, after) if (service := services.get(name)) is not None)
        changed[name.namespace] += (i.workload.tags for service in there for i in service.instances)
    entries = (entry.spec for entry in selecting(rules.selecting, changed))
    return {service_of(host.lower()) for spec in entries if isinstance(spec, ServiceEntry) for host in spec.hosts}


def _with_selected(service: Service, selection: Selection[Instance], rules: Declared) -> Service:
    selected: dict[Ref, Resource] = {}
    chosen: dict[tuple[str, str], Instance] = {}
    for entry in service.entries:
        if not isinstance(entry.spec, ServiceEntry) or entry.spec.workload_selector is None:
            continue
        labels, namespace = entry.spec.workload_selector.labels, entry.ref.namespace
        for one in selection.entries(namespace).having(labels):
            selected[one.ref] = one
            if (group := group_of(one)) is not None and group in rules.resources:
                selected[group] = rules.resources[group]
        chosen.update({(i.proxy, i.workload.id): i for i in selection.instances(namespace).having(labels)})
    return replace(
        service, selected=tuple(selected[r] for r in sorted(selected)), chosen=tuple(chosen[k] for k in sorted(chosen))
    )


def _chosen_otherwise(
    before: Mapping[ServiceName, Service], after: Mapping[ServiceName, Service], differing: frozenset[ServiceName]
) -> frozenset[str]:
    """The proxies whose workloads are selected by other entries than before, or by entries that have changed."""
    found: set[str] = set()
    for name in differing:
        then, now = (tuple(_choice(services.get(name))) for services in (before, after))
        if then != now:
            found.update(proxy for _, proxy, _ in (*then, *now))
    return frozenset(found)


def _choice(service: Service | None) -> list[tuple[tuple[Resource, ...], str, tuple[object, ...]]]:
    return [(service.entries, i.proxy, i.workload.ports) for i in service.chosen] if service else []


def _offer(service: Service | None) -> tuple[object, ...] | None:
    if service is None:
        return None
    chosen = frozenset(instance.workload.identity for instance in service.chosen)
    return (service.ports, service.identities, service.vip, service.entries, service.selected, chosen)


def _namespaces(services: Mapping[ServiceName, Service]) -> tuple[str, ...]:
    return tuple(sorted({name.namespace for name in services if name.namespace}))


def _addresses(rules: Declared) -> Mapping[str, ServiceName]:
    """An address that several entries declare is the oldest one's, and its first host's that is no wildcard."""
    entries = {entry.ref: entry for found in rules.service_entries.values() for entry in found}
    addresses: dict[str, ServiceName] = {}
    for entry in sorted(entries.values(), key=lambda one: one.age):
        spec = entry.spec
        if not isinstance(spec, ServiceEntry):
            continue
        host = next((host.lower() for host in spec.hosts if not host.startswith("*")), None)
        for address in spec.addresses if host else ():
            if host and "/" not in address and ":" not in address:
                addresses.setdefault(address, service_of(host))
    return addresses


def _hosts(rules: Declared) -> tuple[str, ...]:
    declared = {*rules.service_entries, *rules.virtual_services}
    return tuple(sorted(host for host in declared if not service_of(host).namespace))
