"""The two doors of a sidecar: outbound, where its program's calls go in, and inbound, where calls of the mesh come in."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Inbound, InboundPort, Outbound
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.translate import names
from tulle.translate.clusters import dns_cache, preserve_case
from tulle.translate.replies import inbound_replies, outbound_replies
from tulle.translate.sources import ADS, IDENTITY
from tulle.translate.tls import server_socket

_HTTP = "envoy.extensions.filters.http"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"

# The only bound on a first call whose name the control plane does not answer; a route sets its own (none) once it is known.
_UNANSWERED = {"seconds": 30}


def outbound_listener(outbound: Outbound) -> Any:
    """HTTP as programs send it to a proxy: absolute URIs, plain Host, and CONNECT (also in HTTP/1.0, as http.client does)."""
    on_demand = message(f"{_HTTP}.on_demand.v3.OnDemand")()
    forward = message(f"{_HTTP}.dynamic_forward_proxy.v3.FilterConfig")(dns_cache_config=dns_cache())
    manager = _http(
        stat_prefix="outbound",
        rds={"route_config_name": outbound.route_config, "config_source": ADS},
        stream_idle_timeout=_UNANSWERED,
        local_reply_config=outbound_replies(),
        upgrade_configs=[{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
        http_filters=[
            {"name": "envoy.filters.http.on_demand", "typed_config": pack(on_demand)},
            {"name": "envoy.filters.http.dynamic_forward_proxy", "typed_config": pack(forward)},
            _router(),
        ],
    )
    return message("envoy.config.listener.v3.Listener")(
        name=outbound.route_config,
        traffic_direction="OUTBOUND",
        address={"socket_address": {"address": "127.0.0.1", "port_value": outbound.port}},
        filter_chains=[{"filters": [manager]}],
    )


def inbound_listener(inbound: Inbound) -> Any:
    """mTLS from the mesh only; the SNI tells which service port is meant. Anything else finds no filter chain and is closed."""
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": pack(message(_TLS_INSPECTOR)())}
    return message("envoy.config.listener.v3.Listener")(
        name=names.inbound_listener(inbound.workload),
        traffic_direction="INBOUND",
        address={"socket_address": {"address": inbound.address, "port_value": inbound.port}},
        listener_filters=[inspector],
        filter_chains=[_inbound_chain(inbound.workload, port) for port in inbound.ports],
    )


def _inbound_chain(workload: str, port: InboundPort) -> dict[str, Any]:
    manager = _http(
        stat_prefix="inbound",
        route_config={
            "name": names.inbound_cluster(workload, port.destination.port),
            # Only a sidecar may say that its program has not seen a request, and who answered.
            "response_headers_to_remove": [names.NOT_SERVED_HEADER, names.PEER_HEADER],
            "virtual_hosts": [{"name": "program", "domains": ["*"], "routes": _to_program(workload, port)}],
        },
        local_reply_config=inbound_replies(),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        # A websocket crosses the HTTP/2 between sidecars as an extended CONNECT (RFC 8441).
        http2_protocol_options={"allow_connect": True},
        drain_timeout={"seconds": 5},
        stream_idle_timeout={},
        http_filters=[_router()],
    )
    return {
        "name": names.sni(port.destination),
        "filter_chain_match": {
            "transport_protocol": "tls",
            "application_protocols": [names.MESH_ALPN],
            "server_names": [names.sni(port.destination)],
        },
        "transport_socket": server_socket(IDENTITY, WORKLOAD_PREFIX, ["h2", "http/1.1"]),
        "filters": [manager],
    }


def _to_program(workload: str, port: InboundPort) -> list[dict[str, Any]]:
    """See clusters.program_clusters."""
    pooled = {"cluster": names.inbound_cluster(workload, port.destination.port), "timeout": {}, "idle_timeout": {}}
    if port.protocol.is_http2:
        return [{"match": {"prefix": "/"}, "route": pooled}]
    once = {**pooled, "cluster": names.inbound_once_cluster(workload, port.destination.port)}
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": names.SAFE_METHODS}}}
    return [{"match": {"prefix": "/", "headers": [safe]}, "route": pooled}, {"match": {"prefix": "/"}, "route": once}]


def _http(**settings: Any) -> dict[str, Any]:
    """A lean HTTP connection manager: what no feature needs is left out, as parsing HTTP is what costs CPU."""
    manager = message(_HCM)(
        server_header_transformation="PASS_THROUGH",
        skip_xff_append=True,
        generate_request_id={"value": False},
        strip_trailing_host_dot=True,
        http_protocol_options={"accept_http_10": True, "header_key_format": preserve_case()},
        **settings,
    )
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": pack(manager)}


def _router() -> dict[str, Any]:
    router = message(f"{_HTTP}.router.v3.Router")(dynamic_stats={"value": False}, suppress_envoy_headers=True)
    return {"name": "envoy.filters.http.router", "typed_config": pack(router)}
