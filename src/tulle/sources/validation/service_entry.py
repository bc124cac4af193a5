"""ServiceEntry. Source: Istio, pkg/config/validation (ValidateServiceEntry) and the rules of its CRD."""

from __future__ import annotations

from tulle.model.resources.service_entry import Location, Resolution, ServiceEntry, ServicePort
from tulle.sources.at import At
from tulle.sources.validation import export_to
from tulle.sources.validation.amounts import check_count, check_size
from tulle.sources.validation.basics import check_port, check_subnet, check_wildcard_host, wildcard_host_problem
from tulle.sources.validation.names import (
    HTTP_PROTOCOLS,
    TCP_PROTOCOLS,
    TLS_PROTOCOLS,
    check_port_name,
    check_protocol,
    check_selector,
    is_partial_wildcard,
)
from tulle.sources.validation.workload_entry import check_endpoint

_MOST, _MOST_ENDPOINTS, _LONGEST_ADDRESS = 256, 4096, 64
_DNS = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)


def check(spec: ServiceEntry, at: At) -> None:
    _check_hosts(spec, at.field("hosts"))
    _check_addresses(spec, at.field("addresses"))
    _check_ports(spec, at.field("ports"))
    _check_endpoints(spec, at)
    _check_told_apart(spec, at)
    export_to.check(spec.export_to, at.field("exportTo"), nobody=True)


def _check_hosts(spec: ServiceEntry, at: At) -> None:
    if not spec.hosts:
        at.error("is needed: at least one host, by which the service is called")
    check_count(spec.hosts, at, _MOST)
    for index, host in enumerate(spec.hosts):
        place = at.item(index)
        if host == "*":
            # Istio leaves the name to the caller then, and looks it up.
            if spec.resolution is not Resolution.DYNAMIC_DNS:
                place.error("`*` would be every host there is: name them, such as `*.example.com`")
            continue
        check_wildcard_host(host, place)
        if is_partial_wildcard(host):
            place.warning(f"the `*` in `{host}` stands for no whole label: write `*.example.com`")
        if spec.resolution is Resolution.DYNAMIC_DNS and "*" not in host:
            place.error(f"`resolution: DYNAMIC_DNS` is for wildcards: use `DNS` for `{host}`")
        elif spec.resolution in _DNS and "*" in host and not spec.endpoints and not wildcard_host_problem(host):
            place.error(f"`{host}` can't be looked up: give `endpoints`, or use `resolution: DYNAMIC_DNS`")


def _check_addresses(spec: ServiceEntry, at: At) -> None:
    check_count(spec.addresses, at, _MOST)
    if spec.addresses:
        at.warning(
            "calls are led by the host's name, and by such an address only where the sidecar is used as a proxy: a captured "
            "program's call to it, or one to a range or to an address of IPv6, is as to any other address"
        )
    for index, address in enumerate(spec.addresses):
        place = at.item(index)
        check_subnet(address, place)
        check_size(address, place, _LONGEST_ADDRESS)
        if "/" in address and spec.resolution not in (Resolution.NONE, Resolution.STATIC):
            place.error(f"`{address}` is a range, which `resolution: {spec.resolution}` can't have: use NONE or STATIC")


def _check_ports(spec: ServiceEntry, at: At) -> None:
    check_count(spec.ports, at, _MOST)
    names: set[str] = set()
    numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        place = at.item(index)
        if port.name in names:
            place.field("name").error(f"there is a port `{port.name}` already: give each a name of its own")
        if port.number in numbers:
            place.field("number").error(f"port {port.number} is there already: name each once")
        names.add(port.name)
        numbers.add(port.number)
        check_port(port.number, place.field("number"))
        check_port_name(port.name, place.field("name"))
        check_protocol(port.protocol, place.field("protocol"))
        _check_port_use(spec, port, place)


def _check_port_use(spec: ServiceEntry, port: ServicePort, at: At) -> None:
    if port.protocol.lower() == "udp":
        at.field("protocol").unsupported("tulle carries no UDP: leave the port out, and the program calls it directly")
    if spec.resolution in (Resolution.NONE, Resolution.DYNAMIC_DNS) and any(h.startswith("*") for h in spec.hosts):
        if port.target_port:
            at.field("targetPort").unsupported(
                "a wildcard's hosts are looked up with the port that is called: leave it out"
            )
        if port.protocol.lower() in TCP_PROTOCOLS - TLS_PROTOCOLS:
            at.field("protocol").unsupported(
                "such a connection does not say which of a wildcard's hosts is meant: use TLS, name the hosts, "
                "or use STATIC or DNS"
            )
    if port.target_port:
        check_port(port.target_port, at.field("targetPort"))
    # Of the other resolutions, a service without an address is given one.
    if spec.resolution is Resolution.NONE and not spec.addresses and port.protocol in ("", "TCP"):
        at.warning("TCP is told apart by address, and `resolution: NONE` brings none: give `addresses`")


def _check_endpoints(spec: ServiceEntry, at: At) -> None:
    place = at.field("endpoints")
    check_count(spec.endpoints, place, _MOST_ENDPOINTS)
    if spec.workload_selector is not None:
        selector = at.field("workloadSelector")
        check_selector(spec.workload_selector.labels, selector.field("labels"))
        if spec.endpoints:
            selector.error("`workloadSelector` and `endpoints` exclude each other: keep one")
        # By DNS, the workloads' addresses may be names.
        if spec.resolution in (Resolution.NONE, Resolution.DYNAMIC_DNS):
            selector.warning(f"`resolution: {spec.resolution}` looks at no workloads: use STATIC")
    if spec.resolution is Resolution.NONE and spec.endpoints:
        place.error("`resolution: NONE` goes where the caller goes: leave `endpoints` out, or use STATIC or DNS")
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(spec.endpoints) > 1:
        place.error(
            f"`resolution: DNS_ROUND_ROBIN` takes one endpoint at most, here are {len(spec.endpoints)}: use DNS"
        )
    if spec.resolution is Resolution.DYNAMIC_DNS:
        _check_dynamic(spec, at)
    names = {port.name for port in spec.ports}
    static = spec.resolution is Resolution.STATIC
    for index, endpoint in enumerate(spec.endpoints):
        check_endpoint(endpoint, place.item(index), names, static=static)


def _check_dynamic(spec: ServiceEntry, at: At) -> None:
    """Source: Istio, reference of ServiceEntry.Resolution."""
    if spec.location is not Location.MESH_EXTERNAL:
        at.field("location").error("`resolution: DYNAMIC_DNS` is for hosts outside of the mesh: use MESH_EXTERNAL")
    if spec.endpoints:
        at.field("endpoints").warning("`resolution: DYNAMIC_DNS` reads no endpoints: leave them out")


def _check_told_apart(spec: ServiceEntry, at: At) -> None:
    """With several hosts, something in what is sent must say which one is meant."""
    if spec.resolution is Resolution.NONE or len(spec.hosts) < 2:
        return
    for index, port in enumerate(spec.ports):
        protocol = port.protocol.lower()
        if protocol not in HTTP_PROTOCOLS | TLS_PROTOCOLS:
            at.field("ports").item(index).field("protocol").error(
                f"{port.protocol or 'a protocol to be found out'} does not say which of the hosts is meant: "
                "write an entry for each host, or use HTTP or TLS"
            )
            break
    if (
        spec.resolution in _DNS
        and spec.addresses
        and any(port.protocol.lower() in TCP_PROTOCOLS for port in spec.ports)
    ):
        at.field("hosts").warning("an address with a TCP port can be one host's only: write an entry for each host")
