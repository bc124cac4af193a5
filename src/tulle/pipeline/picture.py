"""One proxy's picture as resources. Parts that many proxies share are translated and encoded once."""

from __future__ import annotations

from msgspec.structs import replace

from tulle.ir.types import Answer, Backend, Endpoints, Inbound, Outbound
from tulle.model.names import Destination
from tulle.model.workload import Proxy, Workload
from tulle.resolve import inbound, outbound
from tulle.resolve.index import Mesh, Service
from tulle.translate import resources
from tulle.xds.resources import Resource


class Encoder:
    """Clusters and load assignments as last translated, one of each per destination that somebody asked for.

    A memo's key is the service's value itself: the index shares what did not change, so one `is` tells.
    """

    def __init__(self) -> None:
        self._backends: dict[Destination, tuple[Service | None, Backend, Resource]] = {}
        self._endpoints: dict[Destination, tuple[Service | None, Endpoints, Resource]] = {}

    def backend(self, mesh: Mesh, destination: Destination) -> Resource | None:
        """The destination's cluster; None if the mesh has no such service or the service no such port."""
        service = mesh.services.get(destination.service)
        held = self._backends.get(destination)
        if held is not None and held[0] is service:
            return held[2]
        value = outbound.backend(mesh, destination)
        if value is None:
            self._backends.pop(destination, None)
            return None
        resource = held[2] if held and held[1] == value else resources.backend(value)
        self._backends[destination] = (service, value, resource)
        return resource

    def load_assignment(self, mesh: Mesh, destination: Destination) -> Resource:
        """The destination's endpoints."""
        service = mesh.services.get(destination.service)
        held = self._endpoints.get(destination)
        if held is not None and held[0] is service:
            return held[2]
        value = outbound.endpoints(mesh, destination)
        resource = held[2] if held and held[1] == value else resources.load_assignment(value)
        self._endpoints[destination] = (service, value, resource)
        return resource


def doors(mesh: Mesh, proxy: Proxy) -> tuple[Outbound | Inbound, ...]:
    """Where calls of a proxy's workloads go in and come in."""
    found: list[Outbound | Inbound] = []
    for workload in proxy.workloads:
        found.append(outbound.outbound(mesh, proxy, workload))
        if (door := inbound.inbound(proxy, workload)) is not None:
            found.append(door)
    return tuple(found)


def standing(found: tuple[Outbound | Inbound, ...]) -> tuple[Resource, ...]:
    """What a proxy holds whatever its workloads call: their doors."""
    return tuple(r for d in found for r in (resources.outbound(d) if isinstance(d, Outbound) else resources.inbound(d)))


def reach(
    mesh: Mesh,
    encoder: Encoder,
    workload: Workload,
    destination: Destination,
    asked: tuple[str, ...],
    rejected: str | None = None,
) -> tuple[Resource, ...]:
    """What a workload's sidecar holds for one destination that it asked for: cluster, endpoints and virtual host.

    asked: the names, verbatim. rejected: why the proxy took none of it; its callers are then told that.
    """
    host = outbound.virtual_host(mesh, workload, destination)
    if rejected:
        host = replace(host, answer=Answer.REJECTED, problem=rejected)
    answer = resources.virtual_host(host, asked)
    backend = None if rejected else encoder.backend(mesh, destination)
    if backend is None:
        return (answer,)
    return (backend, encoder.load_assignment(mesh, destination), answer)
