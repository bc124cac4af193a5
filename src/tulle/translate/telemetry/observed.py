"""What a connection manager and a TCP proxy need so that their calls are seen. One line here for each way of telling."""

from __future__ import annotations

from typing import Any

from tulle.ir.telemetry import Reporter, Telemetry
from tulle.translate.durations import duration
from tulle.translate.telemetry.calls import told_calls
from tulle.translate.telemetry.logs import connection_logs, request_logs
from tulle.translate.telemetry.metrics import SAID_EVERY_MS, http_figures, tcp_figures
from tulle.translate.telemetry.tracing import tracing


def http_observed(reporter: Reporter, telemetry: Telemetry, port: str = "") -> dict[str, Any]:
    """Settings of an HTTP connection manager: `access_log`, `tracing`.

    port: `service-b.default.svc.cluster.local:80` inbound.
    """
    return {
        "access_log": [
            *told_calls(reporter, port),
            *http_figures(reporter, telemetry.metrics, port),
            *request_logs(telemetry.logs),
        ],
        **tracing(reporter, telemetry, port),
    }


def tcp_observed(reporter: Reporter, telemetry: Telemetry, port: str = "") -> dict[str, Any]:
    """Settings of a TCP proxy: `access_log`, `access_log_options`.

    Its logs are written when a connection has been made, while it lasts and when it has ended: each says by a filter for which it
    is.
    """
    return {
        "access_log": [*tcp_figures(reporter, telemetry.metrics, port), *connection_logs(telemetry.logs)],
        "access_log_options": {
            "flush_access_log_on_connected": True,
            "access_log_flush_interval": duration(SAID_EVERY_MS * 1_000_000),
        },
    }
