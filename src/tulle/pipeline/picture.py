"""One proxy's picture as resources. Parts that many proxies share are translated and encoded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.ir.types import Answer, Backend, Endpoints, Inbound, Outbound, OutboundRoutes, VirtualHost
from tulle.model.names import Destination, ServiceName, authorities
from tulle.model.workload import Proxy, Workload
from tulle.resolve import backends, inbound, outbound
from tulle.resolve.backends import Basis
from tulle.resolve.callers import Caller, caller_of
from tulle.resolve.mesh import Mesh, Service
from tulle.resolve.outbound import Reached
from tulle.translate import resources
from tulle.xds.resources import LDS, RDS, Key, Resource

_MOST_VARIANTS = 256  # of one service, by port, subset, and what rules say to which callers

Door = Outbound | OutboundRoutes | Inbound


class Made(Struct, frozen=True):
    """A backend's cluster, and its load assignment where it has one. sources: the declared resources behind them.

    found: what a sidecar asks for once it has looked the backend up by itself.
    """

    cluster: Resource
    assignment: Resource | None
    sources: frozenset[str]
    found: Resource | None = None

    @property
    def resources(self) -> tuple[Resource, ...]:
        return tuple(part for part in (self.cluster, self.assignment, self.found) if part is not None)


class Encoder:
    """Clusters and load assignments as last translated, one of each per backend and kind of caller that asked for it.

    A memo's key is the service's value itself, and those of the rules for it: the index shares what did not change, so one
    `is` tells.
    """

    def __init__(self) -> None:
        self._memos: dict[ServiceName, dict[Hashable, _Memo]] = {}

    def made(self, mesh: Mesh, caller: Caller, ref: BackendRef) -> Made | None:
        """None if the mesh has no such service or the service no such port."""
        basis = backends.basis(mesh, caller, ref)
        if basis is None:
            return None
        memos = self._memos.setdefault(ref.destination.service, {})
        key = (ref.destination.port, ref.subset, ref.detected, ref.telemetry_timeout, basis.variant)
        before = memos.get(key)
        if before is not None and before.service is basis.service:
            return before.made
        if before is None and len(memos) >= _MOST_VARIANTS:
            memos.clear()
        memos[key] = after = _translated(basis, before)
        return after.made

    def forget(self, service: ServiceName) -> None:
        """Nobody asks for the service any more."""
        self._memos.pop(service, None)


class _Memo(Struct, frozen=True):
    """What a service's value was translated to."""

    service: Service
    backend: Backend
    endpoints: Endpoints
    made: Made


def _translated(basis: Basis, before: _Memo | None) -> _Memo:
    backend, endpoints = backends.backend(basis), backends.endpoints(basis)
    cluster = before.made.cluster if before and before.backend == backend else resources.backend(backend)
    assignment: Resource | None = None
    if backend.told:
        same = before is not None and before.endpoints == endpoints
        assignment = before.made.assignment if before and same else resources.load_assignment(endpoints)
    found = resources.looked_up(backend) if backend.looked_up else None
    return _Memo(basis.service, backend, endpoints, Made(cluster, assignment, basis.sources, found))


# Where calls of a workload go in and come in, by what each is in words; one of them may be needless.
DOORS: dict[str, Callable[[Mesh, Proxy, Workload], Door | None]] = {
    "the outbound listener": outbound.outbound,
    "the outbound routes": outbound.outbound_routes,
    "the inbound listener": inbound.inbound,
}


def doors(mesh: Mesh, proxy: Proxy) -> tuple[Door, ...]:
    """All doors of a proxy's workloads."""
    found = (resolved(mesh, proxy, workload) for workload in proxy.workloads for resolved in DOORS.values())
    return tuple(door for door in found if door is not None)


def standing(door: Door, epoch: int = 0, needs: tuple[Key, ...] = ()) -> tuple[Resource, ...]:
    """What a proxy holds for a door, whatever its workloads call. epoch: see eviction.py. needs: as resources.inbound's."""
    if isinstance(door, Outbound):
        return resources.outbound(door)
    if isinstance(door, OutboundRoutes):
        return resources.outbound_routes(door, epoch)
    return resources.inbound(door, needs)


def made_of(door: Door, made: Iterable[Resource]) -> Iterator[tuple[str, tuple[Key, ...]]]:
    """The declared resources of which a door is made, and what of it."""
    if isinstance(door, Inbound | Outbound):
        keys = tuple(resource.key for resource in made if resource.type_url in (LDS, RDS))
        for source in door.sources:
            yield source, keys


class Reach(Struct, frozen=True):
    """What a workload's sidecar holds for one destination: the backends that may serve it, and what leads to them.

    uses: the services on which it depends. met: whether there is anything of the mesh behind it. sources: the declared
    resources of which it is made, and what of each.
    """

    resources: tuple[Resource, ...]
    backends: tuple[BackendRef, ...]
    uses: frozenset[ServiceName]
    met: bool
    sources: tuple[tuple[str, tuple[Key, ...]], ...] = ()


class Unmade(Exception):
    """What was resolved can't be made; its cause says why. uses: the services on which it depends."""

    def __init__(self, uses: frozenset[ServiceName]) -> None:
        super().__init__()
        self.uses = uses


def reach(
    mesh: Mesh,
    encoder: Encoder,
    proxy: Proxy,
    workload: Workload,
    destination: Destination,
    asked: tuple[str, ...],
    rejected: str | None = None,
) -> Reach:
    """For one destination that was asked for.

    asked: the names, verbatim. A captured connection to a TCP port has a listener as well. rejected: why the proxy took
    none of it; its callers are then told that.
    Raises Unmade, or whatever came of resolving it.
    """
    found = outbound.virtual_host(mesh, workload, destination, proxy.capture)
    try:
        return _made(mesh, encoder, proxy, workload, found, asked, rejected)
    except Exception as error:
        raise Unmade(found.uses) from error


def _made(
    mesh: Mesh,
    encoder: Encoder,
    proxy: Proxy,
    workload: Workload,
    found: Reached,
    asked: tuple[str, ...],
    rejected: str | None,
) -> Reach:
    caller, destination = caller_of(workload), found.host.destination
    if rejected is not None:
        refusal = resources.virtual_host(outbound.rejected(found.host, rejected), asked)
        refused = tuple((source, (refusal.key,)) for source in found.sources)
        return Reach((refusal,), (), found.uses, met=False, sources=refused)
    made = [(ref, parts) for ref in found.backends if (parts := encoder.made(mesh, caller, ref)) is not None]
    there = [resource for _, parts in made for resource in parts.resources]
    requires = tuple(resource.key for resource in there)
    if proxy.capture.is_transparent and (tcp := outbound.tcp_service(mesh, proxy, workload, destination)):
        there.append(resources.tcp_service(tcp, requires))
    sources: defaultdict[str, list[Key]] = defaultdict(list)
    for _, parts in made:
        for source in parts.sources:
            sources[source] += (resource.key for resource in parts.resources)
    met = found.host.answer in (Answer.ROUTE, Answer.TUNNEL)
    host = resources.virtual_host(found.host, asked, requires)
    for source in found.sources:
        sources[source] += (resource.key for resource in (*there[len(requires) :], host))
    made_of = tuple((source, tuple(keys)) for source, keys in sources.items())
    return Reach((*there, host), tuple(ref for ref, _ in made), found.uses, met, made_of)


def needed(mesh: Mesh, encoder: Encoder, workload: Workload, service: ServiceName, ref: BackendRef | None) -> Reach:
    """What a door needs of a service of its own. ref: as which that is reached; None if it can't be."""
    made = encoder.made(mesh, caller_of(workload), ref) if ref else None
    if ref is None or made is None:
        return Reach((), (), frozenset({service}), met=False)
    keys = tuple(resource.key for resource in made.resources)
    sources = tuple((source, keys) for source in sorted(made.sources))
    return Reach(made.resources, (ref,), frozenset({service, ref.destination.service}), met=False, sources=sources)


def unmade(workload: Workload, destination: Destination, asked: tuple[str, ...], why: str) -> Reach:
    """In place of what can't be made, by our own mistake: whoever calls that is told so, and nobody waits."""
    config, spelt = outbound.route_config(workload), authorities(destination, workload.service.namespace)
    host = outbound.rejected(VirtualHost(config, destination, spelt, Answer.REJECTED), why)
    return Reach((resources.virtual_host(host, asked),), (), frozenset({destination.service}), met=False)
