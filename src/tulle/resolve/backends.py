"""How a caller reaches one port of a service, or of a subset of it, and who serves there now."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from msgspec import Struct

from tulle.ir.policies import Policy
from tulle.ir.routes import BackendRef
from tulle.ir.types import Backend, Endpoint, Endpoints
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Resource
from tulle.model.spiffe import in_trust_domain
from tulle.model.workload import Health, Protocol
from tulle.resolve import policies, rules
from tulle.resolve.callers import Caller
from tulle.resolve.index import Instance, Mesh, Service
from tulle.resolve.localities import localities
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
        return (self.rules, self.offer.entry, self.config, caller and (caller.locality, caller.labels))

    @property
    def sources(self) -> frozenset[str]:
        """The resources of which the backend is made."""
        found = [*self.rules, *self.service.selected, *(part for part in (self.offer.entry, self.config) if part)]
        return frozenset(str(resource.ref) for resource in found)

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
    return None if labels is None else Basis(ref, offered, labels, found, mesh.declared.mesh_config, caller)


def backend(given: Basis) -> Backend:
    ref = given.ref
    return Backend(
        ref.destination,
        _identities(given),
        tcp=given.protocol in (Protocol.TCP, Protocol.TLS) or ref.detected,
        subset=ref.subset,
        http2=given.protocol is not None and given.protocol.is_http2,
        detected=ref.detected,
        policy=policy(given),
    )


def _identities(given: Basis) -> tuple[str, ...]:
    """The SPIFFE ids of those who serve, in the mesh's trust domain and in those that stand for it."""
    config, own = given.mesh_config, given.service.identities
    aliases = config.trust_domain_aliases if config else ()
    return tuple(sorted({*own, *(in_trust_domain(one, alias) for alias in aliases for one in own)}))


def policy(given: Basis) -> Policy:
    """How the backend is used."""
    return policies.policy(given.rules, given.ref.destination.port, given.ref.subset, given.mesh_config)


def endpoints(given: Basis) -> Endpoints:
    """Healthy instances, and draining ones marked as such."""
    ref, port, caller = given.ref, given.ref.destination.port, given.caller
    serving = [
        (i.workload.locality, i.workload.tags, _endpoint(i))
        for i in given.service.instances
        if _serves(i, port) and given.labels.items() <= i.workload.tags.items()
    ]
    setting, failover = policies.locality_setting(given.rules, port, ref.subset, given.mesh_config)
    found = localities(serving, caller.locality, dict(caller.labels), setting, failover)
    return Endpoints(ref.destination, found, ref.subset, ref.detected)


def _serves(instance: Instance, port: int) -> bool:
    workload = instance.workload
    return workload.health in (Health.HEALTHY, Health.DRAINING) and any(p.number == port for p in workload.ports)


def _endpoint(instance: Instance) -> Endpoint:
    workload = instance.workload
    return Endpoint(instance.address, instance.port, workload.health is Health.DRAINING, workload.weight)
