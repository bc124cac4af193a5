"""The inbound door of a sidecar, where calls of the mesh come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Inbound, InboundPort
from tulle.model.workload import Protocol
from tulle.translate import names
from tulle.translate.http_manager import http_manager, router
from tulle.translate.http_versions import http2
from tulle.translate.replies import inbound_replies
from tulle.translate.sources import IDENTITY
from tulle.translate.tcp_proxy import tcp_proxy
from tulle.translate.tls import server_socket

_TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


def inbound_listener(inbound: Inbound) -> Any:
    """mTLS from the mesh only; the SNI tells which service port is meant. Anything else finds no filter chain and is closed."""
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": pack(message(_TLS_INSPECTOR)())}
    return message("envoy.config.listener.v3.Listener")(
        name=names.inbound_listener(inbound.workload),
        traffic_direction="INBOUND",
        address={"socket_address": {"address": inbound.address, "port_value": inbound.port}},
        listener_filters=[inspector],
        filter_chains=[chain for port in inbound.ports for chain in _chains(inbound, port)],
    )


def _chains(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """Where nobody said what a port carries, the calling sidecar has found out, and says it."""
    cluster = names.inbound_cluster(inbound.workload, port.destination.port)
    if port.protocol in (Protocol.TCP, Protocol.TLS):
        return [_chain(inbound, port, names.MESH_ALPN, [], tcp_proxy(cluster, "inbound"))]
    chains = [_chain(inbound, port, names.MESH_ALPN, ["h2", "http/1.1"], _http(inbound, port))]
    if port.protocol is Protocol.AUTO:
        program = names.inbound_tcp_cluster(inbound.workload, port.destination.port)
        chains.append(_chain(inbound, port, names.DETECTED_TCP_ALPN, [], tcp_proxy(program, "inbound")))
    return chains


def _chain(
    inbound: Inbound, port: InboundPort, offered: str, alpn: Sequence[str], to: dict[str, Any]
) -> dict[str, Any]:
    sni = names.sni(port.destination)
    return {
        "name": sni if offered == names.MESH_ALPN else f"{sni} {offered}",
        "filter_chain_match": {
            "transport_protocol": "tls",
            "application_protocols": [offered],
            "server_names": [sni, *map(names.sni, port.also)],
        },
        "transport_socket": server_socket(IDENTITY, inbound.trusted, alpn),
        "filters": [to],
    }


def _http(inbound: Inbound, port: InboundPort) -> dict[str, Any]:
    return http_manager(
        inbound.paths,
        stat_prefix="inbound",
        route_config={
            "name": names.inbound_cluster(inbound.workload, port.destination.port),
            # Only a sidecar may say that its program has not seen a request, and who answered.
            "response_headers_to_remove": [names.NOT_SERVED_HEADER, names.PEER_HEADER],
            "virtual_hosts": [{"name": "program", "domains": ["*"], "routes": _to_program(inbound, port)}],
        },
        local_reply_config=inbound_replies(),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        # A websocket crosses the HTTP/2 between sidecars as an extended CONNECT (RFC 8441).
        http2_protocol_options=http2(allow_connect=True),
        drain_timeout={"seconds": 5},
        stream_idle_timeout={},
        http_filters=[router()],
    )


def _to_program(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """See clusters.program_clusters."""
    workload = inbound.workload
    pooled = {"cluster": names.inbound_cluster(workload, port.destination.port), "timeout": {}, "idle_timeout": {}}
    if port.protocol.is_http2:
        return [{"match": {"prefix": "/"}, "route": pooled}]
    once = {**pooled, "cluster": names.inbound_once_cluster(workload, port.destination.port)}
    if port.is_limited:
        return [{"match": {"prefix": "/"}, "route": once}]
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": names.SAFE_METHODS}}}
    return [{"match": {"prefix": "/", "headers": [safe]}, "route": pooled}, {"match": {"prefix": "/"}, "route": once}]
