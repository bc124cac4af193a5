"""A sidecar's own clusters: to its program, to itself, and to the world that nobody declared. See also `backend_clusters`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tulle.envoy_api.messages import message, pack
from tulle.ir.policies import ConnectionPool
from tulle.ir.types import InboundPort
from tulle.model.workload import Protocol
from tulle.translate import names
from tulle.translate.circuit_breakers import circuit_breakers
from tulle.translate.durations import duration
from tulle.translate.http_versions import http1, http2

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_NO_POOL = ConnectionPool()
_CONNECT, _IDLE = 2_000_000_000, 1_000_000_000

# Outside the mesh there is a limit, Envoy's own: whatever runs in circles out there ends before the sidecar does.
_OUTSIDE_BREAKERS = {
    "thresholds": [
        {
            "max_connections": {"value": 1024},
            "max_pending_requests": {"value": 1024},
            "max_requests": {"value": 1024},
        }
    ]
}


def program_clusters(workload: str, port: InboundPort) -> tuple[Any, ...]:
    """The program behind one of a workload's ports, on loopback; an HTTP/1 program in two ways.

    A call on a connection that its server is just closing fails, and nobody can tell whether the program has seen it. So
    idle connections are closed after 1 s, sooner than by any common server (gunicorn 2 s, uvicorn and Node 5 s), and a
    call that must not be repeated has a connection of its own: a dead program refuses that, unseen. Where calls are counted,
    all are of that kind, so that one cluster counts them.
    """
    name = names.inbound_cluster(workload, port.destination.port)
    if port.protocol in (Protocol.TCP, Protocol.TLS):
        return (_loopback(name, port, alt_stat_name=names.INBOUND_TCP_STATS),)
    if port.protocol.is_http2:
        return (_program(name, port, port.pool, {"http2_protocol_options": http2()}),)
    protocol = {"http_protocol_options": http1()}
    once = names.inbound_once_cluster(workload, port.destination.port)
    programs = (
        _program(name, port, port.pool, protocol),
        _program(once, port, replace(port.pool, max_requests_per_connection=1), protocol),
    )
    if port.protocol is not Protocol.AUTO:
        return programs
    tcp = names.inbound_tcp_cluster(workload, port.destination.port)
    return (*programs, _loopback(tcp, port, alt_stat_name=names.INBOUND_TCP_STATS))


def _program(name: str, port: InboundPort, pool: ConnectionPool, protocol: dict[str, Any]) -> Any:
    most = pool.max_requests_per_connection
    options = message(_HTTP_OPTIONS)(
        explicit_http_config=protocol,
        common_http_protocol_options={
            "idle_timeout": duration(pool.http_idle_timeout or _IDLE),
            **({"max_requests_per_connection": {"value": most}} if most else {}),
            **({"max_connection_duration": duration(longest)} if (longest := pool.max_connection_duration) else {}),
        },
    )
    return _loopback(name, port, typed_extension_protocol_options={_HTTP_OPTIONS: pack(options)})


def _loopback(name: str, port: InboundPort, **settings: Any) -> Any:
    address = {"socket_address": {"address": port.address, "port_value": port.target}}
    return _of_one(name, address, port.pool, **settings)


def _of_one(name: str, address: dict[str, Any], pool: ConnectionPool = _NO_POOL, **settings: Any) -> Any:
    return message("envoy.config.cluster.v3.Cluster")(
        name=name,
        type="STATIC",
        connect_timeout=duration(pool.connect_timeout or _CONNECT),
        circuit_breakers=circuit_breakers(pool),
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **settings,
    )


def tunnel_cluster(route_config: str) -> Any:
    """From a tunnel's outer end to its inner one, within this Envoy (listeners.tunnel_listener)."""
    name = names.tunnels(route_config)
    address = {"envoy_internal_address": {"server_listener_name": name}}
    return _of_one(name, address)


def way_out_cluster() -> Any:
    """Where a captured connection was going, outside the mesh, from a program that has no other way there."""
    return message("envoy.config.cluster.v3.Cluster")(
        name=names.WAY_OUT,
        type="ORIGINAL_DST",
        connect_timeout={"seconds": 10},
        lb_policy="CLUSTER_PROVIDED",
        circuit_breakers=circuit_breakers(),
    )


def passthrough_cluster() -> Any:
    """Hosts outside the mesh, by their names in DNS."""
    extension = message("envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig")
    options = message(_HTTP_OPTIONS)(
        explicit_http_config={"http_protocol_options": http1()},
        # Envoy wants both of a cluster of this kind, for the day on which it speaks TLS itself.
        upstream_http_protocol_options={"auto_sni": True, "auto_san_validation": True},
    )
    return message("envoy.config.cluster.v3.Cluster")(
        name=names.PASSTHROUGH,
        connect_timeout={"seconds": 5},
        lb_policy="CLUSTER_PROVIDED",
        circuit_breakers=_OUTSIDE_BREAKERS,
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(options)},
        cluster_type={
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": pack(extension(dns_cache_config=dns_cache())),
        },
    )


def dns_cache() -> dict[str, Any]:
    """The DNS cache of passed-through hosts; filter and cluster must say the same (DnsCacheConfig, `name`)."""
    return {
        "name": names.PASSTHROUGH,
        "dns_lookup_family": "V4_PREFERRED",
        "dns_query_timeout": {"seconds": 3},
        "max_hosts": {"value": 1024},
    }
