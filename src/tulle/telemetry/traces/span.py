"""One span, and one trace in few words, as they are kept. Times are Unix time in nanoseconds.

Source: OpenTelemetry, opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

Value = str | int | float | bool
SLOW_NS = 1_000_000_000
_MOST_SERVICES = 100  # that a trace is found by


class SpanEvent(Struct, frozen=True, array_like=True):
    time: int
    name: str
    attributes: dict[str, Value]


class Span(Struct, frozen=True, array_like=True):
    """parent: "" for none. service: `web.default`. instance: which one of it, "" if nobody said.

    kind: `server`, `client`, `internal`, `producer`, `consumer`. scope: the library that made it.
    """

    trace: str
    id: str
    parent: str
    service: str
    instance: str
    name: str
    kind: str
    start: int
    end: int
    error: bool
    attributes: dict[str, Value]
    events: tuple[SpanEvent, ...] = ()
    scope: str = ""

    @property
    def request_id(self) -> str:
        """Envoy's `x-request-id`; "" if it has none."""
        return str(self.attributes.get("guid:x-request-id", ""))


class Summary(Struct, frozen=True):
    """root: service and name of the span without a parent, or of the first if its parent is not known (yet)."""

    id: str
    start: int
    end: int
    spans: int
    errors: int
    root: tuple[str, str]
    has_root: bool
    services: tuple[str, ...]

    @property
    def lasts(self) -> int:
        """A trace that failed or was slow is worth more: it is kept as if it had begun so many nanoseconds later."""
        return 3600 * 1_000_000_000 if self.errors or self.end - self.start >= SLOW_NS else 0


def summary(spans: Sequence[Span]) -> Summary:
    """Of spans of one trace, one at least."""
    first = min(spans, key=lambda span: (bool(span.parent), span.start))
    return Summary(
        first.trace,
        min(span.start for span in spans),
        max(span.end for span in spans),
        len(spans),
        sum(span.error for span in spans),
        (first.service, first.name),
        not first.parent,
        _some({span.service for span in spans}),
    )


def joined(one: Summary, other: Summary) -> Summary:
    """Of the spans of both. other: what came later."""
    rather_other = (not other.has_root, other.start) < (not one.has_root, one.start)
    return Summary(
        one.id,
        min(one.start, other.start),
        max(one.end, other.end),
        one.spans + other.spans,
        one.errors + other.errors,
        other.root if rather_other else one.root,
        one.has_root or other.has_root,
        one.services if len(one.services) >= _MOST_SERVICES else _some({*one.services, *other.services}),
    )


def _some(services: set[str]) -> tuple[str, ...]:
    return tuple(sorted(services)[:_MOST_SERVICES])
