"""What one proxy has asked for: destinations, and the names by which it did, verbatim. All of it is bounded.

A name comes from a Host header, so whoever can call through a sidecar can make it ask. Names that the mesh does not know
have a budget of their own: they must not crowd out services.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.names import Destination, ServiceName
from tulle.resolve.hosts import covers
from tulle.xds.requests import WILDCARD, Request
from tulle.xds.resources import VHDS

MOST_SERVICES = 1000
MOST_STRANGERS = 1000
MOST_NAMES = 5000  # on one stream, answered or not
_MOST_SPELLINGS = 16  # of one destination: four hosts, with and without the port, and some to spare


class Demand(Struct, frozen=True):
    """A destination that a workload, known by its route configuration, wants to reach."""

    route_config: str
    destination: Destination


class Demands:
    """A demand is a stranger until its service is known.

    gained, lost: the services on which the first demand has come to depend, and no demand depends any more, in their order;
    for the owner to empty.
    """

    def __init__(self) -> None:
        self._names: dict[Demand, tuple[str, ...]] = {}
        self._uses: dict[Demand, frozenset[ServiceName]] = {}
        self._by_service: dict[ServiceName, dict[Demand, None]] = {}
        self._strangers: set[Demand] = set()
        self.gained: list[ServiceName] = []
        self.lost: list[ServiceName] = []
        self._asked = 0

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Demand]:
        return iter(self._names)

    @property
    def services(self) -> Collection[ServiceName]:
        return self._by_service.keys()

    def of(self, service: ServiceName) -> Sequence[Demand]:
        """The demands that depend on a service."""
        return tuple(self._by_service.get(service, ()))

    def beneath(self, wildcard: str) -> Sequence[Demand]:
        """The demands that depend on a host which the wildcard covers."""
        return [d for d, uses in self._uses.items() if any(covers(wildcard, service.host) for service in uses)]

    def names(self, demand: Demand) -> tuple[str, ...]:
        """By which it was asked for; none for a remembered callee."""
        return self._names[demand]

    def within_budget(self, request: Request) -> Request:
        """The request without the names that go beyond what one stream may ask for; they stay without an answer."""
        if request.type_url != VHDS:
            return request
        left = max(0, MOST_NAMES - self._asked)
        self._asked += len(request.subscribe)
        if len(request.subscribe) <= left:
            return request
        first = [name for name in request.subscribe if name == WILDCARD]
        return replace(request, subscribe=(*first, *[n for n in request.subscribe if n != WILDCARD][:left]))

    def add(self, demand: Demand, names: Iterable[str], known: bool) -> bool:
        """Note a demand, or more names of it. False: that is more than the budget, and nothing is noted."""
        before = self._names.get(demand)
        if before is None:
            strangers = len(self._strangers)
            if (len(self._names) - strangers >= MOST_SERVICES) if known else (strangers >= MOST_STRANGERS):
                return False
            self.relate(demand, frozenset({demand.destination.service}))
            if not known:
                self._strangers.add(demand)
        spellings = tuple(dict.fromkeys((*(before or ()), *names)))
        if len(spellings) > _MOST_SPELLINGS:
            return False
        self._names[demand] = spellings
        return True

    def relate(self, demand: Demand, uses: frozenset[ServiceName]) -> None:
        """The services on which it depends now."""
        before = self._uses.get(demand, frozenset())
        self._uses[demand] = uses
        for service in uses - before:
            if service not in self._by_service:
                self._by_service[service] = {}
                self.gained.append(service)
            self._by_service[service][demand] = None
        for service in before - uses:
            demands = self._by_service[service]
            del demands[demand]
            if not demands:
                del self._by_service[service]
                self.lost.append(service)

    def met(self, demand: Demand) -> None:
        """Its service is known now."""
        self._strangers.discard(demand)
