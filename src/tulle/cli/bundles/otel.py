"""For an OpenTelemetry Collector (opentelemetry.io, "Configuration"): takes traces, scrapes figures, and sends both on.

The components are in the collector's `contrib` distribution.
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.cli.bundles.prometheus import SECONDS, scrape, written

_TO = "${env:OTEL_EXPORTER_OTLP_ENDPOINT}"


def files(control_plane: str) -> Mapping[str, str]:
    """control_plane: `host:port` of its door for browsers."""
    job = {"scrape_interval": f"{SECONDS}s", **scrape(control_plane)}
    through = {"processors": ["memory_limiter", "batch"], "exporters": ["otlphttp"]}
    configuration = {
        "receivers": {
            "otlp": {
                "protocols": {"grpc": {"endpoint": "127.0.0.1:4317"}, "http": {"endpoint": "127.0.0.1:4318"}},
            },
            "prometheus": {"config": {"scrape_configs": [job]}},
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 400, "spike_limit_mib": 100},
            "batch": {"timeout": "5s"},
        },
        "exporters": {"otlphttp": {"endpoint": _TO}},
        "service": {
            "pipelines": {
                "traces": {"receivers": ["otlp"], **through},
                "metrics": {"receivers": ["otlp", "prometheus"], **through},
                "logs": {"receivers": ["otlp"], **through},
            },
        },
    }
    return {"collector.yaml": written(configuration)}
