"""One connected proxy: what it asked for, and so what it should hold.

A view turns the names that come over the stream into destinations, and each change of the mesh into wants of its session.
The session alone knows what was sent and acknowledged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.model.names import Destination, ServiceName, destination_from
from tulle.model.workload import Capture, Proxy, Workload
from tulle.pipeline.demands import Demand, Demands
from tulle.pipeline.picture import Door, Encoder, Reach, doors, reach, standing
from tulle.resolve.callers import caller_of
from tulle.resolve.index import Mesh
from tulle.resolve.meanings import meant
from tulle.resolve.outbound import route_config, tcp_ports
from tulle.resolve.services import find
from tulle.translate import names, resources
from tulle.xds.requests import Asked, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, VHDS, Key, Resource
from tulle.xds.session import Session


class News(Struct):
    """What a view has come to since it was last asked.

    gained, lost: services on which something of it newly depends, or nothing any more; one may be in both, gained first.
    """

    gained: list[ServiceName]
    lost: list[ServiceName]
    learned: list[tuple[ServiceName, Destination]]


class HoldsOf(Struct):
    """Whether all that was made of a resource for a proxy is acknowledged by it, and why something was refused."""

    acknowledged: bool = True
    rejection: str = ""


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
        self._reached: dict[Demand, Reach] = {}
        self._users: Counter[Key] = Counter()  # of the resources that demands have made
        self._rejected: dict[Demand, Rejected] = {}
        self._doors: dict[Door, tuple[Resource, ...]] = {}
        self._early: list[Asked | Held] = []
        self._learned: list[tuple[ServiceName, Destination]] = []

    @property
    def services(self) -> Collection[ServiceName]:
        """The services on which what it asked for depends, remembered callees included."""
        return self._demands.services

    @property
    def destinations(self) -> int:
        """How many destinations it asked for."""
        return len(self._demands)

    @property
    def reached(self) -> Iterable[Demand]:
        """The demands that a service of the mesh meets."""
        return tuple(demand for demand, reach in self._reached.items() if reach.met)

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
        elif _ways(before) != _ways(proxy):
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
        """What a service offers has changed, or the rules for it, or that it is there at all."""
        self._update(mesh, self._demands.of(service))

    def update_beneath(self, mesh: Mesh, wildcard: str) -> None:
        """Rules for all hosts that the wildcard covers have changed."""
        self._update(mesh, self._demands.beneath(wildcard))

    def update_all(self, mesh: Mesh) -> None:
        """What the workloads may see has changed."""
        self.refresh_doors(mesh)
        self._update(mesh, list(self._demands))

    def update_endpoints(self, mesh: Mesh, service: ServiceName) -> None:
        """Only who serves a service has changed."""
        done: set[tuple[str, BackendRef]] = set()
        for demand in self._demands.of(service):
            rejected = self._rejected.get(demand)
            if rejected is not None and rejected.type_url == EDS:
                del self._rejected[demand]
                self._reach(mesh, demand)
                continue
            workload, reached = self._workload(demand.route_config), self._reached.get(demand)
            if workload is None or reached is None:
                continue
            for ref in reached.backends:
                if ref.destination.service != service or (demand.route_config, ref) in done:
                    continue
                done.add((demand.route_config, ref))
                made = self._encoder.made(mesh, caller_of(workload), ref)
                for resource in made.resources if made else ():
                    self.session.want(resource)

    def connects_to(self, mesh: Mesh, workload: Workload, service: ServiceName) -> None:
        """The workload has asked for the service's address: what carries TCP must be there before it connects."""
        for destination in tcp_destinations(mesh, workload, service):
            self._demand(mesh, Demand(route_config(workload), destination))

    def takes(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy is ready for the workload's connections to the service's TCP ports."""
        config = route_config(workload)
        return all(
            self.session.holds(LDS, name) and self.session.acknowledged(LDS, name)
            for name in (names.tcp_listener(config, d) for d in tcp_destinations(mesh, workload, service))
        )

    def refuses(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy has rejected what carries some of these connections, and so will not be ready for them."""
        config = route_config(workload)
        return any(
            Demand(config, destination) in self._rejected
            or self._rejects_first(names.tcp_listener(config, destination))
            for destination in tcp_destinations(mesh, workload, service)
        )

    def in_force(self) -> dict[str, HoldsOf]:
        """What it holds of declared resources, by resource."""
        refused = {(r.type_url, r.name): r.message for r in self.session.rejections}
        found: dict[str, HoldsOf] = {}
        for demand, reached in self._reached.items():
            rejected = self._rejected.get(demand)
            for source, keys in reached.sources:
                one = found.setdefault(source, HoldsOf())
                why = rejected.message if rejected else next((refused[key] for key in keys if key in refused), "")
                one.rejection = one.rejection or why
                one.acknowledged = one.acknowledged and not why and all(self.session.acknowledged(*key) for key in keys)
        return found

    def flush(self) -> list[bytes]:
        """The responses to send now. A proxy that is not registered (yet) is sent nothing, so it keeps what it has."""
        return self.session.flush() if self.proxy is not None else []

    def news(self) -> News:
        """The services that it is newly interested in, and who of its workloads newly reaches which destinations."""
        news = News(self._demands.gained, self._demands.lost, self._learned)
        self._demands.gained, self._demands.lost, self._learned = [], [], []
        return news

    def holds(self, service: ServiceName) -> Iterable[str]:
        """The names of the load assignments of `service` that it should hold."""
        refs = (ref for d in self._demands.of(service) if d in self._reached for ref in self._reached[d].backends)
        return dict.fromkeys(names.backend(r) for r in refs if r.destination.service == service)

    def acknowledged(self, service: ServiceName) -> bool:
        """Whether it has acknowledged the newest endpoints of a service."""
        return all(self.session.acknowledged(EDS, name) for name in self.holds(service))

    def _remember(self, mesh: Mesh, proxy: Proxy) -> None:
        for workload in proxy.workloads:
            for callee in mesh.callees.get(workload.service, ()):
                if find(mesh, callee.service) is not None:
                    self._demand(mesh, Demand(route_config(workload), callee))

    def _ask(self, mesh: Mesh, event: Asked) -> None:
        if event.type_url != VHDS:
            return
        asked: dict[Demand, list[str]] = defaultdict(list)
        for name in event.names:
            config, _, authority = name.partition("/")
            workload = self._workload(config)
            destination = meant(mesh, authority, workload.service.namespace) if workload else None
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
                for workload in self.proxy.workloads if self.proxy and "*" not in name else ():
                    self._demand(mesh, Demand(route_config(workload), destination))

    def _demand(self, mesh: Mesh, demand: Demand, written: Iterable[str] = ()) -> None:
        known = find(mesh, demand.destination.service) is not None
        if not self._demands.add(demand, written, known):
            for name in written:
                self.session.want(resources.no_virtual_host(name))
            return
        self._reach(mesh, demand)

    def _update(self, mesh: Mesh, demands: Iterable[Demand]) -> None:
        for demand in demands:
            self._rejected.pop(demand, None)
            self._reach(mesh, demand)

    def _reach(self, mesh: Mesh, demand: Demand) -> None:
        """Make what a demand needs, and let go of what it does not need any more."""
        workload = self._workload(demand.route_config)
        if self.proxy is None or workload is None:
            return
        rejection = self._rejected.get(demand)
        why = rejection.message if rejection else None
        asked = self._demands.names(demand)
        before = self._reached.get(demand)
        after = reach(mesh, self._encoder, self.proxy, workload, demand.destination, asked, why)
        self._reached[demand] = after
        for resource in after.resources:
            self.session.want(resource)
            self._users[resource.key] += 1
        self._let_go(before.resources if before else ())
        self._demands.relate(demand, after.uses)
        if after.met and not (before and before.met):
            self._demands.met(demand)
            self._learned.append((workload.service, demand.destination))

    def _let_go(self, made: Iterable[Resource]) -> None:
        for resource in made:
            self._users[resource.key] -= 1
            if not self._users[resource.key]:
                del self._users[resource.key]
                self.session.unwant(*resource.key)

    def _reject(self, mesh: Mesh, event: Rejected) -> None:
        """A first answer that the proxy rejects would leave the caller hanging: it is told so instead."""
        for demand, reached in list(self._reached.items()):
            if event.type_url == LDS or (event.type_url, event.name) not in {r.key for r in reached.resources}:
                continue
            host = names.virtual_host(demand.route_config, demand.destination)
            if demand not in self._rejected and not self.session.holds(VHDS, host):
                self._rejected[demand] = event
                self._reach(mesh, demand)

    def _rejects_first(self, listener: str) -> bool:
        """As opposed to a newer version of one that it holds."""
        return self.session.progress(LDS, listener) == "rejected" and not self.session.holds(LDS, listener)

    def _workload(self, config: str) -> Workload | None:
        workloads = self.proxy.workloads if self.proxy else ()
        return next((w for w in workloads if route_config(w) == config), None)


def tcp_destinations(mesh: Mesh, workload: Workload, service: ServiceName) -> list[Destination]:
    """The service's ports that carry TCP."""
    return [Destination(service, port.number) for port in tcp_ports(mesh, workload, service)]


def _ways(proxy: Proxy) -> object:
    """On what of a proxy its workloads' ways out depend."""
    return proxy.capture, proxy.source, tuple(map(caller_of, proxy.workloads))


def _keys(made: dict[Door, tuple[Resource, ...]]) -> set[Key]:
    return {resource.key for resources_ in made.values() for resource in resources_}
