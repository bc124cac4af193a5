"""A trace as steps: one for each call that a sidecar has seen, with what both of its ends say of it, and where it went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from tulle.api.trace_views import SpanView
from tulle.cli.waterfall import in_order, result
from tulle.model.names import service_of

_ENVOY = "envoy"


class Step(Struct, frozen=True):
    """A call. depth: how many calls brought it about. out: as its caller's sidecar saw it, None if that told nothing.

    into: as servers' sidecars saw it, one for each try that came to any. One of both there is.
    """

    depth: int
    out: SpanView | None
    into: tuple[SpanView, ...]

    @property
    def first(self) -> SpanView:
        return self.out or self.into[0]

    @property
    def ids(self) -> set[str]:
        return {span.id for span in (self.out, *self.into) if span is not None}

    @property
    def has_failed(self) -> bool:
        """By what its caller got, where that is known."""
        return self.first.error


class StepView(Struct, frozen=True):
    """A step as `tulle why -o json` has it. source, destination: as `namespace/name`, or what is known. result: `503 UF`.

    instances: of the servers' sidecars that it came to, in order. there_ms: of duration_ms, the time from the last one on.
    tries: 0 if it is not known.
    """

    depth: int
    source: str
    destination: str
    instances: list[str]
    method: str
    url: str
    result: str
    failed: bool
    duration_ms: float
    there_ms: float | None
    tries: int
    identity: str


def steps(spans: Sequence[SpanView]) -> list[Step]:
    """Of one trace, in the order in which one call brought about the next."""
    known = {span.id: span for span in spans}
    calls = [span for _, span in in_order(spans) if span.scope == _ENVOY]
    outs = {span.id for span in calls if span.kind == "client"}
    into: dict[str, list[SpanView]] = {}
    for span in calls:
        if span.kind == "server" and span.parent in outs:
            into.setdefault(span.parent, []).append(span)
    paired = {span.id for found in into.values() for span in found}
    of_calls = outs | {span.id for span in calls if span.id not in paired}
    made = []
    for span in calls:
        if span.id not in paired:
            depth = sum(1 for each in _ancestors(span, known) if each in of_calls)
            is_out = span.kind == "client"
            made.append(Step(depth, span if is_out else None, tuple(into.get(span.id, ())) if is_out else (span,)))
    return made


def cause(found: Sequence[Step], spans: Sequence[SpanView]) -> Step | None:
    """The one whose failure made others fail: it failed, and nothing that it brought about did. The earliest of several."""
    known = {span.id: span for span in spans}
    failed = [step for step in found if step.has_failed]
    passed_on = {id for step in failed for id in _ancestors(step.first, known)}
    return min((step for step in failed if not step.ids & passed_on), key=lambda step: step.first.start, default=None)


def why_failed(step: Step) -> tuple[str, str]:
    """In words, and Envoy's flags that say more."""
    own = str(step.first.attributes.get("response_flags", ""))
    if step.out is not None and not step.into:
        return f"it came to no sidecar of {destination(step)}", own
    last = step.into[-1]
    theirs = str(last.attributes.get("response_flags", ""))
    if not last.error:
        return f"{last.instance or destination(step)} answered, and its caller did not get that", own
    if theirs:
        return f"the sidecar of {last.instance or destination(step)} answered for its program", theirs
    return f"the program of {last.instance or destination(step)} answered so", own


def of_programs(spans: Sequence[SpanView]) -> Iterator[tuple[str, str]]:
    """What programs say that went wrong in them: their service, and what it was."""
    for _, span in in_order(spans):
        if span.scope != _ENVOY and span.error:
            said = [
                ": ".join(
                    str(event.attributes[name])
                    for name in ("exception.type", "exception.message")
                    if name in event.attributes
                )
                for event in span.events
            ]
            yield service(span.service), f"{span.name}: {next(filter(None, said), 'it failed')}"


def shown(step: Step) -> StepView:
    first, attributes = step.first, step.first.attributes
    return StepView(
        depth=step.depth,
        source=source(step),
        destination=destination(step),
        instances=[span.instance for span in step.into],
        method=str(attributes.get("http.method", "")),
        url=str(attributes.get("http.url", "")),
        result=result(first),
        failed=step.has_failed,
        duration_ms=first.duration_ms,
        there_ms=step.into[-1].duration_ms if step.out is not None and step.into else None,
        tries=_number(step.out.attributes.get("attempts")) if step.out is not None else 0,
        identity=str(attributes.get("peer.identity", "")),
    )


def path(url: str) -> str:
    """Without host and query, which may hold what is nobody else's."""
    try:
        return urlsplit(url).path or "/"
    except ValueError:
        return url.partition("?")[0]


def source(step: Step) -> str:
    """What is known of a caller without a sidecar, or whose sidecar tells nothing, is what it proved."""
    if step.out is not None:
        return service(step.out.service)
    identity = str(step.into[0].attributes.get("peer.identity", "")).removeprefix("spiffe://").split("/")
    return f"{identity[2]}/{identity[4]}" if len(identity) == 5 else "somebody"


def destination(step: Step) -> str:
    if step.into:
        return service(step.into[0].service)
    _, _, named = step.first.name.partition(" ")
    host = named.rpartition(":")[0] or _host(str(step.first.attributes.get("http.url", "")))
    name = service_of(host)
    return f"{name.namespace}/{name.name}" if name.namespace else name.name or "somebody"


def service(text: str) -> str:
    """`web.default` is `default/web`; others have the name that they gave themselves."""
    name, dot, namespace = text.rpartition(".")
    return f"{namespace}/{name}" if dot and "." not in name else text


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _ancestors(span: SpanView, known: dict[str, SpanView]) -> Iterator[str]:
    seen = {span.id}
    while span.parent in known and span.parent not in seen:
        span = known[span.parent]
        seen.add(span.id)
        yield span.id


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
