"""VirtualServices: hosts that nobody has or another one routes, gateways that are not there, callers that do not exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle.model.names import service_of
from tulle.model.resources.virtual_service import (
    HTTPMatchRequest,
    L4MatchAttributes,
    TLSMatchAttributes,
    VirtualService,
)
from tulle.resolve.analysis.delegates import check_as_delegate, check_delegations
from tulle.resolve.analysis.destinations import check_destinations
from tulle.resolve.analysis.exports import check_exports
from tulle.resolve.analysis.findings import CONFLICTING_HOSTS, NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known, routes_sidecars
from tulle.resolve.analysis.winners import why
from tulle.resolve.hosts import full
from tulle.resolve.rules import MESH_GATEWAY

_Match = HTTPMatchRequest | L4MatchAttributes | TLSMatchAttributes


def of_virtual_service(at: Findings, known: Known) -> None:
    spec = at.resource.spec
    if not isinstance(spec, VirtualService):
        return
    _check_gateways(at, spec)
    if not spec.hosts:
        check_as_delegate(at, known, spec)
    elif routes_sidecars(at.resource):
        _check_hosts(at, known, spec)
        _check_others(at, known, spec)
    _check_matches(at, known, spec)
    check_delegations(at, known, spec)
    check_destinations(at, known, spec)
    check_exports(at, known, spec.export_to)


def _check_gateways(at: Findings, spec: VirtualService) -> None:
    alone = bool(spec.hosts) and not routes_sidecars(at.resource)
    for index, gateway in enumerate(spec.gateways):
        if gateway != MESH_GATEWAY:
            message = f"there is no gateway {gateway}: tulle has no gateways yet"
            at.warning(f"spec.gateways[{index}]", message, NOT_FOUND, "no gateway" if alone else "")


def _check_hosts(at: Findings, known: Known, spec: VirtualService) -> None:
    namespace = at.resource.ref.namespace
    for index, host in enumerate(spec.hosts):
        path, whole = f"spec.hosts[{index}]", full(host, namespace)
        if whole.startswith("*"):
            if not known.is_covered(whole):
                at.info(
                    path, f"no service has a host that {host} covers: requests to port 80 alone are routed", NOT_FOUND
                )
        elif known.service(whole) is None:
            message = f"{known.nobody(host, namespace)}: only requests to port 80 of it are routed"
            if known.instead(host, namespace):
                at.warning(path, known.nobody(host, namespace), NOT_FOUND)
            elif service_of(whole).namespace:
                at.warning(path, message, NOT_FOUND)
            else:
                at.info(path, message, NOT_FOUND)


def _check_others(at: Findings, known: Known, spec: VirtualService) -> None:
    """Of several for one host the oldest routes, as Istio's documents have it for sidecars: they are not merged."""
    ref = at.resource.ref
    hosts = [full(host, ref.namespace) for host in spec.hosts]
    lost = {host: winner for host in hosts if (winner := known.lost_routes(host).get(ref))}
    for index, host in enumerate(hosts):
        if host in lost:
            told = why(lost[host], at.resource)
            reason = f"{told} rules host {spec.hosts[index]}" if len(lost) == len(set(hosts)) else ""
            message = f"{told} has the host {spec.hosts[index]} too, and routes its requests: this one does not; make one of them"
            at.error(f"spec.hosts[{index}]", message, CONFLICTING_HOSTS, reason)


def _check_matches(at: Findings, known: Known, spec: VirtualService) -> None:
    services = [known.service(full(host, at.resource.ref.namespace)) for host in spec.hosts if "*" not in host]
    numbers = [known.numbers(service) if service else frozenset() for service in services]
    ports = frozenset[int]().union(*numbers) if numbers and all(numbers) and len(services) == len(spec.hosts) else None
    for path, match in _matches(spec):
        if match.gateways and MESH_GATEWAY not in match.gateways:
            at.warning(f"{path}.gateways", "it fits no sidecar's requests: tulle has no gateways yet", NOT_FOUND)
        if match.source_namespace and match.source_namespace not in known.namespaces:
            message = f"nobody is in the namespace {match.source_namespace}: it fits no request"
            at.warning(f"{path}.sourceNamespace", message, NOT_FOUND)
        if match.port and ports is not None and match.port not in ports:
            there = ", ".join(map(str, sorted(ports)[:20]))
            message = f"no host of it has a port {match.port}: it fits no request; their ports: {there}"
            at.warning(f"{path}.port", message, NOT_FOUND)


def _matches(spec: VirtualService) -> Iterator[tuple[str, _Match]]:
    all_of_them: list[tuple[str, Sequence[_Match]]] = [
        *((f"spec.http[{index}]", http.match) for index, http in enumerate(spec.http)),
        *((f"spec.tls[{index}]", tls.match) for index, tls in enumerate(spec.tls)),
        *((f"spec.tcp[{index}]", tcp.match) for index, tcp in enumerate(spec.tcp)),
    ]
    for path, matches in all_of_them:
        for number, match in enumerate(matches):
            yield f"{path}.match[{number}]", match
