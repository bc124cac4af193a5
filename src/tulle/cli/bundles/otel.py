"""For an OpenTelemetry Collector (opentelemetry.io, "Configuration"): takes traces, scrapes figures, and sends both on.

The components are in the collector's `contrib` distribution, by the names that they have since 0.144; before, `otlp_http` was
`otlphttp`. What goes out is put together by the exporter's queue, so that a full one holds up those who send, as it should.
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.cli.bundles.prometheus import SECONDS, scrape, written

_TO = "${env:OTEL_EXPORTER_OTLP_ENDPOINT}"


def files(control_plane: str) -> Mapping[str, str]:
    """control_plane: `host:port` of its door for browsers."""
    job = {"scrape_interval": f"{SECONDS}s", **scrape(control_plane)}
    configuration = {
        "receivers": {
            "otlp": {
                "protocols": {"grpc": {"endpoint": "127.0.0.1:4317"}, "http": {"endpoint": "127.0.0.1:4318"}},
            },
            "prometheus": {"config": {"scrape_configs": [job]}},
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 400, "spike_limit_mib": 100},
        },
        "exporters": {"otlp_http": {"endpoint": _TO, "sending_queue": {"batch": {"flush_timeout": "5s"}}}},
        "service": {
            "pipelines": {
                "traces": _pipeline("otlp"),
                "metrics": _pipeline("otlp", "prometheus"),
                "logs": _pipeline("otlp"),
            },
        },
    }
    return {"collector.yaml": written(configuration)}


def _pipeline(*receivers: str) -> dict[str, list[str]]:
    return {"receivers": [*receivers], "processors": ["memory_limiter"], "exporters": ["otlp_http"]}
