"""What TCP connections that last have carried: Envoy's counters have nothing of these, it says so by a line now and then.

Each line tells all that a connection has carried so far, so that one which is lost is made up for by the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tulle.agent.figures.families import BY_NAME, Family
from tulle.model.open_connections import BYTES, CONNECTION, ENDED, MOMENT
from tulle.model.packed_tags import unpacked

_PREFIX = "istio_"
_MOST = 20_000

Carried = Callable[[Family, Mapping[str, str], int], None]


class OpenConnections:
    """Of one process of Envoy. carried: told the tags of a series, and how many bytes there are more of it."""

    def __init__(self, carried: Carried, most: int = _MOST) -> None:
        self._carried = carried
        self._most = most
        self._known: dict[int, dict[str, int]] = {}

    def said(self, line: bytes) -> None:
        """As translate/telemetry/metrics.py has it written. Of too many connections some are counted when they end."""
        try:
            said = json.loads(line)
        except ValueError:  # something else was written in between
            return
        connection = said.get(CONNECTION)
        if not isinstance(connection, int):
            return
        has_ended = said.get(MOMENT) == ENDED
        if connection not in self._known and not has_ended and len(self._known) >= self._most:
            return
        before = self._known.pop(connection, {})
        now = {name: self._count(name, value, before.get(name, 0)) for name, value in said.items()}
        if not has_ended:
            self._known[connection] = now

    def _count(self, name: str, value: Any, before: int) -> int:
        family = BY_NAME.get(f"{_PREFIX}{name}")
        if family is None or not isinstance(value, dict):
            return 0
        total = value.pop(BYTES, 0)
        if not isinstance(total, int) or total <= before:
            return before
        self._carried(family, unpacked({tag: str(text) for tag, text in value.items()}), total - before)
        return total
