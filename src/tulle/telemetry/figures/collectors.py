"""Which collectors have not taken what sidecars sent them, and how much: since the start, and lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tulle.telemetry.figures.report import MOST_COLLECTORS
from tulle.telemetry.figures.ring import Ring

LATELY = 300.0  # seconds
_SLOT = 5.0
_SLOTS = int(LATELY // _SLOT)


class Collectors:
    """By `host:port`, in deliveries. clock: in seconds, only goes forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.totals: dict[str, float] = {}
        self._rings: dict[str, Ring] = {}

    def add(self, told: Mapping[str, float]) -> None:
        """What a sidecar tells, by how much it has grown. Of too many collectors those that come last are left out."""
        slot = int(self._clock() // _SLOT)
        for name, number in told.items():
            if name in self.totals or len(self.totals) < MOST_COLLECTORS:
                self.totals[name] = self.totals.get(name, 0.0) + number
                self._rings.setdefault(name, Ring(_SLOTS, 1)).add(slot, [number])

    def lately(self) -> dict[str, int]:
        """Those that have not taken something, by name."""
        last = int(self._clock() // _SLOT)
        found = {name: self._rings[name].total(last - _SLOTS + 1, last).numbers[0] for name in sorted(self._rings)}
        return {name: round(number) for name, number in found.items() if number}
