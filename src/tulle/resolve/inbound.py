"""What a workload takes in, and on which door."""

from __future__ import annotations

from tulle.ir.types import Inbound, InboundPort
from tulle.model.names import Destination
from tulle.model.workload import Proxy, Workload


def inbound(proxy: Proxy, workload: Workload) -> Inbound | None:
    """The workload's door for calls from the mesh; None for a workload that offers no port."""
    ports = tuple(
        InboundPort(Destination(workload.service, port.number), port.target, port.protocol, port.address)
        for port in sorted(workload.ports)
    )
    return Inbound(workload.id, proxy.address, proxy.inbound_port, ports) if ports else None
