"""A service as one caller sees it: instances of the mesh, a ServiceEntry, or both under one host.

Source: Istio, Service Entry (`hosts`, `exportTo`); where several entries name a host, the caller's own namespace's comes first,
then the oldest.
"""

from __future__ import annotations

from msgspec import Struct

from tulle.model.names import DEFAULT_PORT, Destination, ServiceName, service_of
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import KnownPort
from tulle.model.workload import Protocol
from tulle.resolve.callers import Caller
from tulle.resolve.entries import known_ports
from tulle.resolve.hosts import wildcards
from tulle.resolve.mesh import Mesh, Service
from tulle.resolve.rules import Scope, exported


class Offer(Struct, frozen=True):
    """ports: by number, sorted. entry: the ServiceEntry that counts for the caller. namespace: whose rules count as its own.

    of_mesh: whether it has instances of its own, or once had.
    """

    service: Service
    ports: tuple[KnownPort, ...]
    entry: Resource | None
    namespace: str
    of_mesh: bool = True

    def port(self, number: int) -> KnownPort | None:
        return next((port for port in self.ports if port.number == number), None)

    def carries(self, number: int) -> Protocol | None:
        """The port's protocol; None if there is no such port."""
        found = self.port(number)
        return found.protocol if found else None


def find(mesh: Mesh, name: ServiceName) -> Service | None:
    """The service of that host: its own, or that of the most specific wildcard over it."""
    if (own := mesh.services.get(name)) is not None:
        return own
    for host in wildcards(name.host) if not name.namespace else ():
        if (service := mesh.services.get(service_of(host))) is not None:
            return service
    return None


def is_known(mesh: Mesh, destination: Destination) -> bool:
    """Whether there is something for anybody: a service with that port, or a rule for that host."""
    service = find(mesh, destination.service)
    if service is None:
        rules, host = mesh.declared.virtual_services, destination.service.host
        return destination.port == DEFAULT_PORT and any(key in rules for key in (host, *wildcards(host)))
    ports = [*service.ports, *(port for entry in service.entries for port in known_ports(entry))]
    return any(port.number == destination.port for port in ports)


def is_lasting(mesh: Mesh, destination: Destination) -> bool:
    """Whether that is there under its own name. Beneath a wildcard there is no end of names."""
    name = destination.service
    own = name in mesh.services or name.host in mesh.declared.virtual_services
    return own and is_known(mesh, destination)


def offer(mesh: Mesh, caller: Caller, seen: Scope, name: ServiceName) -> Offer | None:
    """What the caller sees of a service; None if there is none that it may see."""
    names = [name] if name.namespace else [name, *map(service_of, wildcards(name.host))]
    for candidate in names:
        service = mesh.services.get(candidate)
        found = _offered(mesh, caller, seen, service) if service else None
        if found is not None:
            return found
    return None


def _offered(mesh: Mesh, caller: Caller, seen: Scope, service: Service) -> Offer | None:
    config, host = mesh.declared.config, service.name.host
    visible = [
        entry
        for entry in service.entries
        if isinstance(entry.spec, ServiceEntry)
        and exported(entry, entry.spec.export_to, caller, config.default_service_export_to)
        and seen.sees(entry.ref.namespace, host)
    ]
    entry = min(visible, key=lambda e: (e.ref.namespace != caller.namespace, e.age), default=None)
    of_mesh = bool(service.name.namespace and (service.instances or service.ports or service.identities))
    if of_mesh and not _exported_instances(service, config.default_service_export_to, caller, seen):
        of_mesh = False
    if not of_mesh and entry is None:
        return None
    ports = {port.number: port for port in known_ports(entry)} if entry else {}
    ports.update({port.number: port for port in service.ports} if of_mesh else {})
    namespace = service.name.namespace if of_mesh or entry is None else entry.ref.namespace
    return Offer(service, tuple(ports[number] for number in sorted(ports)), entry, namespace, of_mesh)


def _exported_instances(service: Service, defaults: tuple[str, ...], caller: Caller, seen: Scope) -> bool:
    namespace, to = service.name.namespace, defaults or ("*",)
    reaches = "*" in to or caller.namespace in to or ("." in to and namespace == caller.namespace)
    return reaches and seen.sees(namespace, service.name.host)
