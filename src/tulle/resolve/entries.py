"""What a ServiceEntry offers, and who serves it. Source: Istio, Service Entry and Workload Entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tulle.ir.types import Discovery, Endpoint
from tulle.model.ip import is_address
from tulle.model.names import Destination, service_of
from tulle.model.protocols import select
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import Resolution, ServiceEntry, ServicePort
from tulle.model.resources.workload_entry import WorkloadEntry
from tulle.model.snapshot import KnownPort
from tulle.model.workload import Health, Protocol, Workload
from tulle.model.workload import ServicePort as InstancePort
from tulle.resolve.localities import Placed
from tulle.resolve.mesh import Instance, Mesh, Service
from tulle.resolve.workload_entries import all_completed

_TCP = (Protocol.TCP, Protocol.TLS)
# A locality as Kubernetes writes it into a label, with dots (Istio, `istio-locality`).
_LOCALITY_LABEL = "istio-locality"


def known_ports(entry: Resource) -> tuple[KnownPort, ...]:
    """Its ports, as callers name them."""
    spec = entry.spec
    ports = spec.ports if isinstance(spec, ServiceEntry) else ()
    return tuple(KnownPort(port.number, _protocol(port), port.name) for port in ports)


def finds_itself(entry: Resource, service: Service) -> Discovery | None:
    """How Envoy finds the endpoints by what a caller asks for; None where they are named, as they mostly are.

    A program's connection does not say where it was going before the mesh gave it an address: so NONE is by DNS, as that
    is what the program would have done, unless the entry has addresses, which Istio tells the program for its host. A
    wildcard is looked up by the host of each request.
    """
    spec = entry.spec
    if not isinstance(spec, ServiceEntry):
        return None
    by_request = spec.resolution is Resolution.DYNAMIC_DNS or (spec.resolution is Resolution.NONE and not _fixed(spec))
    return Discovery.DYNAMIC if by_request and service.name.host.startswith("*") else None


def discovery(entry: Resource | None, found: list[Placed]) -> Discovery:
    """How endpoints are found that are named: those with names by DNS, all others are told."""
    if not any(_is_name(endpoint.address) for _, _, endpoint in found):
        return Discovery.MESH
    spec = entry.spec if entry else None
    at_a_time = isinstance(spec, ServiceEntry) and spec.resolution in (Resolution.NONE, Resolution.DNS_ROUND_ROBIN)
    return Discovery.DNS_ROUND_ROBIN if at_a_time and len(found) == 1 else Discovery.DNS


def outside(entry: Resource, service: Service, number: int) -> list[Placed]:
    """The endpoints that no agent runs at one of its ports: those that it names or selects, or its host itself."""
    spec, port = entry.spec, _port(entry, number)
    if not isinstance(spec, ServiceEntry) or port is None:
        return []
    found = _given(entry, spec, service)
    return [(_locality(one), one.labels, _endpoint(one, port)) for one in found if one.address]


def _fixed(spec: ServiceEntry) -> list[str]:
    """The addresses of an entry that are no ranges."""
    return [address for address in spec.addresses if "/" not in address]


def _given(entry: Resource, spec: ServiceEntry, service: Service) -> list[WorkloadEntry]:
    if spec.resolution is Resolution.DYNAMIC_DNS:
        return []
    if spec.workload_selector is not None:
        wanted = spec.workload_selector.labels
        inside = [one for one in service.selected if one.ref.namespace == entry.ref.namespace]
        return [one for one in all_completed(inside) if wanted.items() <= one.labels.items()]
    if spec.endpoints:
        return list(spec.endpoints)
    if spec.resolution is Resolution.STATIC:
        return []
    if spec.resolution is Resolution.NONE and (fixed := _fixed(spec)):
        return [WorkloadEntry(address=address) for address in fixed]
    return [] if service.name.host.startswith("*") else [WorkloadEntry(address=service.name.host)]


def inside(entry: Resource, service: Service, number: int) -> Iterator[tuple[Instance, InstancePort]]:
    """The instances of the mesh that serve one of its ports, as it selects them."""
    spec, port = entry.spec, _port(entry, number)
    if not isinstance(spec, ServiceEntry) or spec.workload_selector is None or port is None:
        return
    for instance in service.chosen:
        workload = instance.workload
        if selects(entry, workload) and (target := served_by(port, workload)) is not None:
            yield instance, target


def selects(entry: Resource, workload: Workload) -> bool:
    """Whether the entry selects an instance of the mesh."""
    spec = entry.spec
    if not isinstance(spec, ServiceEntry) or spec.workload_selector is None:
        return False
    return entry.ref.namespace == workload.service.namespace and (
        spec.workload_selector.labels.items() <= workload.tags.items()
    )


def served_by(port: ServicePort, workload: Workload) -> InstancePort | None:
    """The instance's port that serves the entry's: of its name, else of its target, as callers or as the program know it."""
    fitting = [p for p in workload.ports if (p.protocol in _TCP) == (_protocol(port) in _TCP)]
    wanted = port.target_port or port.number
    named = (p for p in fitting if p.name and p.name == port.name)
    numbered = (p for p in fitting if p.number == wanted)
    listening = (p for p in fitting if p.target == wanted)
    return next(named, None) or next(numbered, None) or next(listening, None)


def also_served(mesh: Mesh, workload: Workload) -> dict[Destination, InstancePort]:
    """What else its ports serve, by the ServiceEntries that select it: each destination by one port, the oldest entry's."""
    own = {Destination(workload.service, port.number): port for port in workload.ports}
    found: dict[Destination, InstancePort] = {}
    for entry in mesh.declared.selecting.get(workload.service.namespace, ()):
        spec = entry.spec
        if not isinstance(spec, ServiceEntry) or not selects(entry, workload):
            continue
        for port in spec.ports:
            if (target := served_by(port, workload)) is not None:
                for host in spec.hosts:
                    found.setdefault(Destination(service_of(host.lower()), port.number), target)
    return {destination: target for destination, target in found.items() if destination not in own}


def is_serving(health: Health) -> bool:
    """A draining instance is told as such."""
    return health in (Health.HEALTHY, Health.DRAINING)


def target(entry: Resource, number: int) -> int:
    """The port of an endpoint that says nothing of its own."""
    port = _port(entry, number)
    return (port.target_port if port else 0) or number


def subject_alt_names(entry: Resource | None) -> tuple[str, ...]:
    spec = entry.spec if entry else None
    return spec.subject_alt_names if isinstance(spec, ServiceEntry) else ()


def _port(entry: Resource, number: int) -> ServicePort | None:
    ports = entry.spec.ports if isinstance(entry.spec, ServiceEntry) else ()
    return next((port for port in ports if port.number == number), None)


def _protocol(port: ServicePort) -> Protocol:
    return select(port.protocol, port.name, port.number)


def _endpoint(one: WorkloadEntry, port: ServicePort) -> Endpoint:
    target = one.ports.get(port.name) or port.target_port or port.number
    return Endpoint(one.address, target, weight=one.weight or 1, plain=True)


def _locality(one: WorkloadEntry) -> str:
    labels: Mapping[str, str] = one.labels
    return one.locality or labels.get(_LOCALITY_LABEL, "").replace(".", "/")


def _is_name(address: str) -> bool:
    return not address.startswith("unix://") and not is_address(address)
