"""Which protocol a port carries, from what a document says of it.

Source: Istio, Protocol Selection: the protocol that is given, else the port's name up to its first hyphen, else its number
where servers speak first; what nobody tells is found out from the first bytes.
"""

from __future__ import annotations

from tulle.model.well_known import HTTP_PORTS, TCP_PORTS
from tulle.model.workload import Protocol

NAMES = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.HTTP,
    "https": Protocol.TLS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.TCP,
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
}


def named(text: str) -> Protocol | None:
    """By its name, in any case: `HTTP`, `grpc-web`; None for one that is not known."""
    return NAMES.get(text.lower())


def select(protocol: str, port_name: str, number: int) -> Protocol:
    """What a port carries. Every argument may say nothing ("" or 0)."""
    found = named(protocol) or (None if protocol else _by_port_name(port_name.lower()))
    if found is not None:
        return found
    if number in TCP_PORTS:
        return Protocol.TCP
    return Protocol.HTTP if number in HTTP_PORTS else Protocol.AUTO


def _by_port_name(name: str) -> Protocol | None:
    if name.startswith("grpc-web-"):
        return NAMES["grpc-web"]
    return named(name) or named(name.partition("-")[0])
