"""One connected proxy: what it asked for, and so what it should hold.

A view turns the names that come over the stream into destinations, and each change of the mesh into wants of its session.
The session alone knows what was sent and acknowledged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from tulle.model.names import Destination, ServiceName, destination_from, destination_of
from tulle.model.workload import Capture, Proxy, Workload
from tulle.pipeline.demands import Demand, Demands
from tulle.pipeline.picture import Door, Encoder, doors, reach, standing
from tulle.resolve.index import Mesh
from tulle.resolve.outbound import is_tcp, route_config
from tulle.translate import names, resources
from tulle.xds.requests import Asked, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, VHDS, Key, Resource
from tulle.xds.session import Session


class News(Struct):
    """What a view has come to since it was last asked."""

    interests: list[ServiceName] = []
    learned: list[tuple[ServiceName, Destination]] = []


class View:
    """A proxy's stream. `proxy` is None until the proxy is registered; it then keeps what it was last.

    superseded: the proxy has opened enough newer streams; this one is to be ended.
    """

    def __init__(self, proxy_id: str, encoder: Encoder) -> None:
        self.proxy_id = proxy_id
        self.proxy: Proxy | None = None
        self.session = Session()
        self.superseded = False
        self._encoder = encoder
        self._demands = Demands()
        self._reached: set[Demand] = set()
        self._rejected: dict[Demand, Rejected] = {}
        self._doors: dict[Door, tuple[Resource, ...]] = {}
        self._early: list[Asked | Held] = []
        self._news = News()

    @property
    def services(self) -> Iterable[ServiceName]:
        """The services that it asked for, remembered callees included."""
        return self._demands.services

    @property
    def destinations(self) -> int:
        """How many destinations it asked for."""
        return len(self._demands)

    @property
    def reached(self) -> Iterable[Demand]:
        """The demands that a service of the mesh meets."""
        return tuple(demand for demand in self._demands if demand in self._reached)

    @property
    def ready(self) -> bool:
        """Whether the proxy has acknowledged everything that it should hold."""
        return self.proxy is not None and self.session.in_sync

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """What the proxy refused, and of which it therefore holds something older, or only the answer that says so."""
        return (*self._rejected.values(), *self.session.rejections)

    def within_budget(self, request: Request) -> Request:
        """The request without what is more than any proxy asks for."""
        return self._demands.within_budget(request)

    def serve(self, mesh: Mesh, proxy: Proxy) -> None:
        """The proxy is registered, or registered otherwise than before."""
        before, self.proxy = self.proxy, proxy
        self.refresh_doors(mesh)
        if before is None:
            if (
                proxy.capture is not Capture.NONE
            ):  # such an Envoy has no door, and would never ask for what is behind it
                self._remember(mesh, proxy)
            early, self._early = self._early, []
            self.receive(mesh, early)
        elif (before.capture, before.source) != (proxy.capture, proxy.source):
            for demand in list(self._demands):
                self._reach(mesh, demand)

    def succeed(self, mesh: Mesh, older: View) -> None:
        """It begins with what the proxy's older stream holds, so that a new Envoy has that before it is called upon.

        Names that are no service's are left out: the mesh does not know what the new one will be asked for.
        """
        if self.proxy is not None:
            for demand in older.reached:
                self._demand(mesh, demand)

    def refresh_doors(self, mesh: Mesh) -> None:
        """The doors of its workloads, which depend on the proxy itself and on the mesh's namespaces."""
        found = doors(mesh, self.proxy) if self.proxy else ()
        if found == tuple(self._doors):
            return
        before = _keys(self._doors)
        self._doors = {door: self._doors.get(door) or standing(door) for door in found}
        for key in before - _keys(self._doors):
            self.session.unwant(*key)
        for made in self._doors.values():
            for resource in made:
                self.session.want(resource)

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
        for demand in self._demands.of(service):
            self._rejected.pop(demand, None)
            self._reach(mesh, demand)

    def update_endpoints(self, mesh: Mesh, service: ServiceName) -> None:
        """Only who serves a service has changed."""
        for demand in self._demands.of(service):
            rejected = self._rejected.get(demand)
            if rejected is not None and rejected.type_url == EDS:
                del self._rejected[demand]
                self._reach(mesh, demand)
            elif rejected is None and demand in self._reached:
                assignment = self._encoder.load_assignment(mesh, demand.destination)
                if assignment is not None:
                    self.session.want(assignment)

    def connects_to(self, mesh: Mesh, workload: Workload, service: ServiceName) -> None:
        """The workload has asked for the service's address: what carries TCP must be there before it connects."""
        for destination in tcp_destinations(mesh, service):
            self._demand(mesh, Demand(route_config(workload), destination))

    def takes(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy is ready for the workload's connections to the service's TCP ports."""
        config = route_config(workload)
        return all(
            self.session.holds(LDS, name) and self.session.acknowledged(LDS, name)
            for name in (names.tcp_listener(config, d) for d in tcp_destinations(mesh, service))
        )

    def refuses(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy has rejected what carries some of these connections, and so will not be ready for them."""
        config = route_config(workload)
        return any(
            Demand(config, destination) in self._rejected
            or self._rejects_first(names.tcp_listener(config, destination))
            for destination in tcp_destinations(mesh, service)
        )

    def flush(self) -> list[bytes]:
        """The responses to send now. A proxy that is not registered (yet) is sent nothing, so it keeps what it has."""
        return self.session.flush() if self.proxy is not None else []

    def news(self) -> News:
        """The services that it is newly interested in, and who of its workloads newly reaches which destinations."""
        news, self._news = self._news, News()
        return news

    def holds(self, service: ServiceName) -> Iterable[str]:
        """The names of the load assignments of `service` that it should hold."""
        return [names.backend(d.destination) for d in self._demands.of(service) if d in self._reached]

    def acknowledged(self, service: ServiceName) -> bool:
        """Whether it has acknowledged the newest endpoints of a service."""
        return all(self.session.acknowledged(EDS, name) for name in self.holds(service))

    def _remember(self, mesh: Mesh, proxy: Proxy) -> None:
        for workload in proxy.workloads:
            for callee in mesh.callees.get(workload.service, ()):
                if callee.service in mesh.services:
                    self._demand(mesh, Demand(route_config(workload), callee))

    def _ask(self, mesh: Mesh, event: Asked) -> None:
        if event.type_url != VHDS:
            return
        asked: dict[Demand, list[str]] = defaultdict(list)
        for name in event.names:
            config, _, authority = name.partition("/")
            workload = self._workload(config)
            destination = destination_of(authority, workload.service.namespace) if workload else None
            if destination is None:
                self.session.want(resources.no_virtual_host(name))
            else:
                asked[Demand(config, destination)].append(name)
        for demand, written in asked.items():
            self._demand(mesh, demand, written)

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

    def _demand(self, mesh: Mesh, demand: Demand, written: Iterable[str] = ()) -> None:
        service = demand.destination.service
        if not self._demands.add(demand, written, known=service in mesh.services):
            for name in written:
                self.session.want(resources.no_virtual_host(name))
            return
        self._news.interests.append(service)
        self._reach(mesh, demand)

    def _reach(self, mesh: Mesh, demand: Demand) -> None:
        workload = self._workload(demand.route_config)
        if self.proxy is None or workload is None:
            return
        rejection = self._rejected.get(demand)
        why = rejection.message if rejection else None
        asked = self._demands.names(demand)
        wanted = reach(mesh, self._encoder, self.proxy, workload, demand.destination, asked, why)
        for resource in wanted:
            self.session.want(resource)
        if all(resource.type_url != LDS for resource in wanted):
            self.session.unwant(LDS, names.tcp_listener(demand.route_config, demand.destination))
        if len(wanted) > 1 and demand not in self._reached:
            self._reached.add(demand)
            self._demands.met(demand)
            self._news.learned.append((workload.service, demand.destination))
        elif len(wanted) == 1 and demand in self._reached:
            self._reached.discard(demand)
            for type_url in (CDS, EDS):
                self.session.unwant(type_url, names.backend(demand.destination))

    def _reject(self, mesh: Mesh, event: Rejected) -> None:
        """A first answer that the proxy rejects would leave the caller hanging: it is told so instead."""
        for demand in list(self._demands):
            host = names.virtual_host(demand.route_config, demand.destination)
            cluster = names.backend(demand.destination)
            if (event.type_url, event.name) not in ((VHDS, host), (CDS, cluster), (EDS, cluster)):
                continue
            if demand not in self._rejected and not self.session.holds(VHDS, host):
                self._rejected[demand] = event
                self._reach(mesh, demand)

    def _rejects_first(self, listener: str) -> bool:
        """As opposed to a newer version of one that it holds."""
        return self.session.progress(LDS, listener) == "rejected" and not self.session.holds(LDS, listener)

    def _workload(self, config: str) -> Workload | None:
        workloads = self.proxy.workloads if self.proxy else ()
        return next((w for w in workloads if route_config(w) == config), None)


def tcp_destinations(mesh: Mesh, service: ServiceName) -> list[Destination]:
    """The service's ports that carry TCP."""
    known = mesh.services.get(service)
    return [Destination(service, p.number) for p in known.ports if is_tcp(known, p.number)] if known else []


def _keys(made: dict[Door, tuple[Resource, ...]]) -> set[Key]:
    return {resource.key for resources_ in made.values() for resource in resources_}
