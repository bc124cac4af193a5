"""The services that a proxy's doors need by themselves: who decides on requests (CUSTOM policies), who takes logs and spans.

They are demands of nobody's asking: kept up to date as what is called is, and let go with the door. A door waits for who decides,
as nothing may come in before that can be asked. It never waits for those that are only told of calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from tulle.ir.routes import BackendRef
from tulle.ir.types import Inbound, Outbound
from tulle.model.names import Destination, ServiceName
from tulle.model.workload import Capture, Workload
from tulle.pipeline.demands import Demand, collectors_of
from tulle.pipeline.picture import Encoder, needed
from tulle.pipeline.reaching import Reaching
from tulle.resolve.mesh import Mesh
from tulle.translate import names
from tulle.xds.resources import Key

_Needed = dict[Demand, tuple[ServiceName, BackendRef | None]]


class Needing:
    def __init__(self, reaching: Reaching, encoder: Encoder) -> None:
        self._reaching = reaching
        self._encoder = encoder
        self._by_door: dict[str, tuple[Demand, ...]] = {}

    def needs(self, mesh: Mesh, workload: Workload, door: Inbound | Outbound) -> tuple[Key, ...]:
        """What the door's listener requires of the service that decides, if there is one."""
        deciding, told = _deciding(door), _told(door)
        required: list[Key] = []
        for demand, (service, backend) in {**deciding, **told}.items():
            reached = needed(mesh, self._encoder, workload, service, backend)
            self._reaching.need(demand, reached)
            if demand in deciding:
                required += (resource.key for resource in reached.resources)
        before = self._by_door.get(_name(door), ())
        self._by_door[_name(door)] = now = (*deciding, *told)
        for demand in before:
            if demand not in now:
                self._reaching.need_no_more(demand)
        return tuple(required)

    def keep(self, doors: Iterable[Inbound | Outbound]) -> None:
        """All other doors are gone."""
        for name in self._by_door.keys() - set(map(_name, doors)):
            for demand in self._by_door.pop(name):
                self._reaching.need_no_more(demand)

    def concerns(self, demands: Iterable[Demand]) -> bool:
        """Whether some of them are such services."""
        own = {demand for of_door in self._by_door.values() for demand in of_door}
        return not own.isdisjoint(demands)


def _name(door: Inbound | Outbound) -> str:
    return names.inbound_listener(door.workload) if isinstance(door, Inbound) else door.route_config


def _deciding(door: Inbound | Outbound) -> _Needed:
    asked = door.authorizer if isinstance(door, Inbound) else None
    if asked is None or asked.service is None:
        return {}
    return {Demand(_name(door), Destination(asked.service, 0)): (asked.service, asked.backend)}


def _told(door: Inbound | Outbound) -> _Needed:
    if isinstance(door, Outbound) and door.capture is Capture.NONE:
        return {}
    found: _Needed = {}
    for one in door.telemetry.collectors:
        if one.service is not None:
            port = one.backend.destination.port if one.backend else 0
            demand = Demand(collectors_of(_name(door)), Destination(one.service, port), one.timeout)
            found[demand] = (one.service, one.backend)
    return found
