"""Which endpoints the sidecar itself leaves out, told when the control plane asks: nobody but this Envoy knows.

A wish is `{"id": ..., "clusters": [NAME, ...]}`; the answer, a report, has the same id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tulle.agent.api import Refused
from tulle.agent.ejections import Ejections
from tulle.agent.reports import Reports

MOST_CLUSTERS = 50  # in a wish
_MOST_WAITING = 20

# By cluster and address (`10.0.0.3:80`), Envoy's reasons.
LeftOut = Mapping[str, Mapping[str, Sequence[str]]]
# What Envoy says of a host's health, but what it was told by the control plane.
EJECTED = "failed_outlier_check"
REASONS = (
    EJECTED,
    "failed_active_health_check",
    "failed_active_degraded_check",
    "excluded_via_immediate_hc_fail",
)


class Endpoints:
    """look: at the current Envoy's clusters of these names; None if it does not tell. ejections: what its Envoys have told."""

    def __init__(self, look: Callable[[Sequence[str]], Awaitable[LeftOut | None]], ejections: Ejections) -> None:
        self._look = look
        self._ejections = ejections
        self._wishes: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(_MOST_WAITING)

    def wish(self, value: Any) -> None:
        """What is too much is not answered."""
        if isinstance(value, dict) and not self._wishes.full():
            self._wishes.put_nowait(value)

    async def run(self, reports: Reports) -> None:
        """Answers, until it is cancelled."""
        while True:
            answer = json.dumps(await self._answer(await self._wishes.get())).encode()
            with suppress(OSError, Refused):  # nobody waits for it any more
                await reports.send(answer)

    async def _answer(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        clusters = wanted.get("clusters")
        names = [str(name) for name in clusters[:MOST_CLUSTERS]] if isinstance(clusters, list) else []
        found = await self._look(names) if names else {}
        problem = "its Envoy does not answer" if found is None else ""
        told = {
            cluster: {
                address: {
                    "reasons": reasons,
                    **(self._ejections.told(cluster, address) if EJECTED in reasons else {}),
                }
                for address, reasons in hosts.items()
            }
            for cluster, hosts in (found or {}).items()
        }
        return {"id": str(wanted.get("id", "")), "left_out": told, "problem": problem}


def left_out(answer: bytes) -> LeftOut | None:
    """Of Envoy's `/clusters?format=json`; None if it is none. Source: Envoy, envoy.admin.v3.Clusters."""
    try:
        return {
            cluster["name"]: {
                address: reasons
                for host in cluster.get("host_statuses", ())
                if (address := _address(host.get("address", {})))
                and (reasons := [name for name in REASONS if host.get("health_status", {}).get(name)])
            }
            for cluster in json.loads(answer).get("cluster_statuses", ())
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _address(address: Mapping[str, Any]) -> str:
    """ "" for what is no socket's."""
    found = address.get("socket_address")
    if not found:
        return ""
    host = str(found["address"])
    return f"[{host}]:{found['port_value']}" if ":" in host else f"{host}:{found['port_value']}"
