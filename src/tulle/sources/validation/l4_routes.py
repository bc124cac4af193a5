"""Rules for TLS that is passed through, and for TCP."""

from __future__ import annotations

from tulle.model.ip import is_address
from tulle.model.resources.virtual_service import (
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from tulle.sources.at import At
from tulle.sources.validation import destinations, gateway_names
from tulle.sources.validation.basics import (
    MESH_GATEWAY,
    check_labels,
    check_port,
    check_subnet,
    is_dns_label,
)
from tulle.sources.validation.virtual_hosts import covers, host_problem


def check_tls(route: TLSRoute, at: At, spec: VirtualService) -> None:
    if not route.match:
        at.field("match").error("is needed: name the `sniHosts` that the rule is for")
    for index, match in enumerate(route.match):
        place = at.field("match").item(index)
        if not match.sni_hosts:
            place.field("sniHosts").error("is needed: name the hosts that the rule is for, as clients ask for them")
        for number, host in enumerate(match.sni_hosts):
            _check_sni(host, place.field("sniHosts").item(number), spec)
        _check_match(match, place)
    _check_route(route, at)


def check_tcp(route: TCPRoute, at: At) -> None:
    for index, match in enumerate(route.match):
        _check_match(match, at.field("match").item(index))
    _check_route(route, at)


def _check_route(route: TLSRoute | TCPRoute, at: At) -> None:
    if not route.route:
        at.field("route").error("is needed: name where connections go")
    destinations.check_split(route.route, at.field("route"))


def _check_match(match: TLSMatchAttributes | L4MatchAttributes, at: At) -> None:
    for index, subnet in enumerate(match.destination_subnets):
        check_subnet(subnet, at.field("destinationSubnets").item(index))
    if match.port:
        check_port(match.port, at.field("port"))
    check_labels(match.source_labels, at.field("sourceLabels"))
    gateway_names.check(match.gateways, at.field("gateways"))
    if match.source_namespace and not is_dns_label(match.source_namespace):
        at.field("sourceNamespace").warning(
            f"`{match.source_namespace}` can be no namespace, so that the rule does nothing: write its name"
        )


def _check_sni(host: str, at: At, spec: VirtualService) -> None:
    if problem := host_problem(host, made_names=MESH_GATEWAY not in spec.gateways):
        if is_address(host):
            at.warning(f"`{host}` is an address, and clients ask for names (RFC 6066, section 3): name the host")
        else:
            at.error(problem)
    elif not any(covers(name, host) for name in spec.hosts):
        at.error(f"`{host}` is none of the VirtualService's `hosts`: add it there, or name one of them")
