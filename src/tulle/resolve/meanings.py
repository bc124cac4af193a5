"""What a caller means by a host and a port: a service of the mesh, a host that is declared, or neither."""

from __future__ import annotations

from tulle.model.names import Destination, ServiceName, destination_of, is_host, split_authority
from tulle.resolve.hosts import wildcards
from tulle.resolve.mesh import Mesh

# Of a sidecar's routes: with more declared hosts than these it asks for every name.
MOST_HOSTS = 200
# Likewise of namespaces: with more than these it asks for every name that has the form of one in a namespace.
MOST_NAMESPACES = 500


def asked_hosts(mesh: Mesh) -> tuple[str, ...] | None:
    """The declared hosts for which sidecars ask by name; None if they ask for all that there is."""
    return mesh.hosts if len(mesh.hosts) <= MOST_HOSTS else None


def asked_namespaces(mesh: Mesh, own: str) -> tuple[str, ...] | None:
    """The namespaces for whose names sidecars of namespace `own` ask, sorted; None if that is any."""
    return tuple(sorted({*mesh.namespaces, own})) if len(mesh.namespaces) <= MOST_NAMESPACES else None


def asked_addresses(mesh: Mesh) -> tuple[str, ...]:
    """The declared addresses for which sidecars ask, sorted; of too many, none."""
    return tuple(sorted(mesh.addresses)) if len(mesh.addresses) <= MOST_HOSTS else ()


def meant(mesh: Mesh, authority: str, namespace: str) -> Destination | None:
    """The destination that `host` or `host:port` names for callers of a namespace; None if it can be none.

    A service of the mesh comes first, then a declared host, by its name or by an address; of what is neither, the form that a
    mesh name would have.
    """
    of_mesh = destination_of(authority, namespace)
    if of_mesh is not None and of_mesh.service in mesh.services:
        return of_mesh
    found = split_authority(authority)
    if found is None:
        return None
    host, port = found
    if (declared := mesh.addresses.get(host)) is not None:
        return Destination(declared, port)
    if is_host(host) and (asked_hosts(mesh) is None or is_declared(mesh, host)):
        return Destination(ServiceName("", host), port)
    return of_mesh


def is_declared(mesh: Mesh, host: str) -> bool:
    """Whether a rule or a ServiceEntry names this host, or a wildcard over it."""
    rules = mesh.declared
    return any(key in rules.service_entries or key in rules.virtual_services for key in (host, *wildcards(host)))
