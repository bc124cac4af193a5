"""What one proxy lets go of, and when: eviction.py's steps, from the choice of what nobody needs to the last acknowledgement."""

from __future__ import annotations

from collections.abc import Iterable

from tulle.pipeline.asking import Asking
from tulle.pipeline.eviction import Eviction
from tulle.pipeline.reaching import Reaching
from tulle.pipeline.standing import Standing
from tulle.xds.requests import Accepted
from tulle.xds.resources import RDS
from tulle.xds.session import Session


class LettingGo:
    def __init__(
        self, session: Session, standing: Standing, reaching: Reaching, asking: Asking, eviction: Eviction
    ) -> None:
        self._session = session
        self._standing = standing
        self._reaching = reaching
        self._asking = asking
        self._eviction = eviction
        self._idle: frozenset[str] = frozenset()

    def idles(self, clusters: Iterable[str]) -> None:
        """These clusters of the proxy have had no call for long; the next `begin` thinks of it."""
        self._idle = frozenset(clusters)

    def begin(self, now: float) -> bool:
        """Begin to take away strangers that are too many or too old, and idle services if there are many. False: nothing to do.

        It goes on when the proxy acknowledges.
        """
        if not self._eviction.may_begin(now):
            return False
        demands = [*self._reaching.demands.stale(now), *self._reaching.idle(self._idle)]
        self._idle = frozenset()
        routes = self._standing.route_configs
        if not (demands or self._asking.refused) or not all(self._session.holds(RDS, name) for name in routes):
            return False
        self._eviction.begin(demands, self._asking.refused, routes, now)
        self._standing.turn()
        return True

    def accept(self, event: Accepted) -> None:
        """The proxy has taken a resource into use."""
        if event.type_url != RDS or not self._session.acknowledged(RDS, event.name):
            return
        if self._eviction.acknowledged(event.name):
            demands, refused = self._eviction.end()
            for demand in demands:
                self._reaching.drop(demand)
            self._asking.forget(refused)
