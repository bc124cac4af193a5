"""Sidecar: which services a proxy may call. Source: Istio, pkg/config/validation (ValidateSidecar)."""

from __future__ import annotations

from tulle.model.ip import is_address
from tulle.model.resources.sidecar import (
    CaptureMode,
    IstioEgressListener,
    OutboundMode,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from tulle.sources.at import At
from tulle.sources.validation import connection_pool, sidecar_ingress
from tulle.sources.validation.basics import check_fqdn, check_port, is_dns_label
from tulle.sources.validation.names import (
    check_namespaced_host,
    check_port_name,
    check_protocol,
    check_selector,
    check_socket_path,
)


def check(spec: Sidecar, at: At) -> None:
    if spec.workload_selector is not None:
        check_selector(spec.workload_selector.labels, at.field("workloadSelector").field("labels"))
    if not (spec.egress or spec.ingress or spec.outbound_traffic_policy or spec.inbound_connection_pool):
        at.error("says nothing: give `egress`, `outboundTrafficPolicy` or `inboundConnectionPool`")
    sidecar_ingress.check(spec.ingress, at.field("ingress"))
    connection_pool.check(spec.inbound_connection_pool, at.field("inboundConnectionPool"))
    _check_egress(spec.egress, at.field("egress"))
    if spec.outbound_traffic_policy is not None:
        _check_policy(spec.outbound_traffic_policy, at.field("outboundTrafficPolicy"))


def _check_egress(listeners: tuple[IstioEgressListener, ...], at: At) -> None:
    sockets: set[str] = set()
    ports: set[int] = set()
    for index, listener in enumerate(listeners):
        place = at.item(index)
        if listener.port is None:
            if index < len(listeners) - 1:
                place.error("a listener without `port` is for all ports, so it must be the last one, and the only one")
        else:
            _check_listener(listener, listener.port, place)
            # Of port 0 it is the socket's path that tells them apart.
            if listener.port.number == 0:
                if listener.bind in sockets:
                    place.field("bind").error(f"`{listener.bind}` is bound by a listener above: bind another socket")
                sockets.add(listener.bind)
            else:
                if listener.port.number in ports:
                    place.field("port").error(f"port {listener.port.number} has a listener above: merge their `hosts`")
                ports.add(listener.port.number)
        _check_hosts(listener.hosts, place.field("hosts"))


def _check_listener(listener: IstioEgressListener, port: SidecarPort, at: At) -> None:
    if port.name:
        check_port_name(port.name, at.field("port").field("name"))
    check_protocol(port.protocol, at.field("port").field("protocol"))
    if port.target_port:
        at.field("port").field("targetPort").error("has no meaning here: leave it out")
    if port.number:
        check_port(port.number, at.field("port").field("number"))
        if listener.bind and not is_address(listener.bind):
            at.field("bind").error(f"`{listener.bind}` must be an IP address")
        return
    if listener.bind.startswith("unix://"):
        check_socket_path(listener.bind, at.field("bind"))
    else:
        at.field("port").field("number").error("is needed, from 1 to 65535; 0 goes with `bind: unix:///path` only")
    if listener.capture_mode is CaptureMode.IPTABLES:
        at.field("captureMode").error("what comes to a socket can't be captured: use DEFAULT or NONE")


def _check_hosts(hosts: tuple[str, ...], at: At) -> None:
    if not hosts:
        at.error("is needed: what may be called, such as `./*` (this namespace) or `*/*` (everything)")
    seen: dict[str, set[str]] = {}
    for index, text in enumerate(hosts):
        place = at.item(index)
        check_namespaced_host(text, place)
        namespace, slash, host = text.partition("/")
        if not slash:
            continue
        names = seen.setdefault(at.report.namespace if namespace == "." else namespace, set())
        if host in names or "*" in names or (host == "*" and names):
            place.warning(f"`{text}` and an entry above are the same or one holds the other: keep one")
        names.add(host)
    if "*" in seen.get("*", ()) and len(seen) > 1:
        at.warning("`*/*` is everything: the other hosts add nothing")


def _check_policy(policy: OutboundTrafficPolicy, at: At) -> None:
    proxy = policy.egress_proxy
    if proxy is None:
        return
    at = at.field("egressProxy")
    if policy.mode is not OutboundMode.ALLOW_ANY:
        at.error("unknown hosts are called with `mode: ALLOW_ANY` only: set that, or leave `egressProxy` out")
    check_fqdn(proxy.host, at.field("host"))
    if proxy.port is None:
        at.field("port").error("is needed: `port: {number: 443}`")
    else:
        check_port(proxy.port.number, at.field("port").field("number"))
    if proxy.subset and not is_dns_label(proxy.subset):
        at.field("subset").error(f"`{proxy.subset}` is no subset's name: letters, digits and hyphens, at most 63")
