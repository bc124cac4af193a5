"""One proxy's picture as resources. Parts that many proxies share are translated and encoded once."""

from __future__ import annotations

from msgspec import Struct

from tulle.ir.types import Backend, Endpoints, Inbound, Outbound, OutboundRoutes
from tulle.model.names import Destination, ServiceName
from tulle.model.workload import Proxy, Workload
from tulle.resolve import inbound, outbound
from tulle.resolve.index import Mesh, Service
from tulle.translate import resources
from tulle.xds.resources import Resource

Door = Outbound | OutboundRoutes | Inbound


class Encoder:
    """Clusters and load assignments as last translated, one of each per destination that somebody asked for.

    A memo's key is the service's value itself: the index shares what did not change, so one `is` tells.
    """

    def __init__(self) -> None:
        self._memos: dict[ServiceName, dict[int, _Memo]] = {}

    def backend(self, mesh: Mesh, destination: Destination) -> Resource | None:
        """The destination's cluster; None if the mesh has no such service or the service no such port."""
        memo = self._of(mesh, destination)
        return memo.cluster if memo else None

    def load_assignment(self, mesh: Mesh, destination: Destination) -> Resource | None:
        """The destination's endpoints; None as for `backend`."""
        memo = self._of(mesh, destination)
        return memo.assignment if memo else None

    def forget(self, service: ServiceName) -> None:
        """Nobody asks for the service any more."""
        self._memos.pop(service, None)

    def _of(self, mesh: Mesh, destination: Destination) -> _Memo | None:
        memos = self._memos.setdefault(destination.service, {})
        before = memos.pop(destination.port, None)
        service = mesh.services.get(destination.service)
        after = before if before and before.service is service else _translated(mesh, service, destination, before)
        if after is not None:
            memos[destination.port] = after
        return after


class _Memo(Struct, frozen=True):
    """What a service's value was translated to."""

    service: Service | None
    backend: Backend
    cluster: Resource
    endpoints: Endpoints
    assignment: Resource


def _translated(mesh: Mesh, service: Service | None, destination: Destination, before: _Memo | None) -> _Memo | None:
    backend, endpoints = outbound.backend(mesh, destination), outbound.endpoints(mesh, destination)
    if backend is None:
        return None
    same_backend = before is not None and before.backend == backend
    same_endpoints = before is not None and before.endpoints == endpoints
    return _Memo(
        service,
        backend,
        before.cluster if before and same_backend else resources.backend(backend),
        endpoints,
        before.assignment if before and same_endpoints else resources.load_assignment(endpoints),
    )


def doors(mesh: Mesh, proxy: Proxy) -> tuple[Door, ...]:
    """Where calls of a proxy's workloads go in and come in."""
    found: list[Door] = []
    for workload in proxy.workloads:
        found += [outbound.outbound(proxy, workload), outbound.outbound_routes(mesh, proxy, workload)]
        if (door := inbound.inbound(proxy, workload)) is not None:
            found.append(door)
    return tuple(found)


def standing(door: Door) -> tuple[Resource, ...]:
    """What a proxy holds for a door, whatever its workloads call."""
    if isinstance(door, Outbound):
        return resources.outbound(door)
    if isinstance(door, OutboundRoutes):
        return resources.outbound_routes(door)
    return resources.inbound(door)


def reach(
    mesh: Mesh,
    encoder: Encoder,
    proxy: Proxy,
    workload: Workload,
    destination: Destination,
    asked: tuple[str, ...],
    rejected: str | None = None,
) -> tuple[Resource, ...]:
    """What a workload's sidecar holds for one destination that it asked for: cluster, endpoints and virtual host.

    asked: the names, verbatim. A captured connection to a TCP port has a listener as well. rejected: why the proxy took
    none of it; its callers are then told that.
    """
    host = outbound.virtual_host(mesh, workload, destination, proxy.capture)
    if rejected is not None:
        return (resources.virtual_host(outbound.rejected(host, rejected), asked),)
    backend, assignment = encoder.backend(mesh, destination), encoder.load_assignment(mesh, destination)
    there = [backend, assignment] if backend and assignment else []
    if there and proxy.capture.is_transparent and (tcp := outbound.tcp_service(mesh, proxy, workload, destination)):
        there.append(resources.tcp_service(tcp))
    return (*there, resources.virtual_host(host, asked))
