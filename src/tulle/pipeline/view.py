"""One connected proxy: what it asked for, and so what it should hold.

A view turns the names that come over the stream into destinations, and each change of the mesh into wants of its session.
The session alone knows what was sent and acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tulle.ir.types import Inbound, Outbound
from tulle.model.names import Destination, ServiceName, destination_from, destination_of
from tulle.model.workload import Proxy, Workload
from tulle.pipeline.picture import Encoder, doors, reach, standing
from tulle.resolve.index import Mesh
from tulle.resolve.outbound import route_config
from tulle.translate import names, resources
from tulle.xds.requests import Asked, Event, Held, Rejected
from tulle.xds.resources import CDS, EDS, VHDS
from tulle.xds.session import Session

# A sidecar that asks for more names than any program calls is fed by a scanner: the rest gets "no route".
MOST_DESTINATIONS = 1000


class Demand(Struct, frozen=True):
    """A destination that a workload, known by its route configuration, wants to reach."""

    route_config: str
    destination: Destination


class News(Struct):
    """What a view has come to since it was last asked."""

    interests: list[ServiceName] = []
    learned: list[tuple[ServiceName, Destination]] = []


class View:
    """A proxy's stream. `proxy` is None until the proxy is registered; it then keeps what it was last."""

    def __init__(self, proxy_id: str, encoder: Encoder) -> None:
        self.proxy_id = proxy_id
        self.proxy: Proxy | None = None
        self.session = Session()
        self._encoder = encoder
        self._asked: dict[Demand, tuple[str, ...]] = {}
        self._by_service: dict[ServiceName, list[Demand]] = {}
        self._reached: set[Demand] = set()
        self._news = News()
        self._rejected: dict[Demand, Rejected] = {}
        self._doors: tuple[Outbound | Inbound, ...] = ()
        self._standing: frozenset[tuple[str, str]] = frozenset()
        self._early: list[Asked | Held] = []

    @property
    def services(self) -> Iterable[ServiceName]:
        """The services that it asked for, remembered callees included."""
        return self._by_service.keys()

    @property
    def destinations(self) -> int:
        """How many destinations it asked for."""
        return len(self._asked)

    @property
    def ready(self) -> bool:
        """Whether the proxy has acknowledged everything that it should hold."""
        return self.proxy is not None and self.session.in_sync

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """What the proxy refused, and of which it therefore holds something older, or only the answer that says so."""
        return (*self._rejected.values(), *self.session.rejections)

    def serve(self, mesh: Mesh, proxy: Proxy) -> None:
        """The proxy is registered, or registered otherwise than before."""
        first, self.proxy = self.proxy is None, proxy
        self.refresh_doors(mesh)
        if first:
            for workload in proxy.workloads:
                for callee in mesh.callees.get(workload.service, ()):
                    if callee.service in mesh.services:
                        self._demand(mesh, Demand(route_config(workload), callee))
            early, self._early = self._early, []
            self.receive(mesh, early)

    def refresh_doors(self, mesh: Mesh) -> None:
        """The doors of its workloads, which depend on the proxy itself and on the mesh's namespaces."""
        found = doors(mesh, self.proxy) if self.proxy else ()
        if found == self._doors:
            return
        wanted = {(r.type_url, r.name): r for r in standing(found)}
        for key in self._standing - wanted.keys():
            self.session.unwant(*key)
        for resource in wanted.values():
            self.session.want(resource)
        self._doors, self._standing = found, frozenset(wanted)

    def receive(self, mesh: Mesh, events: Iterable[Event]) -> None:
        """What the proxy said."""
        for event in events:
            if isinstance(event, Rejected):
                self._reject(mesh, event)
            elif isinstance(event, Asked | Held):
                if self.proxy is None:
                    self._early.append(event)
                elif isinstance(event, Asked):
                    self._ask(mesh, event)
                else:
                    self._hold(mesh, event)

    def update(self, mesh: Mesh, service: ServiceName) -> None:
        """What a service offers has changed, or that it is there at all."""
        for demand in self._by_service.get(service, ()):
            self._rejected.pop(demand, None)
            self._reach(mesh, demand)

    def update_endpoints(self, mesh: Mesh, service: ServiceName) -> None:
        """Only who serves a service has changed."""
        for demand in self._by_service.get(service, ()):
            if demand in self._reached and demand not in self._rejected:
                self.session.want(self._encoder.load_assignment(mesh, demand.destination))

    def news(self) -> News:
        """The services that it is newly interested in, and who of its workloads newly reaches which destinations."""
        news, self._news = self._news, News()
        return news

    def holds(self, service: ServiceName) -> Iterable[str]:
        """The names of the load assignments of `service` that it should hold."""
        return [names.backend(d.destination) for d in self._by_service.get(service, ()) if d in self._reached]

    def acknowledged(self, service: ServiceName) -> bool:
        """Whether it has acknowledged the newest endpoints of a service."""
        return all(self.session.acknowledged(EDS, name) for name in self.holds(service))

    def _ask(self, mesh: Mesh, event: Asked) -> None:
        if event.type_url != VHDS:
            return
        for name in event.names:
            config, _, authority = name.partition("/")
            workload = self._workload(config)
            destination = None
            if workload is not None:
                destination = destination_of(authority, workload.service.namespace, mesh.namespaces)
            if destination is None:
                self.session.want(resources.no_virtual_host(name))
            else:
                self._demand(mesh, Demand(config, destination), name)

    def _hold(self, mesh: Mesh, event: Held) -> None:
        """A reconnected proxy holds what an earlier stream brought: it keeps it, and keeps being told of changes."""
        for name in event.versions:
            if event.type_url == VHDS:
                config, _, host = name.partition("/")
                destination = destination_from(host)
                if destination is not None and self._workload(config):
                    self._demand(mesh, Demand(config, destination))
            elif event.type_url == CDS and (destination := names.destination_of_backend(name)):
                for workload in self.proxy.workloads if self.proxy else ():
                    self._demand(mesh, Demand(route_config(workload), destination))

    def _demand(self, mesh: Mesh, demand: Demand, name: str | None = None) -> None:
        if demand not in self._asked and len(self._asked) >= MOST_DESTINATIONS:
            if name is not None:
                self.session.want(resources.no_virtual_host(name))
            return
        if demand not in self._asked:
            service = demand.destination.service
            self._by_service.setdefault(service, []).append(demand)
            self._news.interests.append(service)
        asked = self._asked.get(demand, ())
        self._asked[demand] = asked if name is None or name in asked else (*asked, name)
        self._reach(mesh, demand)

    def _reach(self, mesh: Mesh, demand: Demand) -> None:
        workload = self._workload(demand.route_config)
        if workload is None:
            return
        rejection = self._rejected.get(demand)
        problem = None
        if rejection is not None:
            problem = f"this sidecar rejected the configuration of {demand.destination}: {rejection.message}"
        wanted = reach(mesh, self._encoder, workload, demand.destination, self._asked[demand], problem)
        for resource in wanted:
            self.session.want(resource)
        if len(wanted) > 1 and demand not in self._reached:
            self._reached.add(demand)
            self._news.learned.append((workload.service, demand.destination))
        elif len(wanted) == 1 and demand in self._reached:
            self._reached.discard(demand)
            for type_url in (CDS, EDS):
                self.session.unwant(type_url, names.backend(demand.destination))

    def _reject(self, mesh: Mesh, event: Rejected) -> None:
        """A first answer that the proxy rejects would leave the caller hanging: it is told so instead."""
        for demand in list(self._asked):
            host = names.virtual_host(demand.route_config, demand.destination)
            cluster = names.backend(demand.destination)
            if (event.type_url, event.name) not in ((VHDS, host), (CDS, cluster), (EDS, cluster)):
                continue
            if demand not in self._rejected and not self.session.holds(VHDS, host):
                self._rejected[demand] = event
                self._reach(mesh, demand)

    def _workload(self, config: str) -> Workload | None:
        workloads = self.proxy.workloads if self.proxy else ()
        return next((w for w in workloads if route_config(w) == config), None)
