"""What collectors of spans and access logs have not taken of what this sidecar's Envoys have sent them: by collector.

A sidecar tells each by clusters of its own (translate/names.py, `telemetry-5000ms`), so a request there is a delivery, and what
the program itself sends to the same service is none. Envoy counts by host what failed, by HTTP's status or by gRPC's; by
cluster what no host was there for, what had no room, what took too long, and what was answered with neither success nor failure.
Source: Envoy, cluster manager statistics; administration interface, `/clusters`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping

MOST = 100
_CLUSTERS = r"outbound\|[0-9]+\|[^|]*\|[^|]*\|telemetry-[0-9]+ms"
CLUSTERS = rf"^{_CLUSTERS}$"
FAILURES = (
    *("upstream_cx_none_healthy", "upstream_rq_pending_overflow", "upstream_rq_max_duration_reached"),
    *("upstream_rq_3xx", "upstream_rq_4xx"),
)
FILTER = rf"^cluster\.{_CLUSTERS}\.({'|'.join(FAILURES)})$"
_STAT = re.compile(rf"cluster\.({_CLUSTERS})\.(\w+)")
_FAILED = "rq_error"  # of a host

Counts = Mapping[
    tuple[str, str], int
]  # by cluster, and by host or kind of failure; none of them falls but to begin again


class Collectors:
    """By `host:port`, how many deliveries were not taken. totals: since the agent's start. fresh: what was not told."""

    def __init__(self) -> None:
        self.totals = Counter[str]()
        self.fresh = Counter[str]()

    def add(self, before: Counts, now: Counts) -> None:
        """What one Envoy has counted, by what it had counted before."""
        for (cluster, what), value in now.items():
            known = before.get((cluster, what), 0)
            grown = value - known if value >= known else value
            collector = _collector(cluster)
            if grown and (collector in self.totals or len(self.totals) < MOST):
                self.totals[collector] += grown
                self.fresh[collector] += grown

    def told(self) -> dict[str, int]:
        """What was not told, which now is."""
        fresh, self.fresh = self.fresh, Counter()
        return dict(fresh)


def counted(stats: Mapping[str, int], clusters: bytes) -> Counts | None:
    """stats: what FILTER lets through. clusters: Envoy's `/clusters?format=json` of CLUSTERS; None if it is none."""
    found = Counter[tuple[str, str]]()
    for name, value in stats.items():
        if match := _STAT.fullmatch(name):
            found[match[1], match[2]] = value
    try:
        for cluster in json.loads(clusters).get("cluster_statuses", ()):
            for host in cluster.get("host_statuses", ()):
                failed = sum(int(s.get("value", 0)) for s in host.get("stats", ()) if s["name"] == _FAILED)
                found[cluster["name"], json.dumps(host.get("address"))] += failed
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found


def _collector(cluster: str) -> str:
    """`otel.example.com:4317`."""
    _, port, _, host, _ = cluster.split("|")
    return f"{host}:{port}"
