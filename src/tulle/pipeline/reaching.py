"""What one proxy's demands are made into, and made anew when what they depend on changes.

Who asked, and when, is asking.py's. A first answer that the proxy rejects is replaced by one that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tulle.model.names import Destination, ServiceName
from tulle.model.workload import Proxy, Workload
from tulle.pipeline.demands import Demand, Demands, collectors_of
from tulle.pipeline.eviction import KEPT_SERVICES
from tulle.pipeline.holdings import Holdings
from tulle.pipeline.mistakes import Mistakes, told
from tulle.pipeline.picture import Encoder, Reach, Unmade, reach, unmade
from tulle.resolve.callers import caller_of
from tulle.resolve.mesh import Mesh
from tulle.resolve.outbound import route_config
from tulle.resolve.services import is_lasting
from tulle.translate import names
from tulle.xds.requests import Rejected
from tulle.xds.resources import EDS, LDS, VHDS
from tulle.xds.session import Session


class Reaching:
    """proxy: as View's. rejected: the demands of which the proxy took nothing.

    failing: those that can't be made as they should be, and why; the proxy keeps what it has of each.
    learned: who of its workloads newly reaches which destinations; for the owner to empty.
    """

    def __init__(self, session: Session, encoder: Encoder, mistakes: Mistakes) -> None:
        self.proxy: Proxy | None = None
        self.demands = Demands()
        self.holdings = Holdings(session)
        self.rejected: dict[Demand, Rejected] = {}
        self.learned: list[tuple[ServiceName, Destination]] = []
        self.failing: dict[Demand, str] = {}
        self._mistakes = mistakes
        self._session = session
        self._encoder = encoder

    def demand(
        self, mesh: Mesh, demand: Demand, written: Iterable[str] = (), now: float | None = None
    ) -> Sequence[str]:
        """It is asked for, by these names. Those that are beyond the budget, of which nothing comes. now: as Hub's."""
        try:
            known = is_lasting(mesh, demand.destination)
        except Exception:  # which will come again below, and be noted
            known = False
        beyond = self.demands.add(demand, written, known, now)
        if demand in self.demands:
            self._reach(mesh, demand)
        return beyond

    def need(self, demand: Demand, made: Reach) -> None:
        """A door needs this, of nobody's asking."""
        self.holdings.put(demand, made)
        self.demands.relate(demand, made.uses)
        self._mend(demand)

    def need_no_more(self, demand: Demand) -> None:
        """No door needs it."""
        self.holdings.drop(demand)
        self.rejected.pop(demand, None)
        self._mend(demand)
        self.demands.unrelate(demand)

    def update(self, mesh: Mesh, demands: Iterable[Demand]) -> None:
        """What these depend on has changed."""
        for demand in demands:
            self.rejected.pop(demand, None)
            self._reach(mesh, demand)

    def update_endpoints(self, mesh: Mesh, service: ServiceName) -> None:
        """Only who serves a service has changed."""
        for demand in self.demands.of(service):
            rejected = self.rejected.get(demand)
            if rejected is not None and rejected.type_url == EDS:
                del self.rejected[demand]
                self._reach(mesh, demand)
            elif demand in self.failing:
                self._reach(mesh, demand)
        for workload in self.proxy.workloads if self.proxy else ():
            doors = (route_config(workload), names.inbound_listener(workload.id))
            own = {*doors, *map(collectors_of, doors)}
            demands = [d for d in self.demands.of(service) if d.route_config in own and d not in self.rejected]
            for ref in self.holdings.backends(demands, service):
                try:
                    made = self._encoder.made(mesh, caller_of(workload), ref)
                except Exception as error:
                    for demand in self.holdings.leading_to(demands, ref):
                        self._fail(demand, error)
                    continue
                for resource in made.resources if made else ():
                    self._session.want(resource)
                for demand in self.holdings.leading_to(demands, ref):
                    if demand not in self.demands:  # a door's: `_reach` mends the others
                        self._mend(demand)

    def retry(self, mesh: Mesh) -> None:
        """The facts have changed, in whatever: what could not be made may be made now."""
        for demand in list(self.failing):
            self._reach(mesh, demand)

    def anew(self, mesh: Mesh) -> None:
        """The ways out of its workloads have changed."""
        for demand in list(self.demands):
            self._reach(mesh, demand)

    def reject(self, mesh: Mesh, event: Rejected) -> None:
        """A first answer that the proxy rejects would leave the caller hanging: it is told so instead."""
        for demand, reached in self.holdings:
            if event.type_url == LDS or (event.type_url, event.name) not in {r.key for r in reached.resources}:
                continue
            host = names.virtual_host(demand.route_config, demand.destination)
            if demand not in self.rejected and not self._session.holds(VHDS, host):
                self.rejected[demand] = event
                self._reach(mesh, demand)

    def refuses(self, demand: Demand) -> bool:
        """Whether the proxy has rejected what a demand needs, or has no listener for it, as that is rejected or can't be made."""
        listener = names.tcp_listener(demand.route_config, demand.destination)
        fails = demand in self.failing or self._session.progress(LDS, listener) == "rejected"
        return demand in self.rejected or (fails and not self._session.holds(LDS, listener))

    def drop(self, demand: Demand) -> None:
        """Nobody needs it any more."""
        self.holdings.drop(demand)
        self.rejected.pop(demand, None)
        self._mend(demand)
        self.demands.drop(demand)

    def idle(self, clusters: frozenset[str]) -> Iterable[Demand]:
        """The services behind these clusters alone, if there are many.

        None that nobody asked for, as a door needs it; none for which there is a listener: a program keeps its address, and
        connects without asking again.
        """
        if not clusters or len(self.demands) - self.demands.strangers <= KEPT_SERVICES:
            return ()
        return [
            demand
            for demand, reached in self.holdings
            if demand in self.demands
            and reached.backends
            and not self.demands.is_stranger(demand)
            and all(names.backend(ref) in clusters for ref in reached.backends)
            and not any(resource.type_url == LDS for resource in reached.resources)
        ]

    def workload(self, config: str) -> Workload | None:
        """Whose route configuration it is."""
        workloads = self.proxy.workloads if self.proxy else ()
        return next((w for w in workloads if route_config(w) == config), None)

    def _reach(self, mesh: Mesh, demand: Demand) -> None:
        """Make what a demand needs, and let go of what it does not need any more."""
        workload = self.workload(demand.route_config)
        if self.proxy is None or workload is None:
            return
        rejection = self.rejected.get(demand)
        why = rejection.message if rejection else None
        asked = self.demands.names(demand)
        before = self.holdings.get(demand)
        try:
            after = reach(mesh, self._encoder, self.proxy, workload, demand.destination, asked, why)
            known = after.met and is_lasting(mesh, demand.destination)
        except Exception as error:  # one bad destination must not take the stream, and all others with it
            self._fail(demand, error)
            if before is not None:
                return
            after = unmade(workload, demand.destination, asked, self.failing[demand])
            self.holdings.put(demand, after)
            return
        self._mend(demand)
        self.holdings.put(demand, after)
        self.demands.relate(demand, after.uses)
        self.demands.settle(demand, known)
        if after.met and not (before and before.met):
            self.learned.append((workload.service, demand.destination))

    def _fail(self, demand: Demand, error: Exception) -> None:
        """It depends on what it did, and on all that is known of what it should be now."""
        before = self.holdings.get(demand)
        uses = frozenset({demand.destination.service}) | (before.uses if before else frozenset())
        if isinstance(error, Unmade):
            uses |= error.uses
            error = error.__cause__ if isinstance(error.__cause__, Exception) else error
        self.demands.relate(demand, uses)
        self.failing[demand] = told(error)
        self._mistakes.note(_words(demand), error)

    def _mend(self, demand: Demand) -> None:
        if self.failing.pop(demand, None) is not None:
            self._mistakes.mended(_words(demand))


def _words(demand: Demand) -> str:
    return f"{demand.destination} in {demand.route_config}"
