"""What a connection that has come in goes through, once it is known to be HTTP or not."""

from __future__ import annotations

from typing import Any

from tulle.ir.telemetry import Reporter
from tulle.ir.types import Inbound, InboundPort
from tulle.translate import names
from tulle.translate.access.decision_log import http_decisions, tcp_decisions
from tulle.translate.access.http_filters import access_filters
from tulle.translate.access.tcp_filters import tcp_access_filters
from tulle.translate.access.token_filter import headers_of_claims, token_filter
from tulle.translate.http_manager import http_manager, router
from tulle.translate.http_versions import http2
from tulle.translate.replies import inbound_replies
from tulle.translate.sources import ADS
from tulle.translate.tcp_proxy import tcp_proxy
from tulle.translate.telemetry.b3 import heeded_b3
from tulle.translate.telemetry.metrics import message_counter
from tulle.translate.telemetry.observed import http_observed, tcp_observed
from tulle.translate.vouching import vouched_by_sidecars_alone


def http(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """The network filters of a port that carries HTTP."""
    observed = http_observed(Reporter.DESTINATION, inbound.telemetry, str(port.destination))
    decisions = http_decisions(tokens=bool(inbound.issuers), custom=inbound.authorizer is not None)
    manager = http_manager(
        inbound.paths,
        stat_prefix="inbound",
        rds={
            "route_config_name": names.inbound_cluster(inbound.workload, port.destination.port),
            "config_source": ADS,
        },
        local_reply_config=inbound_replies(tokens=bool(inbound.issuers), custom=inbound.authorizer is not None),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        # A websocket crosses the HTTP/2 between sidecars as an extended CONNECT (RFC 8441).
        http2_protocol_options=http2(allow_connect=True),
        drain_timeout={"seconds": 5},
        stream_idle_timeout={},
        http_filters=_http_filters(inbound, port),
        **vouched_by_sidecars_alone([*headers_of_claims(inbound.issuers), *heeded_b3(inbound.telemetry)]),
        **{**observed, "access_log": [*observed["access_log"], *decisions]},
    )
    return [manager]


def tcp(inbound: Inbound, port: InboundPort, cluster: str) -> list[dict[str, Any]]:
    """The network filters of a port that carries bytes, to one of the program's clusters."""
    observed = tcp_observed(Reporter.DESTINATION, inbound.telemetry, str(port.destination))
    return [
        *tcp_access_filters(port.access, inbound.revoked, inbound.authorizer),
        tcp_proxy(
            cluster,
            "inbound",
            upstream_connect_mode="ON_DOWNSTREAM_TLS_HANDSHAKE",
            max_early_data_bytes={"value": 65536},
            **{**observed, "access_log": [*observed["access_log"], *tcp_decisions()]},
        ),
    ]


def _http_filters(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """In the order in which a request goes through them."""
    filters = [*token_filter(inbound.issuers), *access_filters(port.access, inbound.authorizer)]
    counter = [message_counter()] if port.protocol.is_http2 else []
    return [*filters, *counter, router()]
