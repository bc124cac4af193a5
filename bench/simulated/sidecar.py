"""One simulated sidecar: delta ADS as Envoy with on-demand virtual hosts speaks it. It acknowledges all, and notes what came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from bench.simulated.grpc_stream import GrpcStream
from tulle.envoy_api.messages import message
from tulle.model.spiffe import CONTROL_PLANE_ID
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS
from tulle.xds.server import METHOD, SERVICE

Receipt = tuple[int, int, str, str]  # CLOCK_MONOTONIC in ns, the sidecar, and what came: its name and version

_PATH = f"/{SERVICE}/{METHOD}"
# Envoy describes itself in its first request, mostly by naming its extensions.
_DESCRIPTION = "x" * 61_000


class Sidecar:
    """id: of its proxy. calls: the hosts that its program calls. receipts: where it notes each resource that comes."""

    def __init__(self, index: int, id: str, calls: Iterable[str], receipts: list[Receipt]) -> None:
        self.index = index
        self.id = id
        self.stream = GrpcStream("control-plane", _PATH, CONTROL_PLANE_ID, self._take)
        self._calls = list(calls)
        self._receipts = receipts
        self._missing = set[str]()
        self._complete = asyncio.Event()
        self._heard = set[str]()
        self._routes = ""
        self._response = message("envoy.service.discovery.v3.DeltaDiscoveryResponse")
        self._request = message("envoy.service.discovery.v3.DeltaDiscoveryRequest")

    def start(self) -> None:
        self.stream.start()
        self._send(CDS, node={"id": self.id, "user_agent_name": _DESCRIPTION})
        self._send(LDS)

    def call(self, hosts: Iterable[str]) -> None:
        """The program calls these hosts for the first time."""
        names = [f"{self._routes}/{host}" for host in hosts]
        self._missing.update(names)
        self._complete.clear()
        self._send(VHDS, resource_names_subscribe=names)

    async def complete(self) -> None:
        """Return once it has virtual hosts for all that was called."""
        await self._complete.wait()

    def _take(self, data: bytes) -> None:
        now = time.monotonic_ns()
        response = self._response.FromString(data)
        kind: str = response.type_url
        names = [resource.name for resource in response.resources]
        self._receipts += [(now, self.index, resource.name, resource.version) for resource in response.resources]
        self._receipts += [(now, self.index, name, "") for name in response.removed_resources]
        self._send(kind, response_nonce=response.nonce)
        if kind == CDS:
            if clusters := [name for name in names if name.startswith("outbound|")]:
                self._send(EDS, resource_names_subscribe=clusters)
        elif kind == LDS:
            if doors := [name for name in names if name.startswith("outbound.") and not name.endswith(".tunnels")]:
                self._send(RDS, resource_names_subscribe=doors)
        elif kind == RDS and names:
            self._routes = names[0]
            if VHDS not in self._heard:
                self._heard.add(VHDS)
                self._send(VHDS)
                self.call(self._calls)
        elif kind == VHDS:
            self._missing.difference_update(*(resource.aliases for resource in response.resources))
            if self._routes and not self._missing:
                self._complete.set()

    def _send(self, kind: str, **fields: Any) -> None:
        self.stream.send(self._request(type_url=kind, **fields).SerializeToString())
