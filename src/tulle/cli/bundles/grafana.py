"""For Grafana: data sources, dashboards, and who brings them in (grafana.com, "Provision Grafana")."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tulle.cli.bundles.dashboards import ALL
from tulle.cli.bundles.prometheus import SECONDS, written


def files(control_plane: str, prometheus: str, folder: str) -> Mapping[str, str]:
    """control_plane: `host:port` of its door for browsers. prometheus: its URL. folder: where these files will be."""
    sources = [
        {
            "name": "Prometheus",
            "uid": "tulle-prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus,
            "isDefault": True,
            "jsonData": {"timeInterval": f"{SECONDS}s"},
        },
        {
            "name": "tulle traces",
            "uid": "tulle-traces",
            "type": "jaeger",
            "access": "proxy",
            "url": f"http://{control_plane}",
            "jsonData": {"httpHeaderName1": "Authorization"},
            # Grafana puts in what its own environment has: a token of `tulle user create grafana --role viewer`.
            "secureJsonData": {"httpHeaderValue1": "Bearer $TULLE_API"},
        },
    ]
    provider = {"name": "tulle", "folder": "tulle", "type": "file", "options": {"path": f"{folder}/dashboards"}}
    made = {
        "provisioning/datasources/tulle.yaml": written({"apiVersion": 1, "datasources": sources}),
        "provisioning/dashboards/tulle.yaml": written({"apiVersion": 1, "providers": [provider]}),
    }
    for make in ALL:
        content = make()
        made[f"dashboards/{content['uid']}.json"] = json.dumps(content, indent=2) + "\n"
    return made
