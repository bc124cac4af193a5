"""Where TCP and TLS connections to a port of a service go: the `tcp` and `tls` routes of a VirtualService.

Source: Istio, Virtual Service, TCPRoute, L4MatchAttributes, TLSRoute, TLSMatchAttributes. All but the SNI is known before a
connection is there, so it is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from tulle.ir.routes import BackendRef, Weighted
from tulle.ir.types import TcpChain
from tulle.model.resources.resource import Resource
from tulle.model.resources.virtual_service import (
    L4MatchAttributes,
    RouteDestination,
    TLSMatchAttributes,
    VirtualService,
)
from tulle.resolve.callers import Caller, Names
from tulle.resolve.hosts import covers
from tulle.resolve.rules import MESH_GATEWAY


def tcp_route(
    rule: Resource | None, caller: Caller, port: int, addresses: Sequence[str], names: Names
) -> tuple[Weighted, ...] | None:
    """To where the first `tcp` route leads that fits; None if none does. addresses: those of the service."""
    spec = rule.spec if rule else None
    for route in spec.tcp if isinstance(spec, VirtualService) else ():
        if rule and (not route.match or any(_fits(match, rule, caller, port, addresses) for match in route.match)):
            return _weighted(route.route, rule.ref.namespace, port, names)
    return None


def tls_chains(
    rule: Resource | None, caller: Caller, port: int, addresses: Sequence[str], names: Names
) -> tuple[TcpChain, ...]:
    """What the `tls` routes say of the names that clients ask for, each name once, as the first route has it."""
    spec = rule.spec if rule else None
    seen: set[str] = set()
    chains: list[TcpChain] = []
    for route in spec.tls if isinstance(spec, VirtualService) else ():
        for match in route.match:
            if rule is None or not _fits(match, rule, caller, port, addresses):
                continue
            hosts = tuple(h for h in dict.fromkeys(map(str.lower, match.sni_hosts)) if h not in seen)
            seen.update(hosts)
            if hosts:
                chains.append(TcpChain(_weighted(route.route, rule.ref.namespace, port, names), hosts))
    return tuple(chains)


def chain_of(chains: Sequence[TcpChain], sni: str) -> TcpChain | None:
    """The chain for a name: as Envoy chooses, the most specific; None if there is none."""
    fitting = [(len(name), chain) for chain in chains for name in chain.sni or ("*",) if covers(name, sni)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def _fits(
    match: L4MatchAttributes | TLSMatchAttributes, rule: Resource, caller: Caller, port: int, addresses: Sequence[str]
) -> bool:
    spec = rule.spec
    gateways = match.gateways or (spec.gateways if isinstance(spec, VirtualService) else ())
    return (
        match.port in (0, port)
        and (not gateways or MESH_GATEWAY in gateways)
        and match.source_namespace in ("", caller.namespace)
        and caller.fits(match.source_labels)
        and (not match.destination_subnets or any(_within(a, match.destination_subnets) for a in addresses))
    )


def _within(address: str, subnets: Sequence[str]) -> bool:
    """Whether an address, or a network (CIDR), lies within one of the subnets; a plain address is one of its own."""
    inner = ip_network(address, strict=False)
    for text in subnets:
        outer = ip_network(text, strict=False) if "/" in text else ip_network(ip_address(text))
        if inner.version == outer.version and inner.subnet_of(outer):  # type: ignore[arg-type]
            return True
    return False


def _weighted(routes: Sequence[RouteDestination], namespace: str, port: int, names: Names) -> tuple[Weighted, ...]:
    """The destinations with their shares. One that is not there keeps its share: those connections are closed."""
    found: list[Weighted] = []
    for route in routes:
        if route.destination is None or (len(routes) > 1 and route.weight == 0):
            continue
        host, number = route.destination.host, route.destination.port.number if route.destination.port else None
        there, subset = names.destination(host, namespace, number, port), route.destination.subset
        if there is not None and (not subset or names.has_subset(there, subset)):
            found.append(Weighted(BackendRef(there, subset), route.weight or 1))
        else:
            found.append(Weighted(None, route.weight or 1, missing=f"{subset} {host}".strip()))
    return tuple(found)
