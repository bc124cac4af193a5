"""One connected proxy: what it asked for, and so what it should hold.

A view turns the names that come over the stream into destinations, and each change of the mesh into wants of its session.
The session alone knows what was sent and acknowledged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from tulle.ir.types import OutboundRoutes
from tulle.model.names import Destination, ServiceName, destination_from
from tulle.model.workload import Capture, Proxy, Workload
from tulle.pipeline.allowance import Allowance
from tulle.pipeline.demands import Demand, Demands
from tulle.pipeline.eviction import KEPT_SERVICES, Eviction
from tulle.pipeline.holdings import Holdings, HoldsOf
from tulle.pipeline.picture import Door, Encoder, doors, made_of, reach, standing, unmade
from tulle.resolve.callers import caller_of
from tulle.resolve.index import Mesh
from tulle.resolve.meanings import meant
from tulle.resolve.outbound import route_config, tcp_ports
from tulle.resolve.services import find, is_known, is_lasting
from tulle.translate import names, resources
from tulle.xds.requests import WILDCARD, Accepted, Asked, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS, Key, Resource
from tulle.xds.session import Session

MOST_NAMES = 5000  # that the mesh does not know, on one stream at a time, answered or not; as many again that it knows


class News(Struct):
    """What a view has come to since it was last asked.

    gained, lost: services on which something of it newly depends, or nothing any more; one may be in both, gained first.
    """

    gained: list[ServiceName]
    lost: list[ServiceName]
    learned: list[tuple[ServiceName, Destination]]


class View:
    """A proxy's stream. `proxy` is None until the proxy is registered; it then keeps what it was last.

    superseded: the proxy has opened enough newer streams; this one is to be ended.
    """

    def __init__(self, proxy_id: str, encoder: Encoder, allowance: Allowance | None = None) -> None:
        self.proxy_id = proxy_id
        self.allowance = allowance or Allowance()
        self.proxy: Proxy | None = None
        self.session = Session()
        self.superseded = False
        self._encoder = encoder
        self._demands = Demands()
        self._holdings = Holdings(self.session)
        self._rejected: dict[Demand, Rejected] = {}
        self._doors: dict[Door, tuple[Resource, ...]] = {}
        self._early: list[tuple[Asked | Held, float]] = []
        self._refused: dict[str, None] = {}  # names that were answered with nothing, and are no demands
        self._idle: frozenset[str] = frozenset()
        self._eviction = Eviction()
        self._learned: list[tuple[ServiceName, Destination]] = []
        self._mistakes: list[Exception] = []

    @property
    def services(self) -> Collection[ServiceName]:
        """The services on which what it asked for depends, remembered callees included."""
        return self._demands.services

    @property
    def destinations(self) -> int:
        """How many destinations it asked for."""
        return len(self._demands)

    @property
    def strangers(self) -> int:
        """How many names it holds that are no service, those included that were refused."""
        return self._demands.strangers + len(self._refused)

    @property
    def reached(self) -> Iterable[Demand]:
        """The demands that a service of the mesh meets."""
        return tuple(demand for demand, reach in self._holdings if reach.met)

    @property
    def ready(self) -> bool:
        """Whether the proxy has acknowledged everything that it should hold."""
        return self.proxy is not None and self.session.in_sync

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """What the proxy refused, and of which it therefore holds something older, or only the answer that says so."""
        return (*self._rejected.values(), *self.session.rejections)

    def within_budget(self, mesh: Mesh, request: Request) -> Request:
        """The request without the names beyond what one stream may ask for; they stay without an answer."""
        if request.type_url != VHDS or len(request.subscribe) <= MOST_NAMES - self.session.asked(VHDS):
            return request
        left = MOST_NAMES - self.session.asked(VHDS, without=request.unsubscribe)
        kept: list[str] = []
        for name in request.subscribe:
            if name == WILDCARD or left > 0 or (left > -MOST_NAMES and self._knows(mesh, name)):
                kept.append(name)
                left -= 1
        return replace(request, subscribe=tuple(kept))

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
            for event, now in early:
                self.receive(mesh, [event], now)
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
        self._open({door: self._doors.get(door) or standing(door, self._eviction.epoch) for door in found})

    def _open(self, opened: dict[Door, tuple[Resource, ...]]) -> None:
        before, self._doors = _keys(self._doors), opened
        for key in before - _keys(self._doors):
            self.session.unwant(*key)
        for made in self._doors.values():
            for resource in made:
                self.session.want(resource)

    def receive(self, mesh: Mesh, events: Iterable[Event], now: float) -> None:
        """What the proxy said. now: as Hub's."""
        for event in events:
            if isinstance(event, Rejected):
                self._reject(mesh, event)
            elif isinstance(event, Accepted):
                self._accept(event)
            elif isinstance(event, Asked | Held):
                if self.proxy is None:
                    self._early.append((event, now))
                elif isinstance(event, Asked):
                    self._ask(mesh, event, now)
                else:
                    self._hold(mesh, event, now)

    def idles(self, clusters: Iterable[str]) -> None:
        """These clusters of the proxy have had no call for long; the next `evict` thinks of it."""
        self._idle = frozenset(clusters)

    def evict(self, now: float) -> bool:
        """Begin to take away strangers that are too many or too old, and idle services if there are many. False: nothing to do.

        It goes on when the proxy acknowledges; see eviction.py.
        """
        if self.proxy is None or not self._eviction.may_begin(now):
            return False
        demands = [*self._demands.stale(now), *self._idle_demands()]
        self._idle = frozenset()
        routes = [
            resource.name
            for door, made in self._doors.items()
            for resource in made
            if isinstance(door, OutboundRoutes) and resource.type_url == RDS
        ]
        if not (demands or self._refused) or not all(self.session.holds(RDS, name) for name in routes):
            return False
        self._eviction.begin(demands, self._refused, routes, now)
        self._begin_epoch()
        return True

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
        for demand in self._demands.of(service):
            rejected = self._rejected.get(demand)
            if rejected is not None and rejected.type_url == EDS:
                del self._rejected[demand]
                self._reach(mesh, demand)
        for workload in self.proxy.workloads if self.proxy else ():
            config = route_config(workload)
            demands = [d for d in self._demands.of(service) if d.route_config == config and d not in self._rejected]
            for ref in self._holdings.backends(demands, service):
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

    def made_of(self, sources: Container[str]) -> set[Key]:
        """What it should hold that is made of some of these declared resources."""
        of_doors = {key for source, keys in self._made_of_doors() if source in sources for key in keys}
        return self._holdings.made_of(sources) | of_doors

    @property
    def doors_under_way(self) -> set[Key]:
        """What of its doors it has not acknowledged yet: by which names a call comes to the mesh at all."""
        return {key for key in _keys(self._doors) if not self.session.acknowledged(*key)}

    def in_force(self, sources: Container[str] | None = None) -> dict[str, HoldsOf]:
        """What it holds of declared resources, of all or of these, by resource."""
        refused = {demand: rejected.message for demand, rejected in self._rejected.items()}
        return self._holdings.in_force(refused, sources, self._made_of_doors())

    def _made_of_doors(self) -> Iterator[tuple[str, tuple[Key, ...]]]:
        for door, made in self._doors.items():
            yield from made_of(door, made)

    def flush(self) -> list[bytes]:
        """The responses to send now. A proxy that is not registered (yet) is sent nothing, so it keeps what it has."""
        return self.session.flush() if self.proxy is not None else []

    def news(self) -> News:
        """The services that it is newly interested in, and who of its workloads newly reaches which destinations."""
        news = News(self._demands.gained, self._demands.lost, self._learned)
        self._demands.gained, self._demands.lost, self._learned = [], [], []
        return news

    def mistakes(self) -> list[Exception]:
        """Our own, since it was last asked: what could not be made, so that the proxy keeps what it has of it."""
        found, self._mistakes = self._mistakes, []
        return found

    def holds(self, service: ServiceName) -> Iterable[str]:
        """The names of the load assignments of `service` that it should hold."""
        refs = self._holdings.backends(self._demands.of(service), service)
        return dict.fromkeys(map(names.backend, refs))

    def acknowledged(self, service: ServiceName) -> bool:
        """Whether it has acknowledged the newest endpoints of a service."""
        return all(self.session.acknowledged(EDS, name) for name in self.holds(service))

    def _remember(self, mesh: Mesh, proxy: Proxy) -> None:
        for workload in proxy.workloads:
            for callee in mesh.callees.get(workload.service, ()):
                if find(mesh, callee.service) is not None:
                    self._demand(mesh, Demand(route_config(workload), callee))

    def _ask(self, mesh: Mesh, event: Asked, now: float) -> None:
        if event.type_url != VHDS:
            return
        asked: dict[Demand, list[str]] = defaultdict(list)
        for name in event.names:
            demand = self._meant(mesh, name)
            if demand is None:
                self._refuse(name)
            elif demand in self._demands or is_known(mesh, demand.destination) or self.allowance.take(now):
                asked[demand].append(name)
            else:
                self._refuse(name)
        for demand, written in asked.items():
            for name in written:
                if name in self._refused:
                    del self._refused[name]
                    self._eviction.refused(name)
                    self.session.unwant(VHDS, name)
            self._eviction.asked(demand)
            self._demand(mesh, demand, written, now)

    def _hold(self, mesh: Mesh, event: Held, now: float) -> None:
        """A reconnected proxy holds what an earlier stream brought: it keeps it, and keeps being told of changes."""
        if event.type_url == RDS:
            self._hold_routes(event)
        for name in event.versions:
            if event.type_url == VHDS:
                config, _, host = name.partition("/")
                destination = destination_from(host)
                if destination is not None and self._workload(config):
                    self._demand(mesh, Demand(config, destination), now=now)
            elif event.type_url == CDS and (destination := names.destination_of_backend(name)):
                for workload in self.proxy.workloads if self.proxy and "*" not in name else ():
                    self._demand(mesh, Demand(route_config(workload), destination), now=now)

    def _hold_routes(self, event: Held) -> None:
        """Its route configuration may be of the other epoch, which is as good: a change would be an eviction of nothing."""
        for door in self._doors:
            for resource in standing(door, 1 - self._eviction.epoch) if isinstance(door, OutboundRoutes) else ():
                if resource.type_url == RDS and event.versions.get(resource.name) == resource.version:
                    self._eviction.epoch = 1 - self._eviction.epoch
                    self._begin_epoch()
                    return

    def _begin_epoch(self) -> None:
        self._open(
            {
                door: standing(door, self._eviction.epoch) if isinstance(door, OutboundRoutes) else made
                for door, made in self._doors.items()
            }
        )

    def _accept(self, event: Accepted) -> None:
        if event.type_url != RDS or not self.session.acknowledged(RDS, event.name):
            return
        if self._eviction.acknowledged(event.name):
            demands, refused = self._eviction.end()
            for demand in demands:
                self._drop(demand)
            for name in refused:
                del self._refused[name]
                self.session.unwant(VHDS, name)

    def _drop(self, demand: Demand) -> None:
        self._holdings.drop(demand)
        self._rejected.pop(demand, None)
        self._demands.drop(demand)

    def _idle_demands(self) -> Iterable[Demand]:
        """None for which there is a listener: a program keeps its address, and connects without asking again."""
        if not self._idle or len(self._demands) - self._demands.strangers <= KEPT_SERVICES:
            return ()
        return [
            demand
            for demand, reached in self._holdings
            if reached.backends
            and not self._demands.is_stranger(demand)
            and all(names.backend(ref) in self._idle for ref in reached.backends)
            and not any(resource.type_url == LDS for resource in reached.resources)
        ]

    def _refuse(self, name: str) -> None:
        """There is nothing by that name, or too much was asked for."""
        self._refused[name] = None
        self._eviction.refused(name)
        self.session.want(resources.no_virtual_host(name))

    def _meant(self, mesh: Mesh, name: str) -> Demand | None:
        config, _, authority = name.partition("/")
        workload = self._workload(config)
        destination = meant(mesh, authority, workload.service.namespace) if workload else None
        return Demand(config, destination) if destination else None

    def _knows(self, mesh: Mesh, name: str) -> bool:
        demand = self._meant(mesh, name)
        return demand is not None and is_known(mesh, demand.destination)

    def _demand(self, mesh: Mesh, demand: Demand, written: Iterable[str] = (), now: float | None = None) -> None:
        known = is_lasting(mesh, demand.destination)
        if not self._demands.add(demand, written, known, now):
            for name in written:
                self._refuse(name)
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
        before = self._holdings.get(demand)
        try:
            after = reach(mesh, self._encoder, self.proxy, workload, demand.destination, asked, why)
        except Exception as error:  # one bad destination must not take the stream, and all others with it
            self._mistakes.append(error)
            if before is not None:
                return
            after = unmade(workload, demand.destination, asked, f"tulle's own mistake: {error!r}")
        self._holdings.put(demand, after)
        self._demands.relate(demand, after.uses)
        self._demands.settle(demand, after.met and is_lasting(mesh, demand.destination))
        if after.met and not (before and before.met):
            self._learned.append((workload.service, demand.destination))

    def _reject(self, mesh: Mesh, event: Rejected) -> None:
        """A first answer that the proxy rejects would leave the caller hanging: it is told so instead."""
        for demand, reached in self._holdings:
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
    """The service's ports that have listeners of their own: what carries TCP, and HTTP where a number says TCP."""
    return [Destination(service, port.number) for port in tcp_ports(mesh, workload, service)]


def _ways(proxy: Proxy) -> object:
    """On what of a proxy its workloads' ways out depend."""
    return proxy.capture, proxy.source, tuple(map(caller_of, proxy.workloads))


def _keys(made: dict[Door, tuple[Resource, ...]]) -> set[Key]:
    return {resource.key for resources_ in made.values() for resource in resources_}
