"""A trace as lines for a terminal: who called whom from top to bottom, time from left to right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tulle.api.trace_views import SpanView
from tulle.cli.printing import printable

_LEAST_BAR, _MOST_LABEL = 12, 56
_DEEPEST = 16


class Row(Struct, frozen=True):
    """label, bar: both padded. result: status and flags, or why it failed."""

    label: str
    bar: str
    duration: str
    result: str
    error: bool


def rows(spans: Sequence[SpanView], width: int) -> list[Row]:
    """spans: of one trace, one at least. width: in characters, of the whole line."""
    ordered = list(in_order(spans))
    begin = min(span.start for span in spans)
    whole = max(span.start - begin + span.duration_ms / 1000 for span in spans)
    labels = [
        f"{'  ' * min(depth, _DEEPEST)}{printable(span.service)}  {printable(span.name)}" for depth, span in ordered
    ]
    durations = [duration(span.duration_ms) for _, span in ordered]
    results = [result(span) for _, span in ordered]
    right = max(map(len, durations)) + max(map(len, results)) + 4
    label_width = min(max(map(len, labels)), _MOST_LABEL, max(16, width - right - _LEAST_BAR - 4))
    bar_width = max(_LEAST_BAR, width - label_width - right - 3)
    return [
        Row(
            _cut(label, label_width).ljust(label_width),
            _bar(span.start - begin, span.duration_ms / 1000, whole, bar_width),
            lasted.rjust(max(map(len, durations))),
            said,
            span.error,
        )
        for (_, span), label, lasted, said in zip(ordered, labels, durations, results, strict=True)
    ]


def duration(milliseconds: float) -> str:
    if milliseconds < 10:
        return f"{milliseconds:.1f}ms"
    if milliseconds < 10_000:
        return f"{milliseconds:.0f}ms"
    return f"{milliseconds / 1000:.1f}s"


def result(span: SpanView) -> str:
    """`503 UF`, as far as it is known; `error` where something failed and nothing says how."""
    status = span.attributes.get("http.status_code", span.attributes.get("http.response.status_code", ""))
    grpc = span.attributes.get("grpc.status_code", span.attributes.get("rpc.grpc.status_code", ""))
    words = [
        str(status),
        f"grpc {grpc}" if grpc not in ("", "0", 0) else "",
        str(span.attributes.get("response_flags", "")),
    ]
    return printable(" ".join(filter(None, words))) or ("error" if span.error else "")


def is_one_hop(spans: Sequence[SpanView]) -> bool:
    """Whether it is one call, as its caller's sidecar and the callee's have seen it, and nothing came of that.

    One that no callee has seen ends for another reason.
    """
    return (
        len(spans) <= 2
        and all(span.scope == "envoy" for span in spans)
        and any(span.kind == "server" for span in spans)
    )


def in_order(spans: Sequence[SpanView]) -> Iterator[tuple[int, SpanView]]:
    """With its depth each span, and after it what it has brought about, the earlier first."""
    known = {span.id for span in spans}
    children: dict[str | None, list[SpanView]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        children[span.parent if span.parent in known and span.parent != span.id else None].append(span)
    left = {span.id for span in spans}
    waiting = [(0, span) for span in reversed(children[None])]
    while left:
        if not waiting:  # what is its own ancestor
            waiting = [(0, next(span for span in spans if span.id in left))]
        depth, span = waiting.pop()
        if span.id in left:
            left.discard(span.id)
            yield depth, span
            waiting += [(depth + 1, child) for child in reversed(children[span.id])]


def _bar(start: float, seconds: float, whole: float, width: int) -> str:
    if whole <= 0:
        return "=" * width
    first = min(int(start / whole * width), width - 1)
    length = max(1, min(round(seconds / whole * width), width - first))
    return (" " * first + "=" * length).ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
