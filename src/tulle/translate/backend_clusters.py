"""The ways from a sidecar to services: one cluster for a port of a service, or of one of its subsets."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.policies import Balance, ConnectionPool, Outliers
from tulle.ir.types import Backend, Discovery, Transport
from tulle.translate import names
from tulle.translate.circuit_breakers import circuit_breakers
from tulle.translate.clusters import dns_cache
from tulle.translate.durations import duration
from tulle.translate.endpoints import locality
from tulle.translate.load_balancing import load_balancing
from tulle.translate.outliers import outlier_detection
from tulle.translate.sources import ADS
from tulle.translate.transport import transport
from tulle.translate.upstream_http import http_options

_SECOND = 1_000_000_000
# To a sidecar, and to anything else; the latter is Istio's (MeshConfig, `connectTimeout`).
_CONNECT, _CONNECT_OUTSIDE = 2 * _SECOND, 10 * _SECOND
# Istio's (MeshConfig, `dnsRefreshRate`); the lifetime that DNS gives an answer comes first.
_REFRESH = 60 * _SECOND
_DNS = {Discovery.DNS: "STRICT_DNS", Discovery.DNS_ROUND_ROBIN: "LOGICAL_DNS"}


def backend_cluster(backend: Backend) -> Any:
    """By default: mTLS to sidecars with their exact ids, least request, HTTP/2 or TCP."""
    policy = backend.policy
    inside = backend.transport is Transport.MESH
    timeout = policy.pool.connect_timeout
    return message("envoy.config.cluster.v3.Cluster")(
        name=names.backend(backend),
        **_discovery(backend),
        connect_timeout=duration((_CONNECT if inside else _CONNECT_OUTSIDE) if timeout is None else timeout),
        **load_balancing(backend),
        circuit_breakers=circuit_breakers(policy.pool, policy.retry_budget),
        **_outliers(backend),
        **_keepalive(policy.pool),
        typed_extension_protocol_options=http_options(backend),
        **transport(backend),
    )


def _discovery(backend: Backend) -> dict[str, Any]:
    if backend.discovery is Discovery.ORIGINAL or backend.policy.balancing.balance is Balance.PASSTHROUGH:
        return {"type": "ORIGINAL_DST"}
    if backend.discovery is Discovery.MESH:
        return {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    if backend.discovery is Discovery.DYNAMIC:
        extension = message("envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig")
        settings = pack(extension(dns_cache_config=dns_cache()))
        return {"cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": settings}}
    refresh = backend.policy.dns_refresh
    return {
        "type": _DNS[backend.discovery],
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": duration(_REFRESH if refresh is None else refresh),
        "respect_dns_ttl": True,
        "load_assignment": {
            "cluster_name": names.backend(backend),
            "endpoints": [locality(found) for found in backend.localities],
        },
    }


def _outliers(backend: Backend) -> dict[str, Any]:
    """Hosts that have nothing to do with each other are not left out unless a user wants it."""
    outliers = backend.policy.outliers
    if backend.discovery in (Discovery.DYNAMIC, Discovery.ORIGINAL) and outliers == Outliers():
        return {}
    return {"outlier_detection": outlier_detection(outliers)}


def _keepalive(pool: ConnectionPool) -> dict[str, Any]:
    found = pool.keepalive
    if found is None:
        return {}
    said = {"keepalive_probes": found.probes, "keepalive_time": found.time, "keepalive_interval": found.interval}
    keepalive = {name: {"value": value} for name, value in said.items() if value}
    return {"upstream_connection_options": {"tcp_keepalive": keepalive}}
