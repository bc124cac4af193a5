"""A small shop in a real mesh, with calls all the time, of which some fail: what the dashboard is tested with and pictured by."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

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


class Part(Struct, frozen=True):
    """An instance. meant: as programs/part.py has it."""

    name: str
    meant: dict[str, Any]
    version: str = ""
    namespace: str = "shop"


_ORDER = ["http://payments/charge", "http://inventory/reserve"]

PARTS = [
    Part("payments", {"ms": 30, "fail": 11}),  # odd, as its two callers take turns
    Part("inventory", {"ms": 4}),
    Part("checkout", {"ms": 15, "calls": _ORDER}, "v1"),
    Part("checkout", {"ms": 10, "calls": _ORDER}, "v2"),
    Part("catalog", {"ms": 6, "calls": ["http://inventory/stock"]}),
    Part(
        "web",
        {"drives": ["http://checkout/buy", "http://catalog/items", "http://payments/charge", "http://catalog/item/7"]},
        "v7",
    ),
    Part("crawler", {"drives": ["http://catalog/items"], "serves": False}),
]


class Shop:
    def __init__(self, mesh: Mesh, parts: Sequence[Part] = PARTS) -> None:
        self.mesh = mesh
        self.parts = parts

    def open(self) -> None:
        """Returns once calls are told of."""
        self.mesh.up("--trace-sampling", "100")
        for part in self.parts:
            options = (
                "-n",
                part.namespace,
                "--capture",
                "proxy",
                *(("--version", part.version) if part.version else ()),
            )
            self.mesh.run(part.name, sys.executable, str(PROGRAM), json.dumps(part.meant), options=options)
        names = {part.name for part in self.parts}
        wait_for("all are there", lambda: sum(map(self._there, names)) == len(self.parts), 120)
        rules = self.mesh.folder / "shop.yaml"
        rules.write_text(RULES)
        done = self.mesh.tulle("apply", "-f", str(rules))
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for("the graph has edges with figures", lambda: sum(1 for edge in self.edges() if edge["rate"]) >= 5, 60)

    def _there(self, name: str) -> int:
        service = self.mesh.service(name)
        return service["healthy"] + service["running"] if service else 0

    def edges(self) -> list[dict[str, Any]]:
        graph = self.mesh._ask("graph")
        return list(graph["edges"]) if graph else []

    def traces(self) -> list[str]:
        """Ids of those that have gone through several sidecars."""

        def found() -> list[str]:
            told = self.mesh._ask("traces")
            return [one["id"] for one in told["traces"] if one["spans"] >= 4] if told else []

        return list(wait_for("there are traces", found))

    def link(self, role: str = "admin") -> str:
        """Signs one browser in."""
        done = self.mesh.tulle("ui", "--no-open", "--role", role)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
