"""What a ServiceEntry offers. Source: Istio, Service Entry."""

from __future__ import annotations

from tulle.model.protocols import select
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import KnownPort


def known_ports(entry: Resource) -> tuple[KnownPort, ...]:
    """Its ports, as callers name them."""
    spec = entry.spec
    ports = spec.ports if isinstance(spec, ServiceEntry) else ()
    return tuple(KnownPort(port.number, select(port.protocol, port.name, port.number), port.name) for port in ports)
