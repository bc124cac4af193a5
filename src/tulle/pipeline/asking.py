"""The names that one proxy asks for over its stream: what each means, and which of them are answered with nothing.

A name comes from a Host header, so whoever can call through a sidecar can make it ask: how many is bounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec.structs import replace

from tulle.model.names import destination_from
from tulle.pipeline.allowance import Allowance
from tulle.pipeline.demands import Demand
from tulle.pipeline.eviction import Eviction
from tulle.pipeline.mistakes import Mistakes
from tulle.pipeline.reaching import Reaching
from tulle.resolve.meanings import meant
from tulle.resolve.mesh import Mesh
from tulle.resolve.outbound import route_config
from tulle.resolve.services import is_known
from tulle.translate import names, resources
from tulle.xds.requests import WILDCARD, Asked, Held, Request
from tulle.xds.resources import CDS, VHDS
from tulle.xds.session import Session

MOST_NAMES = 5000  # that the mesh does not know, on one stream at a time, answered or not; as many again that it knows

_PART = "what names mean"


class Asking:
    """refused: names that were answered with nothing, and are no demands."""

    def __init__(
        self, session: Session, reaching: Reaching, eviction: Eviction, allowance: Allowance, mistakes: Mistakes
    ) -> None:
        self.refused: dict[str, None] = {}
        self._failing: dict[str, None] = {}  # of those, names that could not be looked up
        self._mistakes = mistakes
        self._session = session
        self._reaching = reaching
        self._eviction = eviction
        self._allowance = allowance

    def within_budget(self, mesh: Mesh, request: Request) -> Request:
        """The request without the names beyond what one stream may ask for; they stay without an answer."""
        if request.type_url != VHDS or len(request.subscribe) <= MOST_NAMES - self._session.asked(VHDS):
            return request
        left = MOST_NAMES - self._session.asked(VHDS, without=request.unsubscribe)
        kept: list[str] = []
        for name in request.subscribe:
            if name == WILDCARD or left > 0 or (left > -MOST_NAMES and self._looked_up(mesh, name)[1]):
                kept.append(name)
                left -= 1
        return replace(request, subscribe=tuple(kept))

    def ask(self, mesh: Mesh, event: Asked, now: float) -> None:
        """now: as Hub's."""
        if event.type_url != VHDS:
            return
        asked: dict[Demand, list[str]] = defaultdict(list)
        for name in event.names:
            demand, known = self._looked_up(mesh, name)
            if demand is not None and (known or demand in self._reaching.demands or self._allowance.take(now)):
                asked[demand].append(name)
            else:
                self._refuse(name)
        for demand, written in asked.items():
            for name in written:
                if name in self.refused:
                    self._eviction.refused(name)
                    self._forget(name)
            self._eviction.asked(demand)
            for name in self._reaching.demand(mesh, demand, written, now):
                self._refuse(name)

    def hold(self, mesh: Mesh, event: Held, now: float) -> None:
        """A reconnected proxy holds what an earlier stream brought: it keeps it, and keeps being told of changes."""
        proxy = self._reaching.proxy
        for name in event.versions:
            if event.type_url == VHDS:
                config, _, host = name.partition("/")
                destination = destination_from(host)
                if destination is not None and self._reaching.workload(config):
                    self._reaching.demand(mesh, Demand(config, destination), now=now)
            elif event.type_url == CDS and (destination := names.destination_of_backend(name)):
                for workload in proxy.workloads if proxy and "*" not in name else ():
                    self._reaching.demand(mesh, Demand(route_config(workload), destination), now=now)

    def retry(self, mesh: Mesh) -> None:
        """The facts have changed: names that could not be looked up are asked for anew."""
        if self._failing:
            names, self._failing = tuple(name for name in self._failing if name in self.refused), {}
            self.ask(mesh, Asked(VHDS, names), now=0.0)
            if not self._failing:
                self._mistakes.mended(_PART)

    def forget(self, refused: Iterable[str]) -> None:
        """Envoy has dropped these names, and asks again if it needs them."""
        for name in refused:
            self._forget(name)

    def _forget(self, name: str) -> None:
        del self.refused[name]
        self._failing.pop(name, None)
        self._session.unwant(VHDS, name)

    def _refuse(self, name: str) -> None:
        """There is nothing by that name, or too much was asked for."""
        self.refused[name] = None
        self._eviction.refused(name)
        self._session.want(resources.no_virtual_host(name))

    def _meant(self, mesh: Mesh, name: str) -> Demand | None:
        config, _, authority = name.partition("/")
        workload = self._reaching.workload(config)
        destination = meant(mesh, authority, workload.service.namespace) if workload else None
        return Demand(config, destination) if destination else None

    def _looked_up(self, mesh: Mesh, name: str) -> tuple[Demand | None, bool]:
        """What it means, and whether the mesh knows that; by our own mistake, nothing for now."""
        try:
            demand = self._meant(mesh, name)
            return demand, demand is not None and is_known(mesh, demand.destination)
        except Exception as error:
            self._failing[name] = None
            self._mistakes.note(_PART, error)
            return None, False
