"""`GET /v1/traces` and `GET /v1/traces/{id}`: what calls went where, and how long each took."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json, encoded
from tulle.api.queries import number
from tulle.api.trace_views import EventView, LostSpansView, RootView, SpanView, TraceLine, TracesView, TraceView
from tulle.telemetry.traces.keeper import Traces, Unreadable
from tulle.telemetry.traces.search import MOST, Ambiguous, Asked, Search
from tulle.telemetry.traces.span import Span, Summary

_LONGEST_MS, _LATEST, _MOST_LIMIT = 1e12, 4e9, 1e6

T = TypeVar("T")


class TracesApi:
    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    @property
    def routes(self) -> list[Route]:
        return [Route("/v1/traces", self.find), Route("/v1/traces/{id}", self.show)]

    async def find(self, request: Request) -> Response:
        query = request.query_params
        asked = Asked(
            service=_service(query.get("service", "")),
            shortest=int(number(request, "min_ms", 0, 0, _LONGEST_MS) * 1e6),
            errors=query.get("errors", "") in ("1", "true"),
            since=int(number(request, "since", 0, 0, _LATEST) * 1e9),
            limit=int(min(number(request, "limit", 20, 0, _MOST_LIMIT), MOST)),
        )
        found = await asked_of(self._traces, lambda search: search.find(asked))
        counts = self._traces.counts()
        largest, share = counts.largest
        lost = LostSpansView(
            counts.lost, counts.lost_by_agents, counts.trouble, counts.crowded_out, largest, round(share, 3)
        )
        return as_json(TracesView([_line(each) for each in found], lost))

    async def show(self, request: Request) -> Response:
        text = request.path_params["id"]
        try:
            shown = await asked_of(self._traces, lambda search: _shown(search.trace(text)))
        except Ambiguous as error:
            raise HTTPException(409, str(error)) from error
        if not shown:
            raise HTTPException(
                404,
                f"there is no trace {text}, by its id, a request's id, or the first 6 characters of one; of how many calls "
                "there is one says: tulle up --trace-sampling",
            )
        return encoded(shown)


async def asked_of(traces: Traces, question: Callable[[Search], T]) -> T:
    """Raises a refusal."""
    try:
        return await traces.ask(question)
    except Unreadable as error:
        raise HTTPException(503, str(error)) from error


def _service(text: str) -> str:
    """`default/web` is `web.default`; a service outside the mesh has the name that it gave itself."""
    namespace, slash, name = text.partition("/")
    return f"{name}.{namespace}" if slash else text


def _shown(spans: list[Span]) -> bytes:
    """May be megabytes: made in the thread that reads. b"": there are none."""
    return msgspec.json.encode(TraceView(spans[0].trace, [_view(span) for span in spans])) if spans else b""


def _line(of: Summary) -> TraceLine:
    duration = (of.end - of.start) / 1e6
    return TraceLine(of.id, of.start / 1e9, duration, of.spans, of.errors, RootView(*of.root), list(of.services))


def _view(span: Span) -> SpanView:
    return SpanView(
        *(span.id, span.parent or None, span.service, span.instance, span.name, span.kind, span.start / 1e9),
        *((span.end - span.start) / 1e6, span.error, span.attributes),
        [EventView(event.time / 1e9, event.name, event.attributes) for event in span.events],
        span.scope,
    )
