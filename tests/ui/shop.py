"""A small shop in a real mesh, with calls all the time, of which some fail: what the dashboard is tested with and pictured by."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from running import Mesh, wait_for

PROGRAM = Path(__file__).parent / "programs" / "part.py"

RULES = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: checkout, namespace: shop}
spec:
  host: checkout
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout, namespace: shop}
spec:
  hosts: [checkout]
  http:
    - timeout: 5s
      route:
        - {destination: {host: checkout, subset: v1}, weight: 80}
        - {destination: {host: checkout, subset: v2}, weight: 20}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog]
  http:
    - match: [{uri: {prefix: /old}}]
      route: [{destination: {host: catalogue}}]
    - route: [{destination: {host: catalog}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: payments-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: ALLOW
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/checkout"]}}]
"""

PARTS: list[tuple[str, str, dict[str, Any]]] = [
    ("payments", "", {"ms": 30, "fail": 0.08}),
    ("inventory", "", {"ms": 4}),
    ("checkout", "v1", {"ms": 15, "calls": ["http://payments/charge", "http://inventory/reserve"]}),
    ("checkout", "v2", {"ms": 10, "calls": ["http://payments/charge", "http://inventory/reserve"]}),
    ("catalog", "", {"ms": 6, "calls": ["http://inventory/stock"]}),
    (
        "web",
        "v7",
        {"drives": ["http://checkout/buy", "http://catalog/items", "http://payments/charge", "http://catalog/item/7"]},
    ),
]


class Shop:
    """instances: ids, by what they are of, as `checkout-v2`."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def open(self) -> None:
        """Returns once calls are told of."""
        self.mesh.up()
        for name, version, meant in PARTS:
            options = ("-n", "shop", "--capture", "proxy", *(("--version", version) if version else ()))
            self.mesh.run(name, sys.executable, str(PROGRAM), json.dumps(meant), options=options)
        names = {name for name, _, _ in PARTS}
        wait_for("all are healthy", lambda: sum(map(self.mesh.healthy, names)) == len(PARTS), 120)
        rules = self.mesh.folder / "shop.yaml"
        rules.write_text(RULES)
        done = self.mesh.tulle("apply", "-f", str(rules))
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for("the graph has edges with figures", lambda: sum(1 for edge in self.edges() if edge["rate"]) >= 5, 60)

    def edges(self) -> list[dict[str, Any]]:
        graph = self.mesh._ask("graph")
        return list(graph["edges"]) if graph else []

    def link(self, role: str = "admin") -> str:
        """Signs one browser in."""
        done = self.mesh.tulle("ui", "--no-open", "--role", role)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
