"""ConnectionPoolSettings to limits and lengths of time. 0 of a number is nothing said, as in Istio."""

from __future__ import annotations

from tulle.ir.policies import ConnectionPool, Keepalive
from tulle.model.durations import nanoseconds, seconds
from tulle.model.resources.destination_rule import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    TcpKeepalive,
    TCPSettings,
)
from tulle.model.resources.mesh_config import MeshConfig


def connection_pool(said: ConnectionPoolSettings | None, mesh: MeshConfig | None) -> ConnectionPool:
    """A rule's settings; connectTimeout and tcpKeepalive are the mesh's where it says neither."""
    tcp = said.tcp if said and said.tcp else TCPSettings()
    http = said.http if said and said.http else HTTPSettings()
    ping = http.http2_keep_alive
    return ConnectionPool(
        max_connections=tcp.max_connections or None,
        connect_timeout=_length(tcp.connect_timeout or (mesh.connect_timeout if mesh else None)),
        tcp_idle_timeout=_length(tcp.idle_timeout),
        max_connection_duration=_length(tcp.max_connection_duration),
        keepalive=_keepalive(tcp.tcp_keepalive or (mesh.tcp_keepalive if mesh else None)),
        max_pending_requests=http.http1_max_pending_requests or None,
        max_requests=http.http2_max_requests or None,
        max_requests_per_connection=http.max_requests_per_connection or None,
        max_retries=http.max_retries or None,
        # Istio gives an HTTP connection TCP's where HTTP's own is not said.
        http_idle_timeout=_length(http.idle_timeout or tcp.idle_timeout),
        max_concurrent_streams=http.max_concurrent_streams or None,
        http2=_http2(http.h2_upgrade_policy),
        use_client_protocol=http.use_client_protocol,
        ping_interval=_length(ping.interval) if ping else None,
        ping_timeout=_length(ping.timeout) if ping else None,
    )


def _length(text: str | None) -> int | None:
    return nanoseconds(text) if text else None


def _keepalive(said: TcpKeepalive | None) -> Keepalive | None:
    if said is None:
        return None
    return Keepalive(said.probes, round(seconds(said.time)), round(seconds(said.interval)))


def _http2(said: H2UpgradePolicy) -> bool | None:
    return None if said is H2UpgradePolicy.DEFAULT else said is H2UpgradePolicy.UPGRADE
