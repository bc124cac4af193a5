"""How HTTP is spoken to a backend. Source: Envoy, HttpProtocolOptions (upstream).

Between sidecars it is always HTTP/2. Istio's limits of HTTP/1 are felt all the same: see `_streams`.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.policies import ConnectionPool
from tulle.ir.types import Backend, Discovery, Transport
from tulle.translate.durations import duration
from tulle.translate.hash_policies import hash_policy
from tulle.translate.http_versions import http1, http2
from tulle.translate.outliers import error_matcher

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SECOND = 1_000_000_000
_PING_INTERVAL, _PING_TIMEOUT = 10 * _SECOND, 5 * _SECOND
# An open connection keeps the identities with which it began, so none between sidecars grows old.
_OLDEST = 1800 * _SECOND


def http_options(backend: Backend) -> dict[str, Any]:
    """A cluster's typed_extension_protocol_options; none for TCP."""
    if backend.tcp and backend.policy.tunnel is None and backend.discovery is not Discovery.DYNAMIC:
        return {}
    options = message(HTTP_OPTIONS)(
        **_protocol(backend),
        common_http_protocol_options=_connections(backend),
        hash_policy=hash_policy(backend.policy.balancing.hash_key),
        **error_matcher(backend.policy.outliers),
        **_authority(backend),
    )
    return {HTTP_OPTIONS: pack(options)}


def speaks_http2(backend: Backend) -> bool:
    """Whether a backend is spoken to in HTTP/2. One of which only some instances have sidecars speaks what its programs do."""
    if backend.transport is Transport.MESH:
        return True
    asked = backend.policy.pool.http2
    return backend.http2 if asked is None else asked


def _protocol(backend: Backend) -> dict[str, Any]:
    if backend.policy.pool.use_client_protocol and backend.transport is Transport.PLAIN:
        both = {"http_protocol_options": http1(), "http2_protocol_options": _http2(backend)}
        return {"use_downstream_protocol_config": both}
    if speaks_http2(backend):
        return {"explicit_http_config": {"http2_protocol_options": _http2(backend)}}
    return {"explicit_http_config": {"http_protocol_options": http1()}}


def _http2(backend: Backend) -> dict[str, Any]:
    pool = backend.policy.pool
    found = http2(allow_connect=True) if backend.transport is Transport.MESH else http2()
    if (streams := _streams(backend)) is not None:
        found["max_concurrent_streams"] = {"value": streams}
    if backend.transport is Transport.MESH or pool.ping_interval is not None:
        interval = _PING_INTERVAL if pool.ping_interval is None else pool.ping_interval
        timeout = _PING_TIMEOUT if pool.ping_timeout is None else pool.ping_timeout
        found["connection_keepalive"] = {"interval": duration(interval), "timeout": duration(timeout)}
    return found


def _streams(backend: Backend) -> int | None:
    """How many requests a connection carries at once; None for as many as the peer takes.

    Istio's maxConnections counts connections that, for programs of HTTP/1, carry one request each: with `maxConnections: 1` a
    second request waits, and what is more than http1MaxPendingRequests is refused. So where connections are counted, one
    between sidecars carries for such programs what one of HTTP/1 would. Where they are not, one carries all.
    """
    pool = backend.policy.pool
    if backend.transport is Transport.MESH and not backend.http2 and pool.max_connections is not None:
        return 1
    return pool.max_concurrent_streams


def _connections(backend: Backend) -> dict[str, Any]:
    pool: ConnectionPool = backend.policy.pool
    found: dict[str, Any] = {}
    if backend.telemetry_timeout:  # Envoy's gRPC exporters have no timeout that counts
        found["max_stream_duration"] = duration(backend.telemetry_timeout)
    longest = pool.max_connection_duration
    if backend.transport is Transport.MESH:
        longest = _OLDEST if longest is None else min(longest, _OLDEST)
    if longest is not None:
        found["max_connection_duration"] = duration(longest)
    if pool.http_idle_timeout is not None:
        found["idle_timeout"] = duration(pool.http_idle_timeout)
    if pool.max_requests_per_connection is not None:
        found["max_requests_per_connection"] = {"value": pool.max_requests_per_connection}
    return found


def _authority(backend: Backend) -> dict[str, Any]:
    """Whom TLS outside the mesh is for, and who must answer, is the request's host, unless a user says it."""
    tls = backend.policy.tls
    if backend.discovery is Discovery.DYNAMIC:
        # Envoy wants both of a cluster of this kind, also for plain text.
        return {"upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": True}}
    if tls is None or tls.mesh or tls.sni or backend.transport is Transport.MESH:
        return {}
    check = {"auto_san_validation": True} if tls.verify and not tls.names else {}
    return {"upstream_http_protocol_options": {"auto_sni": True, **check}}
