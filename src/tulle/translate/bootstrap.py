"""What an Envoy is started with: who it is, and where its control plane is. Everything else comes by ADS."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack, to_dict
from tulle.translate import names
from tulle.translate.sources import ADS, PROXY_IDENTITY
from tulle.translate.telemetry import metrics, tracing
from tulle.translate.tls import client_socket

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_INTERNAL = "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
_CONTROL_PLANE = "control-plane"


def bootstrap(proxy: str, address: str, port: int, server_id: str) -> dict[str, Any]:
    """Envoy's bootstrap as JSON values, for a proxy whose working folder holds its secrets and its admin socket.

    address, port: of the control plane's ADS door; server_id: the SPIFFE id which that door must prove.
    """
    return to_dict(_bootstrap(proxy, address, port, server_id))


def _bootstrap(proxy: str, address: str, port: int, server_id: str) -> Any:
    return message("envoy.config.bootstrap.v3.Bootstrap")(
        node={"id": proxy, "cluster": "tulle"},
        admin={"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        dynamic_resources={
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": _CONTROL_PLANE, "retry_policy": _COME_BACK}}],
            },
            "cds_config": ADS,
            "lds_config": ADS,
        },
        static_resources={"clusters": [_control_plane(address, port, server_id), _agent()]},
        bootstrap_extensions=[
            {"name": "envoy.bootstrap.internal_listener", "typed_config": pack(message(_INTERNAL)())}
        ],
        stats_flush_interval={"seconds": 2},
        stats_eviction_interval={"seconds": 600},
        stats_config={"stats_matcher": {"inclusion_list": {"patterns": _KEPT_STATS}}},
        deferred_stat_options={"enable_deferred_creation_stats": True},
        layered_runtime={"layers": [{"name": "static", "static_layer": RUNTIME}, {"name": "agent", "admin_layer": {}}]},
    )


# Envoy's own pause grows to 30 s; a control plane that is back must not wait that long for its sidecars.
_COME_BACK = {"retry_back_off": {"base_interval": {"nanos": 200_000_000}, "max_interval": {"seconds": 1}}}

RUNTIME = {
    **tracing.RUNTIME,
    # Envoy takes expressions of up to 100 instructions; ours are made of the mesh's namespaces and of its policies.
    "re2.max_program_size.error_level": 1_000_000,
    "re2.max_program_size.warn_level": 1_000_000,
    # Envoy's default is content with one line of a header that fits, and so lets a caller add another to one that is allowed.
    "envoy.reloadable_features.rbac_match_headers_individually": False,
}

_UNTAKEN = "upstream_cx_none_healthy|upstream_rq_(pending_overflow|max_duration_reached|3xx|4xx)"

# A stat costs memory for every cluster, so only those are kept that something reads.
_KEPT_STATS = [
    {"prefix": "server."},
    {"prefix": "cluster_manager."},
    {"prefix": "control_plane."},
    {"prefix": "http.inbound.downstream_rq"},
    {"prefix": "http.outbound.downstream_rq"},
    {"exact": f"cluster.{names.INBOUND_TCP_STATS}.upstream_cx_active"},
    {"contains": "ssl.fail"},
    {"contains": "ssl.handshake"},
    {"suffix": "upstream_rq_retry"},
    {"suffix": "upstream_rq_active"},
    # By which the agent tells which services are idle.
    {"safe_regex": {"regex": r"cluster\.outbound\|.*\.upstream_rq_total"}},
    {"contains": "outlier_detection.ejections_active"},
    # What collectors have not taken.
    {"safe_regex": {"regex": rf"cluster\.outbound\|.*\|{names.TELEMETRY}-[0-9]+ms\.({_UNTAKEN})"}},
    # What access rules have denied and allowed, and would have.
    {"contains": ".rbac."},
    # Of routes with a `statPrefix`.
    {"safe_regex": {"regex": r"vhost\..*\.route\..*"}},
    # By which the agent tells when an Envoy that another took over from may end.
    {"suffix": ".downstream_cx_active"},
    {"suffix": ".downstream_pre_cx_active"},
    {"exact": "listener_manager.listener_stopped"},
    # What Istio's metrics are made of.
    {"prefix": f"{metrics.PREFIX}."},
]


def _control_plane(address: str, port: int, server_id: str) -> dict[str, Any]:
    # Pings notice a control plane whose host is gone; the server must not count them against us.
    http2 = {"connection_keepalive": {"interval": {"seconds": 5}, "timeout": {"seconds": 5}}}
    options = message(_HTTP_OPTIONS)(explicit_http_config={"http2_protocol_options": http2})
    socket_address = {"socket_address": {"address": address, "port_value": port}}
    return {
        "name": _CONTROL_PLANE,
        "type": "STATIC",
        "connect_timeout": {"seconds": 2},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: pack(options)},
        "transport_socket": client_socket(PROXY_IDENTITY, [server_id], ["h2"]),
        "load_assignment": {
            "cluster_name": _CONTROL_PLANE,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address}}]}],
        },
    }


def _agent() -> dict[str, Any]:
    """The agent's door for spans (agent/spans/door.py), by a path from Envoy's working folder."""
    socket = {"pipe": {"path": "telemetry.sock"}}
    return {
        "name": names.AGENT,
        "type": "STATIC",
        "connect_timeout": {"seconds": 1},
        "load_assignment": {
            "cluster_name": names.AGENT,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}],
        },
    }
