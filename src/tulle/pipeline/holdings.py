"""What demands have made of a session's wants: each resource is wanted as long as some demand needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.model.names import ServiceName
from tulle.pipeline.demands import Demand
from tulle.pipeline.picture import Reach
from tulle.xds.resources import Key, Resource
from tulle.xds.session import Session


class HoldsOf(Struct):
    """Whether all that was made of a declared resource is acknowledged, and why something of it was refused."""

    acknowledged: bool = True
    rejection: str = ""


class Holdings:
    """By demand. Resources that several demands share go with the last."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reached: dict[Demand, Reach] = {}
        self._users: Counter[Key] = Counter()

    def __iter__(self) -> Iterator[tuple[Demand, Reach]]:
        return iter(list(self._reached.items()))

    def get(self, demand: Demand) -> Reach | None:
        return self._reached.get(demand)

    def put(self, demand: Demand, reach: Reach) -> None:
        """From now on the demand needs this, and nothing else."""
        before = self._reached.get(demand)
        self._reached[demand] = reach
        for resource in reach.resources:
            self._session.want(resource)
            self._users[resource.key] += 1
        self._let_go(before.resources if before else ())

    def drop(self, demand: Demand) -> None:
        """The demand needs nothing any more."""
        reached = self._reached.pop(demand, None)
        self._let_go(reached.resources if reached else ())

    def backends(self, demands: Iterable[Demand], service: ServiceName) -> Collection[BackendRef]:
        """The backends of a service to which these demands may lead, each once."""
        reached = (self._reached[demand] for demand in demands if demand in self._reached)
        return dict.fromkeys(ref for one in reached for ref in one.backends if ref.destination.service == service)

    def leading_to(self, demands: Iterable[Demand], ref: BackendRef) -> list[Demand]:
        """Those of the demands that may lead to a backend."""
        return [demand for demand in demands if demand in self._reached and ref in self._reached[demand].backends]

    def made_of(self, sources: Container[str]) -> set[Key]:
        """What is needed that is made of some of these declared resources."""
        return {
            key
            for reached in self._reached.values()
            for source, keys in reached.sources
            if source in sources
            for key in keys
        }

    def in_force(
        self,
        refused: Mapping[Demand, str],
        sources: Container[str] | None,
        standing: Iterable[tuple[str, tuple[Key, ...]]] = (),
    ) -> dict[str, HoldsOf]:
        """What is held of declared resources, of all or of these, by resource.

        refused: demands of which the proxy took nothing, or which could not be made as they should be, and why.
        """
        rejections = {(r.type_url, r.name): r.message for r in self._session.rejections}
        found: dict[str, HoldsOf] = {}

        def note(source: str, keys: tuple[Key, ...], refusal: str = "") -> None:
            if sources is not None and source not in sources:
                return
            one = found.setdefault(source, HoldsOf())
            why = refusal or next((rejections[key] for key in keys if key in rejections), "")
            one.rejection = one.rejection or why
            acknowledged = not why and all(self._session.acknowledged(*key) for key in keys)
            one.acknowledged = one.acknowledged and acknowledged

        for demand, reached in self._reached.items():
            for source, keys in reached.sources:
                note(source, keys, refused.get(demand, ""))
        for source, keys in standing:
            note(source, keys)
        return found

    def _let_go(self, made: Iterable[Resource]) -> None:
        for resource in made:
            self._users[resource.key] -= 1
            if not self._users[resource.key]:
                del self._users[resource.key]
                self._session.unwant(*resource.key)
