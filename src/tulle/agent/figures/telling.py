"""What the control plane is told: by how much each flow has grown since what it has confirmed.

A report that was sent and not confirmed is sent again as it is: the control plane, which may have it, tells by its number.
What comes meanwhile is in the next one. So nothing is told twice, and nothing is missing but what the agent's end cuts off.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tulle.agent.figures.families import BY_NAME
from tulle.agent.figures.totals import Flow, Totals, Values

MOST_SERIES = 500  # of one report, some 2 KB each


class Telling:
    """clock: in seconds, only goes forward. boot: of this agent's start, no other has it."""

    def __init__(
        self, totals: Totals, boot: str, clock: Callable[[], float], lost: Callable[[], dict[str, int]]
    ) -> None:
        self._totals = totals
        self._boot = boot
        self._clock = clock
        self._lost = lost
        self._since = clock()
        self._number = 0
        self._sent: bytes | None = None

    @property
    def has_more(self) -> bool:
        """Whether there is anything that was not confirmed."""
        fresh = bool(self._totals.collectors.fresh) or any(flow.fresh for flow in self._totals.flows)
        return self._sent is not None or fresh

    def report(self) -> bytes:
        """The one to be sent now, as JSON."""
        if self._sent is None:
            now = self._clock()
            self._number += 1
            fresh = [flow for flow in self._totals.flows if flow.fresh][:MOST_SERIES]
            told = {
                "boot": self._boot,
                "number": self._number,
                "seconds": round(now - self._since, 3),
                "series": [_told(flow) for flow in fresh],
                "lost": self._lost(),
                "collectors": self._totals.collectors.told(),
            }
            self._sent = json.dumps(told, separators=(",", ":")).encode()
            for flow in fresh:
                flow.fresh = {}
            if not any(flow.fresh for flow in self._totals.flows):
                self._since = now
        return self._sent

    def confirmed(self) -> None:
        """The control plane has it."""
        self._sent = None


def _told(flow: Flow) -> dict[str, Any]:
    """Without what is 0."""
    return {"labels": dict(flow.labels), **{k: v for k, v in _values(flow.fresh).items() if v}}


def _values(fresh: Values) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, values in fresh.items():
        family = BY_NAME[name]
        if family.label == "duration":
            each = [now - before for before, now in pairwise([0.0, *values[1:]])]
            told["duration"] = {"sum": _number(values[0]), "buckets": list(map(_number, each))}
        else:
            told[family.label] = _number(values[0])
    return told


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 3)
