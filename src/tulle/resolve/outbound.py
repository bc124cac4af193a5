"""Whom a workload reaches by the names that it uses, and who serves there now."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from tulle.ir.policies import DEFAULT
from tulle.ir.routes import BackendRef, Forward, HttpMatch, HttpRoute, Respond, Weighted
from tulle.ir.types import Answer, Outbound, OutboundRoutes, TcpChain, TcpService, VirtualHost
from tulle.model.names import DEFAULT_PORT, Destination, ServiceName, authorities
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.virtual_service import VirtualService
from tulle.model.snapshot import KnownPort
from tulle.model.well_known import TCP_PORTS
from tulle.model.workload import Capture, Protocol, Proxy, Workload
from tulle.resolve import backends, rules
from tulle.resolve.callers import Caller, caller_of
from tulle.resolve.detection import OUTBOUND, detection_time
from tulle.resolve.http_routes import http_routes
from tulle.resolve.inbound import paths
from tulle.resolve.meanings import asked_addresses, asked_hosts, asked_namespaces
from tulle.resolve.mesh import Mesh
from tulle.resolve.mesh_names import MeshNames
from tulle.resolve.nearest import nearest
from tulle.resolve.retries import retries
from tulle.resolve.services import Offer, offer
from tulle.resolve.tcp_routes import chain_of, tcp_route, tls_chains
from tulle.resolve.telemetry.sides import sides

_NOT_HTTP = (Protocol.TCP, Protocol.TLS, Protocol.AUTO)
_MOST_PORTS = 20
_POLICY = "outboundTrafficPolicy: REGISTRY_ONLY"
_MOST_TEXT = 500


def route_config(workload: Workload) -> str:
    """The name of a workload's outbound route configuration; no slash in it, as VHDS names start with it and one."""
    return f"outbound.{workload.id}"


def outbound(mesh: Mesh, proxy: Proxy, workload: Workload) -> Outbound:
    """Where the workload's calls go in."""
    form = paths(mesh.declared.config)
    passes = rules.passes_others(mesh.declared, rules.scope(mesh.declared, caller_of(workload)))
    told = sides(mesh, workload)
    return Outbound(
        route_config(workload),
        proxy.outbound_port,
        proxy.capture,
        proxy.ipv6,
        proxy.source,
        form,
        passes,
        telemetry=told.client,
        sources=told.sources,
    )


def outbound_routes(mesh: Mesh, proxy: Proxy, workload: Workload) -> OutboundRoutes:
    """Which of the workload's calls are a matter of the mesh."""
    return OutboundRoutes(
        route_config(workload),
        proxy.outbound_port,
        asked_namespaces(mesh, workload.service.namespace),
        proxy.capture,
        proxy.id,
        asked_hosts(mesh),
        rules.passes_others(mesh.declared, rules.scope(mesh.declared, caller_of(workload))),
        () if proxy.capture.is_transparent else asked_addresses(mesh),
    )


class Reached(Struct, frozen=True):
    """What happens to a workload's requests for a destination.

    uses: the services on which that depends, as far as rules name them, whether or not there are any of these names.
    sources: the resources of which it is made, those of its backends aside. chains: where captured connections go that are
    no HTTP.
    """

    host: VirtualHost
    uses: frozenset[ServiceName]
    sources: frozenset[str]
    chains: tuple[TcpChain, ...] = ()

    @property
    def backends(self) -> tuple[BackendRef, ...]:
        """All to which requests and connections may go, each once."""
        captured = (weighted.backend for chain in self.chains for weighted in chain.backends)
        return tuple(dict.fromkeys([*_backends(self.host), *(ref for ref in captured if ref is not None)]))


def virtual_host(mesh: Mesh, workload: Workload, destination: Destination, capture: Capture) -> Reached:
    """What happens to a workload's requests for `destination`, whether or not the mesh has such a service.

    Of a name that the mesh does not know, the forms that only a mesh name can have (`….svc`, `….svc.cluster.local`) end
    here; the others may be hosts outside the mesh and go where DNS says, if the sidecar is used as a proxy.
    """
    caller = caller_of(workload)
    seen = rules.scope(mesh.declared, caller)
    names = MeshNames(mesh, caller)
    offered = offer(mesh, caller, seen, destination.service)
    rule = rules.virtual_service(mesh.declared, caller, seen, destination.service.host)
    host = VirtualHost(
        route_config(workload),
        destination,
        _authorities(mesh, workload, destination, capture),
        Answer.ROUTE,
        tunnels=not capture.is_transparent,
        is_known=offered is not None or _routes_http(rule),
    )
    protocol = offered.carries(destination.port) if offered else None
    passes = rules.passes_others(mesh.declared, seen)
    chains = _chains(mesh, caller, rule, offered, destination.port, names)
    chain = chain_of(chains, destination.service.host)
    if offered is None and not (_routes_http(rule) and destination.port == DEFAULT_PORT):
        host = _stranger(host, _unknown(mesh, caller, seen, destination.service), capture, passes)
    elif offered is not None and protocol is None and not offered.of_mesh and not capture.is_transparent:
        problem = f"no ServiceEntry of {destination.service} has a port {destination.port}; ports: {_numbers(offered)}"
        host = _stranger(host, problem, capture, passes)
    elif offered is not None and protocol is None:
        problem = f"service {offered.service.name} has no port {destination.port}; its ports: {_numbers(offered)}"
        host = replace(host, answer=Answer.UNKNOWN, problem=problem)
    elif offered is not None and protocol in (Protocol.TCP, Protocol.TLS):
        problem = (
            f"port {destination.port} of {offered.service.name} carries {protocol.upper()}, not HTTP: "
            "connect to it with a client of its own"
        )
        host = replace(host, answer=Answer.TUNNEL, problem=problem, tcp=chain.backends if chain else ())
    else:
        routes = _routes(mesh, caller, rule, offered, destination, names)
        grpc = protocol is not None and protocol.is_http2
        host = replace(host, routes=routes, tcp=chain.backends if chain else (), grpc=grpc)
    own = {offered.service.name} if offered else set()
    made_by = {str(part.ref) for part in (rule, offered.entry if offered else None, seen.sidecar) if part is not None}
    made_by |= {route.source for route in host.routes if route.source}
    uses = frozenset({destination.service, *own, *names.asked})
    return Reached(host, uses, frozenset(made_by), chains if capture.is_transparent else ())


def _authorities(mesh: Mesh, workload: Workload, destination: Destination, capture: Capture) -> tuple[str, ...]:
    """How the destination may be written, also by addresses: where programs name them to the sidecar."""
    by_name = authorities(destination, workload.service.namespace)
    own = [one for one in asked_addresses(mesh) if mesh.addresses[one] == destination.service]
    if capture.is_transparent or not own:
        return by_name
    bare = own if destination.port == DEFAULT_PORT else []
    return (*by_name, *bare, *(f"{address}:{destination.port}" for address in own))


def _routes_http(rule: Resource | None) -> bool:
    """A VirtualService of TLS and TCP routes alone says nothing of requests."""
    return rule is not None and isinstance(rule.spec, VirtualService) and bool(rule.spec.http)


def _stranger(host: VirtualHost, problem: str, capture: Capture, passes: bool) -> VirtualHost:
    """What is no service of the mesh, by that name or at that port: the world outside, if that may be called."""
    if not passes:
        unknown = f"the mesh does not know {host.destination}"
        return replace(host, answer=Answer.BLOCKED, problem=f"{unknown}, and nothing else may be called ({_POLICY})")
    return replace(host, answer=Answer.UNKNOWN if capture.is_transparent else Answer.PASSTHROUGH, problem=problem)


def _routes(
    mesh: Mesh, caller: Caller, rule: Resource | None, offered: Offer | None, destination: Destination, names: MeshNames
) -> tuple[HttpRoute, ...]:
    """By the VirtualService, else to the service itself."""
    default = mesh.declared.config.default_http_retry_policy
    own_retries = retries(default) if default else None
    spec = rule.spec if rule else None
    found: tuple[HttpRoute, ...] = ()
    if rule and isinstance(spec, VirtualService) and spec.http:
        found = http_routes(spec, rule.ref, caller, destination.port, names, names, own_retries)
        found = found or (HttpRoute(HttpMatch(), Respond(404), source=str(rule.ref)),)
    elif offered is not None:
        itself = BackendRef(Destination(offered.service.name, destination.port))
        found = (HttpRoute(HttpMatch(), Forward((Weighted(itself),), retries=own_retries)),)
    return found


def _backends(host: VirtualHost) -> Iterator[BackendRef]:
    """All to which requests may go: those of routes, of their mirrors, of what is no HTTP."""
    for route in host.routes:
        if isinstance(route.action, Forward):
            yield from (weighted.backend for weighted in route.action.backends if weighted.backend is not None)
            yield from (mirror.backend for mirror in route.action.mirrors)
    yield from (weighted.backend for weighted in host.tcp if weighted.backend is not None)


def rejected(host: VirtualHost, why: str) -> VirtualHost:
    """What is sent in place of a virtual host whose configuration the proxy has rejected.

    Shortened: Envoy takes no direct response of more than 4,096 bytes.
    """
    problem = f"this sidecar rejected the configuration of {host.destination}: {why.partition(chr(10))[0][:_MOST_TEXT]}"
    return replace(host, answer=Answer.REJECTED, problem=problem, routes=(), tcp=(), is_known=True)


def tcp_service(mesh: Mesh, proxy: Proxy, workload: Workload, destination: Destination) -> TcpService | None:
    """Where a workload's captured connections to a destination go in; None if all have the same door, or go nowhere."""
    caller = caller_of(workload)
    seen = rules.scope(mesh.declared, caller)
    offered = offer(mesh, caller, seen, destination.service)
    port = offered.port(destination.port) if offered else None
    if offered is None or port is None or not offered.service.vip or not _has_listener(port):
        return None
    rule = rules.virtual_service(mesh.declared, caller, seen, destination.service.host)
    return TcpService(
        route_config(workload),
        destination,
        offered.service.vip,
        _chains(mesh, caller, rule, offered, destination.port, MeshNames(mesh, caller)),
        detection_time(mesh.declared.config, OUTBOUND) if port.protocol is Protocol.AUTO else 0,
        proxy.source,
        paths(mesh.declared.config),
        telemetry=sides(mesh, workload).client,
    )


def tcp_ports(mesh: Mesh, workload: Workload, service: ServiceName) -> list[KnownPort]:
    """The service's ports with a listener of their own where connections are captured, as the workload sees them."""
    caller = caller_of(workload)
    offered = offer(mesh, caller, rules.scope(mesh.declared, caller), service)
    return list(filter(_has_listener, offered.ports)) if offered else []


def _has_listener(port: KnownPort) -> bool:
    """What may be no HTTP; and HTTP where the outbound listener refuses what has none, as it never can be HTTP."""
    return port.protocol in _NOT_HTTP or port.number in TCP_PORTS


def _chains(
    mesh: Mesh, caller: Caller, rule: Resource | None, offered: Offer | None, port: int, names: MeshNames
) -> tuple[TcpChain, ...]:
    """Where what is not HTTP goes; nothing for a port that carries HTTP."""
    protocol = offered.carries(port) if offered else None
    if offered is None or protocol not in _NOT_HTTP:
        return ()
    spec = offered.entry.spec if offered.entry else None
    addresses = [offered.service.vip] if offered.service.vip else []
    addresses += spec.addresses if isinstance(spec, ServiceEntry) else ()
    by_name = () if protocol is Protocol.TCP else tls_chains(rule, caller, port, addresses, names)
    itself = (Weighted(BackendRef(Destination(offered.service.name, port))),)
    found = tcp_route(rule, caller, port, addresses, names)
    chains = (*by_name, TcpChain(itself if found is None else found))
    return tuple(one for chain in chains for one in _within_wildcard(_as_tcp_chain(mesh, caller, chain)))


def _within_wildcard(chain: TcpChain) -> tuple[TcpChain, ...]:
    """Where the host is looked up that a connection asks for, that is one beneath the wildcard; all others are closed."""
    backend = chain.backends[0].backend if chain.lookup else None
    if backend is None or chain.sni or backend.destination.service.host == "*":
        return (chain,)
    return (replace(chain, sni=(backend.destination.service.host,)), TcpChain())


def _as_tcp_chain(mesh: Mesh, caller: Caller, chain: TcpChain) -> TcpChain:
    to = tuple(_as_tcp(mesh, caller, weighted) for weighted in chain.backends)
    first = next((weighted.backend for weighted in to if weighted.backend is not None), None)
    basis = backends.basis(mesh, caller, first) if first else None
    lookup = backends.looked_up_port(basis) if basis and len(to) == 1 else 0
    return replace(chain, backends=to, policy=backends.policy(basis) if basis else DEFAULT, lookup=lookup)


def _as_tcp(mesh: Mesh, caller: Caller, weighted: Weighted) -> Weighted:
    """A port of which nobody said what it carries takes what is not HTTP in its own way."""
    if weighted.backend is None:
        return weighted
    destination = weighted.backend.destination
    offered = offer(mesh, caller, rules.Scope(), destination.service)
    detected = offered is not None and offered.carries(destination.port) is Protocol.AUTO
    return replace(weighted, backend=replace(weighted.backend, detected=detected))


def _unknown(mesh: Mesh, caller: Caller, seen: rules.Scope, service: ServiceName) -> str:
    problem, like = f"the mesh has no service {service}", nearest(mesh, caller, seen, service)
    if like is None:
        return problem
    return f"{problem}; did you mean {like.name if like.namespace == caller.namespace else like}?"


def _numbers(offered: Offer) -> str:
    numbers = [str(port.number) for port in offered.ports[:_MOST_PORTS]]
    more = ["…"] if len(offered.ports) > _MOST_PORTS else []
    return ", ".join([*numbers, *more]) or "none: no instance of it has begun to serve"
