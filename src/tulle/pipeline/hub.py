"""START HERE. The mesh, and every proxy that is connected to it: who must be told of what.

    snapshot ─▶ index.apply ─▶ Mesh + the names that changed ─▶ the views that hold one of them ─▶ their sessions
    request  ─▶ session.receive ─▶ events ─▶ the view's demands ─▶ its session

A change costs what it touches: `apply` visits only the views that asked for a service that changed.
"""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.pipeline.picture import Encoder
from tulle.pipeline.view import View
from tulle.resolve import index
from tulle.resolve.index import Mesh
from tulle.xds.requests import Request


class Learned(Struct, frozen=True):
    """A service has called a destination for the first time: worth remembering for its next instance."""

    caller: ServiceName
    callee: Destination


class Touched(Struct, frozen=True):
    """What came of an input: the views with something to send, and what was learned."""

    views: tuple[View, ...] = ()
    learned: tuple[Learned, ...] = ()


class Hub:
    """All views of one mesh. Not thread-safe; one event loop drives it."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.views: dict[str, list[View]] = defaultdict(list)
        self._encoder = Encoder()
        self._interested: dict[ServiceName, dict[int, View]] = defaultdict(dict)

    def connect(self, proxy_id: str) -> View:
        """A proxy's stream begins. A proxy may have two for a while (a restart, a half-dead connection)."""
        view = View(proxy_id, self._encoder)
        self.views[proxy_id].append(view)
        if proxy := self.mesh.proxies.get(proxy_id):
            view.serve(self.mesh, proxy)
            self._note(view)
        return view

    def disconnect(self, view: View) -> None:
        """A proxy's stream has ended."""
        self.views[view.proxy_id].remove(view)
        if not self.views[view.proxy_id]:
            del self.views[view.proxy_id]
        for service in view.services:
            holders = self._interested[service]
            holders.pop(id(view), None)
            if not holders:
                del self._interested[service]

    def receive(self, view: View, request: Request) -> Touched:
        """A proxy's request; raises nothing for what a faulty proxy may say."""
        events = view.session.receive(request)
        view.receive(self.mesh, events)
        return Touched((view,), self._note(view))

    def apply(self, snapshot: Snapshot) -> Touched:
        """The mesh has changed."""
        self.mesh, changed = index.apply(self.mesh, snapshot)
        touched: dict[int, View] = {}
        for service in changed.services:
            for view in self.holders(service):
                view.update(self.mesh, service)
                touched[id(view)] = view
        for service in changed.endpoints:
            for view in self.holders(service):
                view.update_endpoints(self.mesh, service)
                touched[id(view)] = view
        for proxy_id in changed.proxies:
            if proxy := self.mesh.proxies.get(proxy_id):
                for view in self.views.get(proxy_id, ()):
                    view.serve(self.mesh, proxy)
                    touched[id(view)] = view
        if changed.namespaces:
            for view in self._all():
                view.refresh_doors(self.mesh)
                touched[id(view)] = view
        return Touched(tuple(touched.values()), tuple(n for view in touched.values() for n in self._note(view)))

    def holders(self, service: ServiceName) -> tuple[View, ...]:
        """The views that asked for a service."""
        return tuple(self._interested.get(service, {}).values())

    def _note(self, view: View) -> tuple[Learned, ...]:
        news = view.news()
        for service in news.interests:
            self._interested[service][id(view)] = view
        return tuple(
            Learned(caller, callee)
            for caller, callee in news.learned
            if callee not in self.mesh.callees.get(caller, ())
        )

    def _all(self) -> list[View]:
        return [view for views in self.views.values() for view in views]
