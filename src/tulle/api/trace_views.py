"""What the API shows of traces. As views.py: a field may be added; none is renamed or taken away."""

from __future__ import annotations

from msgspec import Struct

from tulle.telemetry.traces.span import Value


class RootView(Struct):
    service: str
    name: str


class TraceLine(Struct):
    """start: Unix time in seconds."""

    id: str
    start: float
    duration_ms: float
    spans: int
    errors: int
    root: RootView
    services: list[str]


class LostSpansView(Struct):
    """Spans that nobody will see, since the control plane's start: lost by itself, and by agents.

    traces: that made room for others. largest, share: who has told most of what is kept, "" for who is no sidecar, and how
    much of it, 0 to 1.
    """

    here: int
    by_agents: int
    trouble: str = ""
    traces: int = 0
    largest: str = ""
    share: float = 0.0


class TracesView(Struct):
    traces: list[TraceLine]
    lost: LostSpansView


class EventView(Struct):
    time: float
    name: str
    attributes: dict[str, Value]


class SpanView(Struct):
    """parent: None for the first. service: `web.default`. instance: "" if it is not known."""

    id: str
    parent: str | None
    service: str
    instance: str
    name: str
    kind: str
    start: float
    duration_ms: float
    error: bool
    attributes: dict[str, Value]
    events: list[EventView]
    scope: str


class TraceView(Struct):
    id: str
    spans: list[SpanView]
