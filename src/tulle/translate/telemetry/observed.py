"""What a connection manager and a TCP proxy need so that their calls are seen. One line here for each way of telling."""

from __future__ import annotations

from typing import Any

from tulle.ir.telemetry import Reporter, Telemetry
from tulle.translate.telemetry.calls import told_calls


def http_observed(reporter: Reporter, telemetry: Telemetry, port: str = "") -> dict[str, Any]:
    """Settings of an HTTP connection manager: `access_log`, `tracing`.

    port: `service-b.default.svc.cluster.local:80` inbound.
    """
    return {"access_log": told_calls(reporter, port)}


def tcp_observed(reporter: Reporter, telemetry: Telemetry, port: str = "") -> dict[str, Any]:
    """Settings of a TCP proxy: `access_log`."""
    return {"access_log": []}
