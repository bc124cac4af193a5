"""How a caller reaches one port of a service, or of a subset of it, and who serves there now."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tulle.ir.policies import Balance, Policy
from tulle.ir.routes import BackendRef
from tulle.ir.types import Backend, Discovery, Endpoint, Endpoints, Locality, Transport
from tulle.model.peer import peer_of, written
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Resource
from tulle.model.spiffe import in_trust_domain
from tulle.model.workload import Health, Protocol
from tulle.resolve import policies, rules
from tulle.resolve.callers import Caller
from tulle.resolve.entries import (
    discovery,
    finds_itself,
    inside,
    is_serving,
    outside,
    subject_alt_names,
    target,
)
from tulle.resolve.localities import Placed, localities
from tulle.resolve.mesh import Instance, Member, Mesh, Service
from tulle.resolve.rules import Scope
from tulle.resolve.services import Offer, offer

_EVERYTHING = Scope()  # whether the caller may go there is decided where the way leads there


class Basis(Struct, frozen=True, eq=False):
    """All that a backend follows from."""

    ref: BackendRef
    offer: Offer
    labels: Mapping[str, str]  # what instances of the subset carry
    rules: tuple[Resource, ...]
    config: Resource | None
    caller: Caller
    plain: tuple[Member, ...] = ()  # those that are called in plain text
    policies: tuple[str, ...] = ()  # that say so, sorted

    @property
    def service(self) -> Service:
        return self.offer.service

    @property
    def protocol(self) -> Protocol | None:
        return self.offer.carries(self.ref.destination.port)

    @property
    def variant(self) -> Hashable:
        """What tells it from those of other callers."""
        caller = self.caller if self.rules or self.config else None
        return (
            self.rules,
            self.offer.entry,
            self.offer.of_mesh,
            self.config,
            self.plain,
            self.policies,
            caller and (caller.locality, caller.labels),
        )

    @property
    def sources(self) -> frozenset[str]:
        """The resources of which the backend is made."""
        found = [*self.rules, *self.service.selected, *(part for part in (self.offer.entry, self.config) if part)]
        return frozenset((*self.policies, *(str(resource.ref) for resource in found)))

    @property
    def mesh_config(self) -> MeshConfig | None:
        spec = self.config.spec if self.config else None
        return spec if isinstance(spec, MeshConfig) else None


def basis(mesh: Mesh, caller: Caller, ref: BackendRef) -> Basis | None:
    """None if the mesh has no such service, or it no such port or subset."""
    offered = offer(mesh, caller, _EVERYTHING, ref.destination.service)
    if offered is None or offered.port(ref.destination.port) is None:
        return None
    found = rules.destination_rules(mesh.declared, caller, offered.service.name.host, offered.namespace)
    labels = policies.subset_labels(found, ref.subset) if ref.subset else {}
    if labels is None:
        return None
    plain = _plain(mesh, offered, ref)
    said = {source for member in plain for source in mesh.plain[member]}
    return Basis(
        ref, offered, labels, found, mesh.declared.mesh_config, caller, tuple(sorted(plain)), tuple(sorted(said))
    )


def _plain(mesh: Mesh, offered: Offer, ref: BackendRef) -> set[Member]:
    """Who is called in plain text."""
    if not mesh.plain:
        return set()
    number = ref.destination.port
    own = offered.service.instances if offered.of_mesh else ()
    serving = [i for i in own if any(port.number == number for port in i.workload.ports)]
    if offered.entry is not None:
        serving += [i for i, _ in inside(offered.entry, offered.service, number)]
    members = {(i.proxy, i.workload.id) for i in serving}
    return {member for member in members if member in mesh.plain and member not in mesh.opening}


def backend(given: Basis) -> Backend:
    ref, entry, found = given.ref, given.offer.entry, _placed(given)
    how = (finds_itself(entry, given.service) if entry else None) or discovery(entry, found)
    by_name = how in (Discovery.DNS, Discovery.DNS_ROUND_ROBIN)
    protocol, transport = given.protocol, _transport(given, found)
    return Backend(
        ref.destination,
        _identities(given),
        tcp=protocol in (Protocol.TCP, Protocol.TLS) or ref.detected,
        subset=ref.subset,
        detected=ref.detected,
        http2=protocol is not None and protocol.is_http2,
        discovery=how,
        transport=transport,
        localities=_localities(given, found) if by_name else (),
        policy=_among_sidecars(policy(given), transport),
        telemetry_timeout=ref.telemetry_timeout,
    )


def _among_sidecars(policy: Policy, transport: Transport) -> Policy:
    """At the address that callers have of a service with sidecars nobody listens, so PASSTHROUGH to it is as good as unsaid."""
    balancing = policy.balancing
    if transport is Transport.PLAIN or balancing.balance is not Balance.PASSTHROUGH:
        return policy
    return replace(policy, balancing=replace(balancing, balance=Balance.LEAST_REQUEST))


def looked_up_port(given: Basis) -> int:
    """The port of whatever host a connection asks for, if the backend is that host; else 0."""
    entry = given.offer.entry
    if entry is None or finds_itself(entry, given.service) is not Discovery.DYNAMIC:
        return 0
    return target(entry, given.ref.destination.port)


def policy(given: Basis) -> Policy:
    """How the backend is used."""
    found = policies.policy(given.rules, given.ref.destination.port, given.ref.subset, given.mesh_config)
    names = subject_alt_names(given.offer.entry)
    if names and found.tls is not None and not found.tls.names:
        return replace(found, tls=replace(found.tls, names=names))
    return found


def endpoints(given: Basis) -> Endpoints:
    """Healthy instances, draining ones marked as such, and what a ServiceEntry names."""
    ref = given.ref
    found = _localities(given, _placed(given))
    return Endpoints(ref.destination, found, ref.subset, ref.detected, ref.telemetry_timeout)


def _localities(given: Basis, found: Sequence[Placed]) -> tuple[Locality, ...]:
    ref, caller = given.ref, given.caller
    port = ref.destination.port
    setting, failover = policies.locality_setting(given.rules, port, ref.subset, given.mesh_config)
    return localities(found, caller.locality, dict(caller.labels), setting, failover)


def _placed(given: Basis) -> list[Placed]:
    """All that serve the port and carry the subset's labels, each once."""
    port, entry = given.ref.destination.port, given.offer.entry
    found = {
        (i.proxy, i.workload.id): i
        for i in (given.service.instances if given.offer.of_mesh else ())
        if any(p.number == port for p in i.workload.ports)
    }
    if entry is not None:
        found.update({(i.proxy, i.workload.id): i for i, _ in inside(entry, given.service, port)})
    placed: list[Placed] = [
        (i.workload.locality, i.workload.tags, _endpoint(i, given.plain))
        for i in found.values()
        if is_serving(i.workload.health)
    ]
    if entry is not None:
        placed += outside(entry, given.service, port)
    return [one for one in placed if given.labels.items() <= one[1].items()]


def _transport(given: Basis, found: Sequence[Placed]) -> Transport:
    """By who may be there, well or not: so a cluster stays as it is when instances come and go."""
    port, entry = given.ref.destination.port, given.offer.entry
    sidecars = given.offer.of_mesh and any(one.number == port for one in given.service.ports)
    sidecars = sidecars or (entry is not None and any(True for _ in inside(entry, given.service, port)))
    if not sidecars:
        return Transport.PLAIN
    return Transport.MIXED if any(endpoint.plain for _, _, endpoint in found) else Transport.MESH


def _identities(given: Basis) -> tuple[str, ...]:
    """The ids of those who serve, SPIFFE's in the mesh's trust domain and in those that stand for it."""
    config, entry = given.mesh_config, given.offer.entry
    own = set(given.service.identities if given.offer.of_mesh else ())
    if entry is not None:
        own |= {i.workload.identity for i, _ in inside(entry, given.service, given.ref.destination.port)}
    aliases = config.trust_domain_aliases if config else ()
    also = {in_trust_domain(one, alias) for alias in aliases for one in own}
    return tuple(sorted({*own, *also, *subject_alt_names(entry)}))


def _endpoint(instance: Instance, plain: Container[Member]) -> Endpoint:
    workload = instance.workload
    draining, takes_plain = workload.health is Health.DRAINING, (instance.proxy, workload.id) in plain
    called = written(peer_of(workload))
    return Endpoint(instance.address, instance.port, draining, workload.weight, takes_plain, called)
