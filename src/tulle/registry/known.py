"""What the mesh remembers of a service, from all instances that it ever saw."""

from __future__ import annotations

from collections.abc import Iterable

from tulle.model.names import ServiceName
from tulle.model.snapshot import KnownPort, KnownService
from tulle.model.workload import Proxy, Workload


def with_workloads(known: KnownService | None, service: ServiceName, workloads: Iterable[Workload]) -> KnownService:
    """What is known once these instances of the service were seen; equal to `known` if that is nothing new.

    A port has the protocol that was seen last, and the name that was seen first.
    """
    ports = {port.number: port for port in known.ports} if known else {}
    identities = set(known.identities) if known else set()
    for workload in workloads:
        identities.add(workload.identity)
        for port in workload.ports:
            before = ports.get(port.number)
            name = before.name if before and before.name else port.name
            ports[port.number] = KnownPort(port.number, port.protocol, name)
    vip = known.vip if known else ""
    return KnownService(service, tuple(sorted(ports.values())), tuple(sorted(identities)), vip)


def changed_protocols(before: KnownService, after: KnownService) -> frozenset[int]:
    """The ports that `after` knows by another protocol than `before`."""
    protocols = {port.number: port.protocol for port in before.ports}
    return frozenset(port.number for port in after.ports if protocols.get(port.number, port.protocol) != port.protocol)


def disagreement(proxies: Iterable[Proxy], wanted: KnownService) -> str | None:
    """Why instances can't offer the service's ports as wanted: one that is alive offers one in another way."""
    protocols = {port.number: port.protocol for port in wanted.ports}
    for proxy in proxies:
        for workload in proxy.workloads:
            if workload.service == wanted.service:
                for port in workload.ports:
                    now = protocols.get(port.number, port.protocol)
                    if port.protocol is not now:
                        return (
                            f"port {port.number} of {wanted.service} can't be {now}: it is {port.protocol} on the live "
                            f"instance {workload.id}. Offer that protocol, or another port, or stop the instance first"
                        )
    return None
