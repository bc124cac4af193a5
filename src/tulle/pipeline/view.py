"""One connected proxy: what it asked for, and so what it should hold.

A view turns the names that come over the stream into destinations (asking.py), and each change of the mesh into wants of its
session (reaching.py, standing.py). The session alone knows what was sent and acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.workload import Capture, Proxy
from tulle.pipeline.allowance import Allowance
from tulle.pipeline.asking import Asking
from tulle.pipeline.connecting import Connecting
from tulle.pipeline.demands import Demand
from tulle.pipeline.eviction import Eviction
from tulle.pipeline.holdings import HoldsOf
from tulle.pipeline.letting_go import LettingGo
from tulle.pipeline.mistakes import Mistakes
from tulle.pipeline.needing import Needing
from tulle.pipeline.picture import Encoder
from tulle.pipeline.reaching import Reaching
from tulle.pipeline.standing import Standing
from tulle.resolve.callers import caller_of
from tulle.resolve.mesh import Mesh
from tulle.resolve.outbound import route_config
from tulle.resolve.services import find
from tulle.translate import names
from tulle.xds.requests import Accepted, Asked, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS, Key
from tulle.xds.session import Session

_ALL = "what is new for it"


class News(Struct):
    """What a view has come to since it was last asked.

    gained, lost: services on which something of it newly depends, or nothing any more; one may be in both, gained first.
    """

    gained: list[ServiceName]
    lost: list[ServiceName]
    learned: list[tuple[ServiceName, Destination]]


class View:
    """A proxy's stream. `proxy` is None until the proxy is registered; it then keeps what it was last.

    superseded: the proxy has opened enough newer streams; this one is to be ended. mistakes: our own, with parts of it.
    """

    def __init__(self, proxy_id: str, encoder: Encoder, allowance: Allowance | None = None) -> None:
        self.proxy_id = proxy_id
        self.allowance = allowance or Allowance()
        self.session = Session()
        self.superseded = False
        self.mistakes = Mistakes()
        self._reaching = Reaching(self.session, encoder, self.mistakes)
        self._needing = Needing(self._reaching, encoder)
        self._standing = Standing(self.session, self.mistakes, self._needing)
        eviction = Eviction()
        self._asking = Asking(self.session, self._reaching, eviction, self.allowance, self.mistakes)
        self._letting_go = LettingGo(self.session, self._standing, self._reaching, self._asking, eviction)
        self.connecting = Connecting(self.session, self._reaching, self.mistakes)
        self._stale = False
        self._early: float | None = None  # when it last said something while it was not registered

    @property
    def proxy(self) -> Proxy | None:
        return self._reaching.proxy

    @property
    def services(self) -> Collection[ServiceName]:
        """The services on which what it asked for depends, remembered callees included."""
        return self._reaching.demands.services

    @property
    def destinations(self) -> int:
        """How many destinations it asked for."""
        return len(self._reaching.demands)

    @property
    def strangers(self) -> int:
        """How many names it holds that are no service, those included that were refused."""
        return self._reaching.demands.strangers + len(self._asking.refused)

    @property
    def reached(self) -> Iterable[Demand]:
        """The demands that a service of the mesh meets."""
        return tuple(demand for demand, reach in self._reaching.holdings if reach.met)

    @property
    def ready(self) -> bool:
        """Whether the proxy has acknowledged everything that it should hold."""
        return self.proxy is not None and self._standing.complete and self.session.in_sync

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """What the proxy refused, and of which it therefore holds something older, or only the answer that says so."""
        return (*self._reaching.rejected.values(), *self.session.rejections)

    def within_budget(self, mesh: Mesh, request: Request) -> Request:
        """The request without the names beyond what one stream may ask for; they stay without an answer."""
        return self._asking.within_budget(mesh, request)

    def serve(self, mesh: Mesh, proxy: Proxy) -> None:
        """The proxy is registered, or registered otherwise than before."""
        before, self._reaching.proxy = self.proxy, proxy
        self.refresh_doors(mesh)
        if before is None:
            if proxy.capture is not Capture.NONE:
                # Such an Envoy has no door, and would never ask for what is behind it.
                self._remember(mesh, proxy)
            self._catch_up(mesh)
        elif _ways(before) != _ways(proxy):
            self._reaching.anew(mesh)
        else:
            self.retry(mesh)

    def succeed(self, mesh: Mesh, older: View) -> None:
        """It begins with what the proxy's older stream holds, so that a new Envoy has that before it is called upon.

        Names that are no service's are left out: the mesh does not know what the new one will be asked for.
        """
        if self.proxy is not None:
            for demand in older.reached:
                self._reaching.demand(mesh, demand)

    def refresh_doors(self, mesh: Mesh) -> None:
        """The doors of its workloads: how its programs call out, and whom they let in."""
        self._standing.refresh(mesh, self.proxy)

    def receive(self, mesh: Mesh, events: Iterable[Event], now: float) -> None:
        """What the proxy said. now: as Hub's."""
        for event in events:
            if isinstance(event, Rejected):
                self._reaching.reject(mesh, event)
            elif isinstance(event, Accepted):
                self._letting_go.accept(event)
            elif isinstance(event, Asked | Held):
                if self.proxy is None:
                    self._early = now
                elif isinstance(event, Asked):
                    self._asking.ask(mesh, event, now)
                else:
                    self._hold(mesh, event, now)

    def idles(self, clusters: Iterable[str]) -> None:
        """These clusters of the proxy have had no call for long; the next `evict` thinks of it."""
        self._letting_go.idles(clusters)

    def evict(self, now: float) -> bool:
        """Have it let go of what nobody needs. False: nothing to do. now: as Hub's."""
        return self.proxy is not None and self._letting_go.begin(now)

    def update(self, mesh: Mesh, service: ServiceName) -> None:
        """What a service offers has changed, or the rules for it, or that it is there at all."""
        self._update(mesh, self._reaching.demands.of(service))

    def update_beneath(self, mesh: Mesh, wildcard: str) -> None:
        """Rules for all hosts that the wildcard covers have changed."""
        self._update(mesh, self._reaching.demands.beneath(wildcard))

    def update_all(self, mesh: Mesh) -> None:
        """What the workloads may see has changed."""
        self.refresh_doors(mesh)
        self._reaching.update(mesh, list(self._reaching.demands))

    def retry(self, mesh: Mesh) -> None:
        """The facts have changed, in whatever: what could not be made before may be made now."""
        self.refresh_doors(mesh)
        self._asking.retry(mesh)
        self._reaching.retry(mesh)
        self.connecting.retry(mesh)
        if self._stale:
            self.update_all(mesh)
            self._stale = False
            self.mistakes.mended(_ALL)

    def fail(self, error: Exception) -> None:
        """It could not be brought up to date, in we don't know what."""
        self._stale = True
        self.mistakes.note(_ALL, error)

    def update_endpoints(self, mesh: Mesh, service: ServiceName) -> None:
        """Only who serves a service has changed."""
        self._reaching.update_endpoints(mesh, service)

    def made_of(self, sources: Container[str]) -> set[Key]:
        """What it should hold that is made of some of these declared resources."""
        of_doors = {key for source, keys in self._standing.sources if source in sources for key in keys}
        return self._reaching.holdings.made_of(sources) | of_doors

    @property
    def doors_under_way(self) -> set[Key]:
        """What of its doors it has not acknowledged yet: by which names a call comes to the mesh at all."""
        return {key for key in self._standing.keys if not self.has(key)}

    def in_force(self, sources: Container[str] | None = None) -> dict[str, HoldsOf]:
        """What it holds of declared resources, of all or of these, by resource."""
        rejected = {demand: rejected.message for demand, rejected in self._reaching.rejected.items()}
        refused = {**rejected, **self._reaching.failing}
        found = self._reaching.holdings.in_force(refused, sources, self._standing.sources)
        for source in self._standing.closing_sources & found.keys():
            found[source].acknowledged = False
        return found

    def flush(self) -> list[bytes]:
        """The responses to send now. A proxy that is not registered (yet) is sent nothing, so it keeps what it has."""
        return self.session.flush() if self.proxy is not None else []

    def news(self) -> News:
        """The services that it is newly interested in, and who of its workloads newly reaches which destinations."""
        reaching, demands = self._reaching, self._reaching.demands
        news = News(demands.gained, demands.lost, reaching.learned)
        demands.gained, demands.lost, reaching.learned = [], [], []
        return news

    def holds(self, service: ServiceName) -> Iterable[str]:
        """The names of the load assignments of `service` that it should hold."""
        refs = self._reaching.holdings.backends(self._reaching.demands.of(service), service)
        return dict.fromkeys(map(names.backend, refs))

    def acknowledged(self, service: ServiceName) -> bool:
        """Whether it has acknowledged the newest endpoints of a service."""
        return all(self.session.acknowledged(EDS, name) for name in self.holds(service))

    def told(self, service: ServiceName) -> bool:
        """Whether it has acknowledged where a service's endpoints are and how they are spoken to."""
        return all(
            self.session.acknowledged(CDS, name) and self.session.acknowledged(EDS, name)
            for name in self.holds(service)
        )

    def takes_calls(self, workload: str) -> bool:
        """Whether it has acknowledged the door for calls to one of its workloads."""
        name = names.inbound_listener(workload)
        return self.session.holds(LDS, name) and self.session.acknowledged(LDS, name)

    def has(self, key: Key) -> bool:
        """Whether it has acknowledged the newest of what it should hold under that name, and that is there to stay."""
        return self.session.acknowledged(*key) and key not in self._standing.closing

    def _update(self, mesh: Mesh, demands: Iterable[Demand]) -> None:
        demands = tuple(demands)
        if self._needing.concerns(demands):
            self.refresh_doors(mesh)
        self._reaching.update(mesh, demands)

    def _remember(self, mesh: Mesh, proxy: Proxy) -> None:
        for workload in proxy.workloads:
            for callee in mesh.callees.get(workload.service, ()):
                if find(mesh, callee.service) is not None:
                    self._reaching.demand(mesh, Demand(route_config(workload), callee))

    def _catch_up(self, mesh: Mesh) -> None:
        """With what it said before it was registered, as far as that still holds; the session knows it."""
        now, self._early = self._early, None
        if now is None:
            return
        for type_url in (RDS, VHDS, CDS):
            if held := self.session.held(type_url):
                self._hold(mesh, Held(type_url, held), now)
        if names := sorted(self.session.names(VHDS)):
            self._asking.ask(mesh, Asked(VHDS, tuple(names)), now)

    def _hold(self, mesh: Mesh, event: Held, now: float) -> None:
        if event.type_url == RDS:
            self._standing.hold(event)
        self._asking.hold(mesh, event, now)


def _ways(proxy: Proxy) -> object:
    """On what of a proxy its workloads' ways out depend."""
    return proxy.capture, proxy.source, tuple(map(caller_of, proxy.workloads))
