"""How a caller reaches one port of a service, or of a subset of it, and who serves there now."""

from __future__ import annotations

from collections.abc import Hashable

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.ir.types import Backend, Endpoint, Endpoints, Locality
from tulle.model.resources.resource import Resource
from tulle.model.workload import Health, Protocol
from tulle.resolve import rules
from tulle.resolve.callers import Caller
from tulle.resolve.index import Instance, Mesh, Service
from tulle.resolve.rules import Scope
from tulle.resolve.services import Offer, offer

_EVERYTHING = Scope()  # whether the caller may go there is decided where the way leads there


class Basis(Struct, frozen=True, eq=False):
    """All that a backend follows from."""

    ref: BackendRef
    offer: Offer
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
        return (self.rules, self.offer.entry, self.config, self.caller.locality if self.rules or self.config else "")


def basis(mesh: Mesh, caller: Caller, ref: BackendRef) -> Basis | None:
    """None if the mesh has no such service, or it no such port."""
    offered = offer(mesh, caller, _EVERYTHING, ref.destination.service)
    if offered is None or offered.port(ref.destination.port) is None:
        return None
    found = rules.destination_rules(mesh.declared, caller, offered.service.name.host, offered.namespace)
    return Basis(ref, offered, found, mesh.declared.mesh_config, caller)


def backend(given: Basis) -> Backend:
    destination = given.ref.destination
    tcp = given.protocol is Protocol.TCP
    return Backend(destination, given.service.identities, tcp, given.ref.subset)


def endpoints(given: Basis) -> Endpoints:
    """Healthy instances, and draining ones marked as such."""
    port = given.ref.destination.port
    serving = [_endpoint(i) for i in given.service.instances if _serves(i, port)]
    localities = (Locality(0, "", tuple(sorted(serving))),) if serving else ()
    return Endpoints(given.ref.destination, localities, given.ref.subset)


def _serves(instance: Instance, port: int) -> bool:
    workload = instance.workload
    return workload.health in (Health.HEALTHY, Health.DRAINING) and any(p.number == port for p in workload.ports)


def _endpoint(instance: Instance) -> Endpoint:
    workload = instance.workload
    return Endpoint(instance.address, instance.port, workload.health is Health.DRAINING, workload.weight)
