"""Which services the program has not called for long: what its sidecar may let go of. Whether it does is for the control plane.

Envoy counts calls; who looks often enough knows since when there was none. An Envoy that is new knows of none before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

IDLE_SECONDS = 3600.0
LOOK_SECONDS = 300.0
MOST = 300  # are told at once: what a line of a session can hold

_PREFIX = "cluster."
# Calls, or TCP connections, that have begun and that are under way; what a cluster has even if it was never used. The
# bootstrap says which stats Envoy keeps (`stats_matcher`); one without outlier detection that was never used is not seen.
_BEGUN, _UNDER_WAY, _ALWAYS = ".upstream_rq_total", ".upstream_rq_active", ".outlier_detection.ejections_active"
# The program's, and not those by which the sidecar itself tells collectors.
CLUSTERS = r"outbound\|[^|]*\|[^|]*\|[^|]*(\|tcp)?"
FILTER = rf"^cluster\.{CLUSTERS}({'|'.join(map(re.escape, (_BEGUN, _UNDER_WAY, _ALWAYS)))})$"


class Idleness:
    """Since when each cluster has had no call."""

    def __init__(self) -> None:
        self._envoy = 0
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, envoy: int, stats: Mapping[str, int], now: float) -> list[str]:
        """The clusters without a call for an hour, by name. envoy: its process id. stats: what FILTER lets through.

        now: in seconds, on a clock that only goes forward.
        """
        before = self._seen if envoy == self._envoy else {}
        self._envoy, self._seen = envoy, {}
        for cluster, (begun, under_way) in _calls(stats).items():
            known = before.get(cluster)
            is_used = under_way or known is None or known[0] != begun
            self._seen[cluster] = (begun, now) if is_used or known is None else known
        return sorted(cluster for cluster, (_, since) in self._seen.items() if now - since >= IDLE_SECONDS)[:MOST]


def _calls(stats: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """By cluster: how much has begun, and how much is under way."""
    found: dict[str, tuple[int, int]] = {}
    for name, value in stats.items():
        what = next(each for each in (_BEGUN, _UNDER_WAY, _ALWAYS) if name.endswith(each))
        cluster = name.removeprefix(_PREFIX).removesuffix(what)
        begun, under_way = found.get(cluster, (0, 0))
        found[cluster] = (begun + value * (what == _BEGUN), under_way + value * (what == _UNDER_WAY))
    return found
