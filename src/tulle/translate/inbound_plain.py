"""What the inbound door takes beside the mesh's mutual TLS, where a port allows that: plain text, and the program's own TLS.

Plain text does not say which port of the workload it is for. Where the kernel has led a connection here that was going to the
program (`redirect`), its destination says it. At the sidecar's own port it is the port of that number, if the program has one,
or else the first that takes plain text.

TLS is the mesh's only if it asks for the mesh's protocol (ALPN); any other is the program's, whose bytes pass. The mesh's for
nobody here is closed, and never the program's. Source: Envoy, FilterChainMatch: a chain that names more counts, and names are
looked at in the order destination port, server name, transport protocol, application protocols.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Inbound, InboundPort
from tulle.model.mutual_tls import MutualTls
from tulle.model.workload import Protocol
from tulle.translate import inbound_filters, names
from tulle.translate.durations import duration

_LISTENER = "envoy.extensions.filters.listener"
_HTTP_1 = ["http/1.0", "http/1.1"]
# The mesh's, with a name (SNI) that no port of this workload has. A chain without filters closes.
_NOBODYS = {
    "name": "the mesh's for nobody",
    "filter_chain_match": {
        "transport_protocol": "tls",
        "application_protocols": [names.MESH_ALPN, names.DETECTED_TCP_ALPN],
    },
}


def takes_plain(inbound: Inbound) -> list[InboundPort]:
    """The ports that do."""
    return [port for port in inbound.ports if port.mutual_tls is not MutualTls.STRICT]


def at_own_port(inbound: Inbound) -> InboundPort | None:
    """For which of its ports plain text is that comes to the sidecar's own; None if it is refused."""
    named = [port for port in inbound.ports if port.target == inbound.port]
    return next((port for port in named or inbound.ports if port.mutual_tls is not MutualTls.STRICT), None)


def plain_chains(inbound: Inbound, port: InboundPort | None) -> list[dict[str, Any]]:
    """The filter chains of a port that takes plain text; those of none let nothing in."""
    return [_NOBODYS, *_chains(inbound, port)] if port else []


def plain_inspection(inbound: Inbound, tls_inspector: dict[str, Any]) -> dict[str, Any]:
    """The listener filters, and for how long first bytes are waited for: a client of TCP may wait for the program to speak."""
    ports = takes_plain(inbound)
    filters = [tls_inspector]
    if inbound.redirected:
        filters.insert(0, _filter("original_dst", f"{_LISTENER}.original_dst.v3.OriginalDst"))
    if any(port.protocol is Protocol.AUTO for port in ports):
        filters.append(_filter("http_inspector", f"{_LISTENER}.http_inspector.v3.HttpInspector"))
    if not any(port.protocol in (Protocol.AUTO, Protocol.TCP) for port in ports):
        return {"listener_filters": filters}
    return {
        "listener_filters": filters,
        "listener_filters_timeout": duration(inbound.detect),
        "continue_on_listener_filters_timeout": True,
    }


def _chains(inbound: Inbound, port: InboundPort) -> Iterator[dict[str, Any]]:
    name = f"plain {port.destination.port}"
    bytes_ = inbound_filters.tcp(inbound, port, _of_bytes(inbound, port))
    http = port.protocol not in (Protocol.TCP, Protocol.TLS)
    plain = {"transport_protocol": "raw_buffer"}
    if port.protocol is Protocol.AUTO:
        detected = {**plain, "application_protocols": _HTTP_1}
        yield {"name": f"{name} http", "filter_chain_match": detected, "filters": inbound_filters.http(inbound, port)}
        yield {"name": name, "filter_chain_match": plain, "filters": bytes_}
    else:
        filters = inbound_filters.http(inbound, port) if http else bytes_
        yield {"name": name, "filter_chain_match": plain, "filters": filters}
    yield {"name": f"{name} tls", "filter_chain_match": {"transport_protocol": "tls"}, "filters": bytes_}


def _of_bytes(inbound: Inbound, port: InboundPort) -> str:
    """The program's cluster for what nobody reads as HTTP."""
    if port.protocol is Protocol.AUTO:
        return names.inbound_tcp_cluster(inbound.workload, port.destination.port)
    return names.inbound_cluster(inbound.workload, port.destination.port)


def _filter(name: str, kind: str) -> dict[str, Any]:
    return {"name": f"envoy.filters.listener.{name}", "typed_config": pack(message(kind)())}
