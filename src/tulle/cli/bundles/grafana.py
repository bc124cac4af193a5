"""For Grafana: data sources, dashboards, and who brings them in (grafana.com, "Provision Grafana")."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tulle.cli.bundles.dashboards import ALL
from tulle.cli.bundles.prometheus import SECONDS, written

_FIGURES = "tulle-prometheus"
# What sidecars' spans say of their service, and the labels of figures that say the same of who is called.
_LABELS = {
    "istio.canonical_service": "destination_canonical_service",
    "istio.namespace": "destination_service_namespace",
}
TO_SERVICE = 'sum by (response_code) (rate(istio_requests_total{reporter="destination", $__tags}[$__rate_interval]))'


def files(control_plane: str, prometheus: str, folder: str) -> Mapping[str, str]:
    """control_plane: `host:port` of its door for browsers. prometheus: its URL. folder: where these files will be."""
    sources = [
        {
            "name": "Prometheus",
            "uid": _FIGURES,
            "type": "prometheus",
            "access": "proxy",
            "url": _as_it_is(prometheus),
            "isDefault": True,
            "jsonData": {"timeInterval": f"{SECONDS}s"},
        },
        {
            "name": "tulle traces",
            "uid": "tulle-traces",
            "type": "jaeger",
            "access": "proxy",
            "url": f"http://{control_plane}",
            "jsonData": {
                "httpHeaderName1": "Authorization",
                "nodeGraph": {"enabled": True},
                "tracesToMetrics": {
                    "datasourceUid": _FIGURES,
                    "tags": [{"key": tag, "value": label} for tag, label in _LABELS.items()],
                    "queries": [{"name": "Requests to this service", "query": _as_it_is(TO_SERVICE)}],
                },
            },
            # Grafana puts in what its own environment has: a token of `tulle user create grafana --role viewer`.
            "secureJsonData": {"httpHeaderValue1": "Bearer $TULLE_API"},
        },
    ]
    path = f"{_as_it_is(folder)}/dashboards"
    provider = {"name": "tulle", "folder": "tulle", "type": "file", "options": {"path": path}}
    made = {
        "provisioning/datasources/tulle.yaml": written({"apiVersion": 1, "datasources": sources}),
        "provisioning/dashboards/tulle.yaml": written({"apiVersion": 1, "providers": [provider]}),
    }
    for make in ALL:
        content = make()
        made[f"dashboards/{content['uid']}.json"] = json.dumps(content, indent=2) + "\n"
    return made


def _as_it_is(text: str) -> str:
    """Grafana puts variables of its environment in place of what comes after one dollar."""
    return text.replace("$", "$$")
