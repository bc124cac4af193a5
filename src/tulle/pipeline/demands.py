"""What one proxy has asked for: destinations, and the names by which it did, verbatim. All of it is bounded.

A name comes from a Host header, so whoever can call through a sidecar can make it ask. Names that the mesh does not know
are strangers: they have a budget of their own, as they must not crowd out services, and they are not kept for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.pipeline.covered import Covered

MOST_SERVICES = 1000
MOST_STRANGERS = 1000
# Of strangers, more than so many, or one that is so old, are reason to take some away.
KEPT_STRANGERS = 200
STRANGER_SECONDS = 600.0
_MOST_SPELLINGS = 16  # of one destination: four hosts, with and without the port, and some to spare


class Demand(Struct, frozen=True):
    """A destination that a workload, known by its route configuration, wants to reach.

    timeout: of a collector's deliveries (BackendRef.telemetry_timeout), as providers of one service may differ in it; else 0.
    """

    route_config: str
    destination: Destination
    timeout: int = 0


def collectors_of(door: str) -> str:
    """In place of a route configuration: the door itself tells a service of calls, which the program may call as well."""
    return f"collectors of {door}"


class Demands:
    """A demand is a stranger unless a service of the mesh, or a declared host, is behind it; it may become one, or cease to be.

    gained, lost: the services on which the first demand has come to depend, and no demand depends any more, in their order;
    for the owner to empty.
    """

    def __init__(self) -> None:
        self._names: dict[Demand, tuple[str, ...]] = {}
        self._uses: dict[Demand, frozenset[ServiceName]] = {}
        self._by_service: dict[ServiceName, dict[Demand, None]] = {}
        self._covered = Covered()
        self._strangers: dict[Demand, float | None] = {}  # since when, the oldest first; None: to be seen
        self.gained: list[ServiceName] = []
        self.lost: list[ServiceName] = []

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Demand]:
        return iter(self._names)

    def __contains__(self, demand: Demand) -> bool:
        return demand in self._names

    @property
    def strangers(self) -> int:
        """How many of them are strangers."""
        return len(self._strangers)

    @property
    def services(self) -> Collection[ServiceName]:
        return self._by_service.keys()

    def of(self, service: ServiceName) -> Sequence[Demand]:
        """The demands that depend on a service."""
        return tuple(self._by_service.get(service, ()))

    def beneath(self, wildcard: str) -> Sequence[Demand]:
        """The demands that depend on a host which the wildcard covers."""
        found = (demand for service in self._covered.beneath(wildcard) for demand in self._by_service[service])
        return tuple(dict.fromkeys(found))

    def names(self, demand: Demand) -> tuple[str, ...]:
        """By which it was asked for; none for a remembered callee."""
        return self._names[demand]

    def add(self, demand: Demand, names: Iterable[str], known: bool, now: float | None = None) -> Sequence[str]:
        """Note a demand, or more names of it. Those that are beyond the budget: of a new demand none is noted, if it is itself.

        known: it is no stranger. now: in seconds, on any clock that only goes forward.
        """
        before = self._names.get(demand)
        spellings = tuple(dict.fromkeys((*(before or ()), *names)))
        if before is None:
            strangers = len(self._strangers)
            if (len(self._names) - strangers >= MOST_SERVICES) if known else (strangers >= MOST_STRANGERS):
                return spellings
            self.relate(demand, frozenset({demand.destination.service}))
            self.settle(demand, known, now)
        self._names[demand] = spellings[:_MOST_SPELLINGS]
        return spellings[_MOST_SPELLINGS:]

    def relate(self, demand: Demand, uses: frozenset[ServiceName]) -> None:
        """The services on which it depends now."""
        before = self._uses.get(demand, frozenset())
        self._uses[demand] = uses
        for service in uses - before:
            if service not in self._by_service:
                self._by_service[service] = {}
                self._covered.add(service)
                self.gained.append(service)
            self._by_service[service][demand] = None
        for service in before - uses:
            demands = self._by_service[service]
            del demands[demand]
            if not demands:
                del self._by_service[service]
                self._covered.discard(service)
                self.lost.append(service)

    def unrelate(self, demand: Demand) -> None:
        """What was related without being added depends on nothing any more."""
        self.relate(demand, frozenset())
        del self._uses[demand]

    def settle(self, demand: Demand, known: bool, now: float | None = None) -> None:
        """Whether it is a stranger from now on."""
        if known:
            self._strangers.pop(demand, None)
        else:
            self._strangers.setdefault(demand, now)

    def is_stranger(self, demand: Demand) -> bool:
        return demand in self._strangers

    def stale(self, now: float) -> list[Demand]:
        """The strangers to be taken away, the oldest first; none unless they are too many, or one of them is too old.

        Then more of them than must, so that this happens seldom.
        """
        for demand, since in self._strangers.items():
            if since is None:
                self._strangers[demand] = now
        ages = {demand: now - since for demand, since in self._strangers.items() if since is not None}
        many = len(ages) > KEPT_STRANGERS
        if not many and max(ages.values(), default=0.0) < STRANGER_SECONDS:
            return []
        old = sorted(ages, key=ages.__getitem__, reverse=True)
        beyond = len(old) - KEPT_STRANGERS // 2 if many else 0
        return [demand for n, demand in enumerate(old) if n < beyond or ages[demand] >= STRANGER_SECONDS / 2]

    def drop(self, demand: Demand) -> None:
        """Nobody asks for it any more."""
        self.relate(demand, frozenset())
        del self._uses[demand], self._names[demand]
        self._strangers.pop(demand, None)
