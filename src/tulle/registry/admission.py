"""What may be registered: the checks that need nothing but the proxy itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address

from tulle.model.ip import is_loopback, port_of
from tulle.model.names import label_problem
from tulle.model.workload import Protocol, Proxy, ServicePort, Workload


def problems_of(proxy: Proxy) -> tuple[str, ...]:
    """Everything that is wrong with it, in the user's words; empty if nothing is."""
    return tuple(_problems(proxy))


def _problems(proxy: Proxy) -> Iterator[str]:
    yield from _label_problems(("proxy id", proxy.id))
    yield from address_problems(proxy.address)
    yield from _port_problems("the proxy's inbound port", proxy.inbound_port)
    yield from _port_problems("the proxy's outbound port", proxy.outbound_port)
    if proxy.source and not _is_source(proxy.source):
        yield f"the source of proxy {proxy.id} is no IPv4 address of loopback and a port"
    if not proxy.workloads:
        yield f"proxy {proxy.id} serves no workload"
    ids = [workload.id for workload in proxy.workloads]
    if len(set(ids)) < len(ids):
        yield f"the workload ids of proxy {proxy.id} are not all different: {', '.join(ids)}"
    for workload in proxy.workloads:
        yield from _workload_problems(workload)
    yield from _protocol_problems(proxy.workloads)


def _workload_problems(workload: Workload) -> Iterator[str]:
    yield from _label_problems(
        ("workload id", workload.id),
        ("service name", workload.service.name),
        ("namespace", workload.service.namespace),
        ("service account", workload.service_account),
    )
    numbers = [port.number for port in workload.ports]
    if len(set(numbers)) < len(numbers):
        yield f"the service ports of {workload.id} are not all different: {', '.join(map(str, numbers))}"
    for port in workload.ports:
        yield from _service_port_problems(port)


def _service_port_problems(port: ServicePort) -> Iterator[str]:
    yield from _port_problems("service port", port.number)
    yield from _port_problems(f"the target of service port {port.number}", port.target)
    if not is_loopback(port.address):
        yield f"the program must listen on loopback for service port {port.number}, and {port.address!r} is not that"
    if port.name:
        yield from _label_problems(("port name", port.name))


def _protocol_problems(workloads: Iterable[Workload]) -> Iterator[str]:
    protocols: dict[tuple[str, int], Protocol] = {}
    for workload in workloads:
        for port in workload.ports:
            first = protocols.setdefault((str(workload.service), port.number), port.protocol)
            if first is not port.protocol:
                yield f"port {port.number} of {workload.service} is both {first} and {port.protocol} here: choose one"


def _label_problems(*named: tuple[str, str]) -> Iterator[str]:
    for what, text in named:
        if problem := label_problem(what, text):
            yield problem


def address_problems(text: str) -> Iterator[str]:
    """What keeps an address from being that of a proxy."""
    try:
        address = ip_address(text)
    except ValueError:
        yield f"address {text!r} is no IP address: other sidecars can't reach it"
        return
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        # Else loopback, which is each machine's own, could be written so that it is not seen to be that.
        yield f"address {text} is IPv4 in the form of IPv6: write {address.ipv4_mapped}"
    elif address.is_unspecified or address.is_multicast:
        yield f"address {text} is not that of one machine: other sidecars can't reach it"


def _is_source(text: str) -> bool:
    address, _, port = text.rpartition(":")
    return is_loopback(address) and "." in address and port_of(port) is not None


def _port_problems(what: str, port: int) -> Iterator[str]:
    if not 1 <= port <= 65535:
        yield f"{what} is {port}: use 1 to 65535"
