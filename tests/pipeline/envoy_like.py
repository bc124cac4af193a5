"""The client's side of delta ADS as an Envoy with on-demand virtual hosts speaks it, without I/O."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, to_dict
from tulle.pipeline.hub import Hub, Learned, Touched
from tulle.xds.requests import Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, SDS, VHDS


class EnvoyLike:
    """Connects as a proxy; `settle` exchanges messages until there is nothing more to say.

    held: {type: {name: version}} as acknowledged. sent: every (type, name) in the order of arrival. asked: the virtual hosts
    that it subscribes to by name. now: the time of what it says, in seconds.
    """

    def __init__(
        self, hub: Hub, proxy: str, refuses: frozenset[str] = frozenset(), held: dict[str, dict[str, str]] | None = None
    ) -> None:
        self.hub, self.refuses = hub, refuses
        self.view = hub.connect(proxy)
        self.held: dict[str, dict[str, str]] = held or {}
        self.bodies: dict[tuple[str, str], Any] = {}
        self.sent: list[tuple[str, str]] = []
        self.learned: list[Learned] = []
        self.asked: dict[str, None] = {}
        self.now = 0.0
        self._started: set[str] = set()
        self._once = False
        self._routes: set[str] = set()
        self.refuses_kind: str | None = None
        for kind in (CDS, LDS):
            self._start(kind)

    def ask(self, *authorities: str) -> None:
        """The program calls these hosts for the first time."""
        config = next(name for name in self.held[RDS] if name.startswith("outbound."))
        names = tuple(f"{config}/{a}" for a in authorities)
        self.asked.update(dict.fromkeys(names))
        self._request(Request(VHDS, subscribe=names))

    def call(self, *authorities: str) -> list[str]:
        """The program calls these hosts; those that it did not hold, and so asked for. Ask it to settle afterwards."""
        config = next(name for name in self.held[RDS] if name.startswith("outbound."))
        served = {
            domain
            for name in self.held.get(VHDS, {})
            for domain in (self.bodies.get((VHDS, name)) or {}).get("domains", ())
        }
        new = [a for a in authorities if a not in served and f"{config}/{a}" not in self.asked]
        if new:
            self.ask(*new)
        return new

    def find(self, cluster: str) -> None:
        """DNS has answered for a cluster's names, or will not."""
        self._start(SDS, f"found|{cluster}")

    def refuse_only_once(self) -> None:
        self._once = True

    def settle(self) -> EnvoyLike:
        while responses := self.view.flush():
            for encoded in responses:
                self._take(message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(encoded))
        return self

    def _start(self, kind: str, *names: str) -> None:
        if kind in self._started:
            if names:
                self._request(Request(kind, subscribe=names))
            return
        self._started.add(kind)
        self._request(Request(kind, subscribe=names, held=self.held.get(kind, {})))

    def _take(self, response: Any) -> None:
        kind = response.type_url
        names = [r.name for r in response.resources]
        self.sent += [(kind, name) for name in names] + [(kind, f"-{name}") for name in response.removed_resources]
        if self.refuses & set(names) and self.refuses_kind in (None, kind):
            self.refuses -= set(names) if self._once else set()
            self._request(Request(kind, nonce=response.nonce, error="no, thank you"))
            return
        held = self.held.setdefault(kind, {})
        sources = {name: (self.bodies.get((RDS, name)) or {}).get("vhds") for name in names}
        for resource in response.resources:
            held[resource.name] = resource.version
            self.bodies[kind, resource.name] = to_dict(resource.resource) if resource.HasField("resource") else None
        for name in response.removed_resources:
            held.pop(name, None)
        self._request(Request(kind, nonce=response.nonce))
        if kind == CDS:
            if gone := tuple(name for name in response.removed_resources if EDS in self._started):
                for name in gone:
                    self.held.get(EDS, {}).pop(name, None)
                self._request(Request(EDS, unsubscribe=gone))
            eds = [n for n in names if (self.bodies[kind, n] or {}).get("type") == "EDS"]
            if eds:
                self._start(EDS, *eds)
        elif kind == LDS:
            routes = [route for name in names for route in _routes(self.bodies[kind, name])]
            if new := [route for route in routes if route not in self._routes]:
                self._routes.update(new)
                self._start(RDS, *new)
        elif kind == RDS:
            if any("vhds" in self.bodies[kind, name] for name in names):
                self._start(VHDS)
            if any(source and source != self.bodies[kind, name]["vhds"] for name, source in sources.items()):
                self._ask_anew()

    def _ask_anew(self) -> None:
        """Another source of virtual hosts: names are dropped, empty answers forgotten, virtual hosts kept."""
        names, self.asked = tuple(self.asked), {}
        if names:
            self._request(Request(VHDS, unsubscribe=names))

    def _request(self, request: Request) -> None:
        touched: Touched = self.hub.receive(self.view, request, self.now)
        self.learned += touched.learned


def _routes(listener: Any) -> list[str]:
    """The route configurations for which a listener asks."""
    chains = (listener or {}).get("filter_chains", [])
    filters = [filter_["typed_config"] for chain in chains for filter_ in chain.get("filters", ())]
    return [config["rds"]["route_config_name"] for config in filters if "rds" in config]
