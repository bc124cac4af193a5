"""The third version of Jaeger's query API, which Jaeger UI reads from 2.15 on: paths under /api/v3/.

Source: Jaeger, cmd/jaeger/internal/extension/jaegerquery/internal/apiv3: paths and parameters. These have two names each; what
is asked for need not have a beginning and an end.
"""

from __future__ import annotations

import re

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json, encoded
from tulle.api.jaeger_words import LATEST, durations, number, tags, time_of
from tulle.api.traces import asked_of
from tulle.telemetry.traces import jaeger_v3
from tulle.telemetry.traces.keeper import Traces
from tulle.telemetry.traces.search import MOST, Asked, Search


class JaegerV3:
    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/v3/services", self.services),
            Route("/api/v3/operations", self.operations),
            Route("/api/v3/trace-summaries", self.find),
            Route("/api/v3/traces/{id}", self.show),
        ]

    async def services(self, request: Request) -> Response:
        return as_json({"services": await asked_of(self._traces, lambda search: search.services())})

    async def operations(self, request: Request) -> Response:
        query = request.query_params
        service, kind = query.get("service", ""), _said(query, "spanKind", "span_kind").lower()
        if not service:
            return _failure(400, "parameter 'service' is required")
        found = await asked_of(self._traces, lambda search: search.operations(service, kind))
        return as_json({"operations": [{"name": name, "spanKind": kind} for name, kind in found]})

    async def find(self, request: Request) -> Response:
        try:
            asked = _asked(request.query_params)
        except ValueError as error:
            return _failure(400, str(error))
        return encoded(await asked_of(self._traces, lambda search: _listed(search, asked)))

    async def show(self, request: Request) -> Response:
        trace = request.path_params["id"]
        if not re.fullmatch("[0-9a-fA-F]{1,32}", trace):
            return _failure(400, f"{trace[:40]!r} is no trace id")
        shown = await asked_of(self._traces, lambda search: _shown(search, trace.lower().rjust(32, "0")))
        return encoded(shown) if shown else _failure(404, "trace not found")


def _asked(query: QueryParams) -> Asked:
    """Raises ValueError."""

    def said(name: str, *others: str) -> str:
        return _said(query, f"query.{name}", *(f"query.{other}" for other in others))

    since, until = said("startTimeMin", "start_time_min"), said("startTimeMax", "start_time_max")
    limit = said("searchDepth", "search_depth", "num_traces")
    shortest, longest = durations(said("durationMin", "duration_min"), said("durationMax", "duration_max"))
    return Asked(
        service=said("serviceName", "service_name"),
        operation=said("operationName", "operation_name", "span_name"),
        shortest=shortest,
        longest=longest,
        since=time_of(since) if since else 0,
        until=time_of(until) if until else LATEST,
        limit=min(number(limit or "100"), MOST),
        tags=tags([said("attributes")]),
    )


def _said(query: QueryParams, *names: str) -> str:
    return next((query[name] for name in names if query.get(name)), "")


def _listed(search: Search, asked: Asked) -> bytes:
    """May be long: made in the thread that reads."""
    found = search.traces(search.find(asked))
    return msgspec.json.encode({"summaries": [jaeger_v3.in_few_words(spans) for spans in found if spans]})


def _shown(search: Search, trace: str) -> bytes:
    """Likewise; empty if there is none."""
    found = [spans for spans in search.several([trace]) if spans]
    return msgspec.json.encode({"result": jaeger_v3.as_otlp(found[0])}) if found else b""


def _failure(status: int, text: str) -> Response:
    return as_json({"error": {"httpCode": status, "message": text}}, status)
