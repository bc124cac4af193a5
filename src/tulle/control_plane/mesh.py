"""The hub between the tasks: facts come in from one side and requests from the other; streams are woken, waiters told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection

from tulle.aio.changes import Changes
from tulle.control_plane.logs import plain
from tulle.control_plane.timeline import Timeline
from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.pipeline.hub import Hub, Learned, Touched
from tulle.pipeline.view import View
from tulle.registry.registry import Registry
from tulle.store.errors import StoreError
from tulle.xds.requests import Rejected, Request

_RETRY_SECONDS = 1.0
_FEW = 100  # resources that change at once
_TIDY_SECONDS = 10.0
_BEAT_SECONDS = 1.0
DECLARED = ("declared",)  # what is touched when a declared resource has changed in the mesh

_log = logging.getLogger(__name__)


class LiveMesh:
    """changes: touched with a proxy's id when its registration or its stream has changed, with DECLARED for resources.

    clock: in seconds, only goes forward. converged: told how long a sidecar took to acknowledge what was new for it.
    sampling: percent of new traces, where no document says it. b3: whether B3 headers are heeded.
    """

    def __init__(
        self,
        timeline: Timeline,
        clock: Callable[[], float] = time.monotonic,
        converged: Callable[[float], None] = lambda seconds: None,
        sampling: float = 1.0,
        *,
        b3: bool = False,
    ) -> None:
        self._converged = converged
        self._behind: dict[View, float] = {}
        self.hub = Hub(sampling, b3=b3)
        self.changes = Changes()
        self.timeline = timeline
        self._clock = clock
        self._wakes: dict[View, Callable[[], None]] = {}
        self._learned: dict[Learned, None] = {}
        self._has_learned = asyncio.Event()

    async def follow(self, snapshots: AsyncIterator[Snapshot], first: asyncio.Event) -> None:
        """Apply snapshots for ever; sets `first` after the first one, which is complete."""
        async for snapshot in snapshots:
            self.timeline.saw_facts(snapshot)
            touched = await self._applied(snapshot)
            self._spread(touched)
            for key in (*snapshot.proxies, *snapshot.services):
                self.changes.touch(key)
            if snapshot.resources:
                self.changes.touch(DECLARED)
            first.set()

    async def _applied(self, snapshot: Snapshot) -> Touched:
        """A large apply is worked out beside the event loop, which has leases to keep; the mesh changes here alone."""
        if len(snapshot.resources) <= _FEW:
            return self.hub.apply(snapshot)
        return self.hub.take(await asyncio.to_thread(self.hub.worked_out, snapshot))

    async def remember(self, registry: Registry) -> None:
        """Write down who calls whom, for ever. A store that can't be written holds no call up, only this."""
        trouble = ""
        while True:
            await self._has_learned.wait()
            self._has_learned.clear()
            while self._learned:
                learned = next(iter(self._learned))
                try:
                    await registry.learn(learned.caller, learned.callee)
                except StoreError as error:
                    if str(error) != trouble:
                        trouble = str(error)
                        _log.warning("can't remember that %s calls %s yet: %s", learned.caller, learned.callee, error)
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    trouble = ""
                    del self._learned[learned]

    def connect(self, proxy_id: str, wake: Callable[[], None]) -> View:
        view = self.hub.connect(proxy_id)
        self._wakes[view] = wake
        for older in self.hub.views[proxy_id]:
            if older.superseded:
                self._wakes[older]()
        self._saw(view)
        return view

    def receive(self, view: View, request: Request) -> None:
        before = set(view.rejections)
        touched = self.hub.receive(view, request, self._clock())
        for rejected in dict.fromkeys(r for r in view.rejections if r not in before):
            _say(view.proxy_id, rejected)
        self._spread(touched)

    def connects_to(self, proxy_id: str, service: ServiceName) -> None:
        """A program of the proxy will connect to the service's address."""
        self._spread(self.hub.connects_to(proxy_id, service))

    def idles(self, proxy_id: str, clusters: Collection[str]) -> None:
        """These clusters of the proxy's Envoy have had no call for long."""
        self.hub.idles(proxy_id, clusters)

    async def tidy(self) -> None:
        """Have sidecars let go of what they do not need, for ever."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            self.evict()

    async def keep_time(self) -> None:
        """Have doors opened and closed for plain text when all is ready for it, for ever."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self._spread(self.hub.beat())

    def evict(self) -> None:
        """Have those sidecars begin for which it is time."""
        self._spread(self.hub.evict(self._clock()))

    def disconnect(self, view: View) -> None:
        self.hub.disconnect(view)
        del self._wakes[view]
        self._behind.pop(view, None)
        self.timeline.lost(view)
        self.changes.touch(view.proxy_id)

    def wake(self, proxy_id: str) -> None:
        """Has the proxy's streams look at where they are."""
        for view in self.hub.views.get(proxy_id, ()):
            if wake := self._wakes.get(view):
                wake()

    def _spread(self, touched: Touched) -> None:
        for fault in touched.faults:
            _log.error(
                "tulle's own mistake: %s can't be made as of revision %d; %s keeps what it has of it",
                plain(fault.part),
                fault.revision,
                f"proxy {fault.proxy}" if fault.proxy else "the mesh",
                exc_info=fault.error,
            )
        for view in touched.views:
            if wake := self._wakes.get(view):
                wake()
            self._saw(view)
        if touched.learned:
            self._learned.update(dict.fromkeys(touched.learned))
            self._has_learned.set()

    def _saw(self, view: View) -> None:
        if not view.ready:
            self._behind.setdefault(view, self._clock())
        elif (since := self._behind.pop(view, None)) is not None:
            self._converged(self._clock() - since)
        self.timeline.saw(view)
        self.changes.touch(view.proxy_id)


def _say(proxy: str, rejected: Rejected) -> None:
    what = f"{rejected.type_url.rpartition('.')[2]} {plain(rejected.name)}"
    _log.warning("proxy %s rejects %s and keeps what it has: %s", proxy, what, plain(rejected.message))
