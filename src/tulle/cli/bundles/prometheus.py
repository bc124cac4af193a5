"""For Prometheus: whom to scrape, by what the control plane says (http_sd), and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tulle.cli.bundles import rules

SECONDS = 15


def files(control_plane: str, seconds: int = SECONDS) -> Mapping[str, str]:
    """control_plane: `host:port` of its door for browsers. seconds: between scrapes."""
    configuration = {
        "global": {"scrape_interval": f"{seconds}s", "evaluation_interval": f"{seconds}s"},
        "rule_files": ["tulle-rules.yml", "tulle-alerts.yml"],
        "scrape_configs": [scrape(control_plane)],
    }
    return {
        "prometheus.yml": written(configuration),
        "tulle-rules.yml": written(rules.recording()),
        "tulle-alerts.yml": written(rules.alerts()),
    }


def scrape(control_plane: str) -> dict[str, Any]:
    """One job for all: each target says its own name, `tulle-sidecars` or `tulle-control-plane`."""
    url = f"http://{control_plane}/v1/prometheus/targets"
    return {"job_name": "tulle", "http_sd_configs": [{"url": url, "refresh_interval": "15s"}]}


def written(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)
