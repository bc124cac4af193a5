"""START HERE. The mesh, and every proxy that is connected to it: who must be told of what.

    snapshot ─▶ taking.take ─▶ Mesh + the names that changed ─▶ the views that hold one of them ─▶ their sessions
    request  ─▶ session.receive ─▶ events ─▶ the view's demands ─▶ its session

A change costs what it touches: `apply` visits only the views that asked for a service that changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.pipeline import taking
from tulle.pipeline.allowance import Allowance
from tulle.pipeline.covered import Covered
from tulle.pipeline.picture import Encoder
from tulle.pipeline.taking import Taken
from tulle.pipeline.turning import Turning, beaten, services_of, turned, with_turning
from tulle.pipeline.view import View
from tulle.resolve.mesh import Member, Mesh
from tulle.resolve.services import is_lasting
from tulle.xds.requests import Request
from tulle.xds.subscription import SIDECAR


class Learned(Struct, frozen=True):
    """A service has called a destination for the first time: worth remembering for its next instance."""

    caller: ServiceName
    callee: Destination


class Fault(Struct, frozen=True):
    """Our own mistake: a part of a proxy's configuration could not be made. It keeps what it has of that.

    proxy: empty if it is a part of the mesh itself, which then keeps what it knew of it.
    """

    proxy: str
    part: str
    revision: int
    error: Exception


class Touched(Struct, frozen=True):
    """What came of an input: the views with something to send, what was learned, and what went wrong in here."""

    views: tuple[View, ...] = ()
    learned: tuple[Learned, ...] = ()
    faults: tuple[Fault, ...] = ()


_KINDS = {kind.type_url for kind in SIDECAR}
# Streams of one proxy at once: the newest, one that it is about to leave, one that is half dead.
_MOST_STREAMS = 3


class Hub:
    """All views of one mesh. Not thread-safe; one event loop drives it. sampling, b3: as Mesh's."""

    def __init__(self, sampling: float = 1.0, *, b3: bool = False) -> None:
        self.mesh = Mesh(sampling=sampling, b3=b3)
        self.views: dict[str, list[View]] = defaultdict(list)
        self._allowances: dict[str, Allowance] = {}
        self._encoder = Encoder()
        self._covered = Covered()
        self._kept_out: Mapping[taking.Key, taking.KeptOut] = {}
        self._turning = Turning()
        self._interested: dict[ServiceName, dict[View, None]] = defaultdict(dict)

    def connect(self, proxy_id: str) -> View:
        """A proxy's stream begins. A proxy may have several for a while (a restart, a half-dead connection)."""
        view = View(proxy_id, self._encoder, self._allowances.setdefault(proxy_id, Allowance()))
        if proxy := self.mesh.proxies.get(proxy_id):
            _bring([view], partial(View.serve, mesh=self.mesh, proxy=proxy))
            for older in self.views.get(proxy_id, ()):
                _bring([view], partial(View.succeed, mesh=self.mesh, older=older))
        self.views[proxy_id].append(view)
        self._note(view)
        for older in self.views[proxy_id][:-_MOST_STREAMS]:
            older.superseded = True
        return view

    def disconnect(self, view: View) -> None:
        """A proxy's stream has ended."""
        self.views[view.proxy_id].remove(view)
        if not self.views[view.proxy_id]:
            del self.views[view.proxy_id], self._allowances[view.proxy_id]
        self._note(view)
        for service in view.services:
            self._leave(view, service)

    def receive(self, view: View, request: Request, now: float = 0.0) -> Touched:
        """A proxy's request; raises nothing for what a faulty proxy may say.

        now: in seconds, on a clock that only goes forward, the same for all calls.
        """
        if request.type_url not in _KINDS:
            return Touched()
        events = view.session.receive(view.within_budget(self.mesh, request))
        _bring([view], partial(View.receive, mesh=self.mesh, events=events, now=now))
        return Touched((view,), self._note(view), self._faults([view]))

    def evict(self, now: float) -> Touched:
        """To be called now and then: proxies begin to let go of what they hold and nobody needs. See eviction.py."""
        evicting: list[View] = []

        def evict(view: View) -> None:
            if view.evict(now):
                evicting.append(view)

        _bring(self._all(), evict)
        return Touched(tuple(evicting))

    def idles(self, proxy_id: str, clusters: Collection[str]) -> None:
        """These clusters of the proxy's newest Envoy have had no call for long, and have none now."""
        for view in self.views.get(proxy_id, ())[-1:]:
            view.idles(clusters)

    def connects_to(self, proxy_id: str, service: ServiceName) -> Touched:
        """A program of the proxy has asked for a service's address, and will connect to it."""
        views = self.views.get(proxy_id, ())
        for view in views:
            for workload in view.proxy.workloads if view.proxy else ():
                view.connecting.connects_to(self.mesh, workload, service)
        learned = tuple(news for view in views for news in self._note(view))
        return Touched(tuple(views), learned, self._faults(views))

    def apply(self, snapshot: Snapshot) -> Touched:
        """The mesh has changed."""
        return self.take(self.worked_out(snapshot))

    def worked_out(self, snapshot: Snapshot) -> Taken:
        """What will become of the mesh with a snapshot; for `take`. Changes nothing, so another thread may do it."""
        return taking.take(self.mesh, snapshot, self._kept_out)

    def take(self, taken: Taken) -> Touched:
        """The mesh is now this one, which was made of the one before: what differs is told."""
        mesh, changed, self._kept_out = taken.mesh, taken.changed, taken.kept_out
        self._turning = turned(self._turning, self.mesh, mesh)
        self.mesh = with_turning(mesh, self._turning)
        touched: dict[View, None] = {}

        def bring(views: Iterable[View], update: Callable[[View], None]) -> None:
            views = tuple(views)
            touched.update(dict.fromkeys(views))
            _bring(views, update)

        for service in changed.services:
            bring(self.holders(service), partial(View.update, mesh=self.mesh, service=service))
            bring(self._serving(service), partial(View.refresh_doors, mesh=self.mesh))
        for wildcard in changed.wildcards:
            bring(self._beneath(wildcard), partial(View.update_beneath, mesh=self.mesh, wildcard=wildcard))
        for service in changed.endpoints:
            bring(self.holders(service), partial(View.update_endpoints, mesh=self.mesh, service=service))
        for proxy_id in changed.proxies:
            if proxy := self.mesh.proxies.get(proxy_id):
                bring(self.views.get(proxy_id, ()), partial(View.serve, mesh=self.mesh, proxy=proxy))
        if changed.everything or self.mesh.declared.root_namespace in changed.scopes:
            bring(self._all(), partial(View.update_all, mesh=self.mesh))
        elif changed.scopes:
            bring(self._in(changed.scopes), partial(View.update_all, mesh=self.mesh))
        if changed.names or changed.wildcards or self.mesh.declared.root_namespace in changed.policed:
            bring(self._all(), partial(View.refresh_doors, mesh=self.mesh))
        elif changed.policed:
            bring(self._in(changed.policed), partial(View.refresh_doors, mesh=self.mesh))
        if (
            changed.services
            or changed.wildcards
            or changed.scopes
            or changed.policed
            or changed.names
            or changed.everything
        ):
            bring((view for view in self._all() if view.mistakes), partial(View.retry, mesh=self.mesh))
        learned = tuple(news for view in touched for news in self._note(view))
        own = (Fault("", mistake.part, self.mesh.revision, mistake.error) for mistake in taken.mistakes)
        return Touched(tuple(touched), learned, (*own, *self._faults(touched)))

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What of the mesh could not be taken in, by our own mistake, and why."""
        return [(taking.words(key), kept.why) for key, kept in self._kept_out.items()]

    def beat(self) -> Touched:
        """A second has gone by: doors are opened and closed for plain text, as far as all is ready for it. See turning.py."""
        if not self._turning:
            return Touched()
        before = self._turning
        called = services_of(self.mesh, (*before.opening, *before.closing))
        told = cache(lambda service: all(view.told(service) for view in self.holders(service)))
        self._turning = beaten(before, self.mesh, self._is_open, lambda member: all(map(told, called[member])))
        self.mesh = with_turning(self.mesh, self._turning)
        touched: dict[View, None] = {}
        opened = before.opening.keys() - self._turning.opening.keys()
        for service in {service for member in opened for service in called[member]}:
            touched.update(dict.fromkeys(self.holders(service)))
            _bring(self.holders(service), partial(View.update_endpoints, mesh=self.mesh, service=service))
        closed = before.closing.keys() - self._turning.closing.keys()
        doors = [view for proxy in {proxy for proxy, _ in closed} for view in self.views.get(proxy, ())]
        touched.update(dict.fromkeys(doors))
        _bring(doors, partial(View.refresh_doors, mesh=self.mesh))
        return Touched(tuple(touched), faults=self._faults(touched))

    def _is_open(self, member: Member) -> bool:
        proxy, workload = member
        views = self.views.get(proxy, ())
        return bool(views) and all(view.takes_calls(workload) for view in views)

    def holders(self, service: ServiceName) -> tuple[View, ...]:
        """The views that asked for a service."""
        return tuple(self._interested.get(service, ()))

    def _note(self, view: View) -> tuple[Learned, ...]:
        news = view.news()
        held = view.services
        for service in news.gained:
            if service in held:
                self._interested[service][view] = None
                self._covered.add(service)
        for service in news.lost:
            if service not in held:
                self._leave(view, service)
        return tuple(
            Learned(caller, callee)
            for caller, callee in news.learned
            if callee not in self.mesh.callees.get(caller, ()) and is_lasting(self.mesh, callee)
        )

    def _faults(self, views: Iterable[View]) -> tuple[Fault, ...]:
        found: list[Fault] = []
        for view in views:
            news, view.mistakes.news = view.mistakes.news, []
            found += (Fault(view.proxy_id, one.part, self.mesh.revision, one.error) for one in news)
        return tuple(found)

    def _leave(self, view: View, service: ServiceName) -> None:
        holders = self._interested[service]
        holders.pop(view, None)
        if not holders:
            del self._interested[service]
            self._covered.discard(service)
            self._encoder.forget(service)

    def _all(self) -> list[View]:
        return [view for views in self.views.values() for view in views]

    def _serving(self, name: ServiceName) -> list[View]:
        """The views of the service's own instances."""
        service = self.mesh.services.get(name)
        return [view for i in (service.instances if service else ()) for view in self.views.get(i.proxy, ())]

    def _beneath(self, wildcard: str) -> list[View]:
        """The views that hold something that the wildcard covers."""
        holders = (self._interested[service] for service in self._covered.beneath(wildcard))
        return list(dict.fromkeys(view for views in holders for view in views))

    def _in(self, namespaces: Collection[str]) -> list[View]:
        """The views of workloads of these namespaces."""
        return [
            view
            for view in self._all()
            if view.proxy and any(w.service.namespace in namespaces for w in view.proxy.workloads)
        ]


def _bring(views: Iterable[View], update: Callable[[View], None]) -> None:
    """Each for itself. What a view does not expect itself is at its own cost, and nobody else's."""
    for view in views:
        try:
            update(view)
        except Exception as error:
            view.fail(error)
