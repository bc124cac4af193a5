"""The services that decide on a proxy's requests (CUSTOM policies): what its doors need of them.

They are demands of nobody's asking: kept up to date as what is called is, and let go with the door.
"""

from __future__ import annotations

from collections.abc import Iterable

from tulle.ir.types import Inbound
from tulle.model.names import Destination
from tulle.model.workload import Workload
from tulle.pipeline.demands import Demand
from tulle.pipeline.picture import Encoder, authorizing
from tulle.pipeline.reaching import Reaching
from tulle.resolve.index import Mesh
from tulle.translate import names
from tulle.xds.resources import Key


class Authorizing:
    def __init__(self, reaching: Reaching, encoder: Encoder) -> None:
        self._reaching = reaching
        self._encoder = encoder
        self._by_door: dict[str, Demand] = {}

    def needs(self, mesh: Mesh, workload: Workload, door: Inbound) -> tuple[Key, ...]:
        """What the door's listener requires of the service that decides, if there is one."""
        listener = names.inbound_listener(door.workload)
        asked, before = door.authorizer, self._by_door.get(listener)
        if asked is None or asked.service is None:
            self._drop(listener)
            return ()
        demand = Demand(listener, Destination(asked.service, 0))
        reached = authorizing(mesh, self._encoder, workload, asked.service, asked.backend)
        self._reaching.need(demand, reached)
        if before is not None and before != demand:
            self._drop(listener)
        self._by_door[listener] = demand
        return tuple(resource.key for resource in reached.resources)

    def keep(self, workloads: Iterable[str]) -> None:
        """The doors of other workloads are gone."""
        for listener in self._by_door.keys() - set(map(names.inbound_listener, workloads)):
            self._drop(listener)

    def concerns(self, demands: Iterable[Demand]) -> bool:
        """Whether some of them are such services."""
        return not set(self._by_door.values()).isdisjoint(demands)

    def _drop(self, listener: str) -> None:
        demand = self._by_door.pop(listener, None)
        if demand is not None:
            self._reaching.need_no_more(demand)
