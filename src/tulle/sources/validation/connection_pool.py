"""`connectionPool`: of a DestinationRule, a Sidecar and the mesh.

Source: Istio, pkg/config/validation (validateConnectionPool).
"""

from __future__ import annotations

from tulle.model.resources.destination_rule import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    TcpKeepalive,
    TCPSettings,
)
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_not_negative, check_time


def check(pool: ConnectionPoolSettings | None, at: At) -> None:
    if pool is None:
        return
    if pool.tcp is None and pool.http is None:
        at.error("`connectionPool` is empty: give `tcp` or `http`, or leave it out")
    if pool.tcp is not None:
        _check_tcp(pool.tcp, at.field("tcp"))
    if pool.http is not None:
        _check_http(pool.http, at.field("http"))


def _check_tcp(tcp: TCPSettings, at: At) -> None:
    check_not_negative(tcp.max_connections, at.field("maxConnections"))
    check_time(tcp.connect_timeout, at.field("connectTimeout"))
    check_time(tcp.max_connection_duration, at.field("maxConnectionDuration"))
    check_time(tcp.idle_timeout, at.field("idleTimeout"), zero=True)
    _check_keepalive(tcp.tcp_keepalive, at.field("tcpKeepalive"))


def _check_http(http: HTTPSettings, at: At) -> None:
    check_not_negative(http.http1_max_pending_requests, at.field("http1MaxPendingRequests"))
    check_not_negative(http.http2_max_requests, at.field("http2MaxRequests"))
    check_not_negative(http.max_requests_per_connection, at.field("maxRequestsPerConnection"))
    check_not_negative(http.max_retries, at.field("maxRetries"))
    check_not_negative(http.max_concurrent_streams, at.field("maxConcurrentStreams"))
    check_time(http.idle_timeout, at.field("idleTimeout"))
    if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and http.use_client_protocol:
        at.field("useClientProtocol").error(
            "the caller's protocol can't be kept and upgraded to HTTP/2 at once: "
            "leave out `useClientProtocol`, or `h2UpgradePolicy: UPGRADE`"
        )
    if http.http2_keep_alive is not None:
        check_time(http.http2_keep_alive.interval, at.field("http2KeepAlive").field("interval"))
        check_time(http.http2_keep_alive.timeout, at.field("http2KeepAlive").field("timeout"))


def _check_keepalive(keepalive: TcpKeepalive | None, at: At) -> None:
    if keepalive is not None:
        check_time(keepalive.time, at.field("time"))
        check_time(keepalive.interval, at.field("interval"))
