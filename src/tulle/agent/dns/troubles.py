"""What is told of troubles: the first of a kind, and then not again for a while. A program may ask a thousand times a second."""

from __future__ import annotations

from collections.abc import Callable

from tulle.agent.console import Console

_QUIET_SECONDS = 60


class Troubles:
    """Warns the user, seldom."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._told: dict[str, float] = {}

    def tell(self, kind: str, message: str) -> None:
        now = self._clock()
        if kind not in self._told or now - self._told[kind] > _QUIET_SECONDS:
            self._told[kind] = now
            self._console.warning(message)
