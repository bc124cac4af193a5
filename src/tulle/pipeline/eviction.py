"""What is being taken away from a sidecar so that it asks anew if it needs it, and how that is done without failing a call.

Envoy asks for a name once. If what it was given is then removed, it never asks again, and forgets no name that has nothing
behind it. But when a route configuration comes with another source of virtual hosts, Envoy subscribes anew: it drops all names
that it asked for, forgets the empty answers, and goes on serving the virtual hosts that it holds (measured with 1.40). So:

1. the source is changed in something that means nothing (the epoch: how long a first answer is waited for);
2. once Envoy has acknowledged that, what has to go is removed: virtual hosts first, then what only they required;
3. the next call of one of them asks again, as the first did.

What is asked for meanwhile is asked on behalf of a call that waits: it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from tulle.pipeline.demands import Demand

# At least between two of them for one sidecar: each has Envoy look at all of its names.
PAUSE_SECONDS = 60.0
# Of so many services or fewer, none is taken away because it is idle.
KEPT_SERVICES = 50


class Eviction:
    """The one that is under way, if any."""

    def __init__(self) -> None:
        self._demands: dict[Demand, None] = {}
        self._refused: dict[str, None] = {}
        self._awaited: set[str] = set()
        self._begun: float | None = None

    def may_begin(self, now: float) -> bool:
        return self._begun is None or now - self._begun >= PAUSE_SECONDS

    def begin(
        self, demands: Iterable[Demand], refused: Iterable[str], route_configs: Iterable[str], now: float
    ) -> None:
        """Demands, and names that were refused, are to go when the route configurations are acknowledged."""
        self._begun = now
        self._demands, self._refused = dict.fromkeys(demands), dict.fromkeys(refused)
        self._awaited = set(route_configs)

    def asked(self, demand: Demand) -> None:
        """Somebody calls it right now."""
        self._demands.pop(demand, None)

    def refused(self, name: str) -> None:
        """It is asked for right now, and the answer is the same."""
        self._refused.pop(name, None)

    def acknowledged(self, route_config: str) -> bool:
        """In its newest version. True: that was the last one, and what is left to go can go."""
        if route_config not in self._awaited:
            return False
        self._awaited.discard(route_config)
        return not self._awaited

    def end(self) -> tuple[list[Demand], list[str]]:
        """What goes now: demands, and refused names."""
        gone = list(self._demands), list(self._refused)
        self._demands, self._refused = {}, {}
        return gone
