"""Jaeger's query API over the embedded store, so that Jaeger UI and Grafana can read it: paths under /api/.

Source: Jaeger, cmd/query/app/http_handler: paths, parameters and their units. What is not served there is not here either.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json, encoded
from tulle.api.jaeger_words import LATEST, durations, number, tags
from tulle.api.traces import asked_of
from tulle.telemetry.traces import jaeger
from tulle.telemetry.traces.keeper import Traces
from tulle.telemetry.traces.search import MOST, Asked, Search
from tulle.telemetry.traces.span import Span

_MOST_IDS = 100
_WEEK_MS = 7 * 24 * 3600 * 1000


class Jaeger:
    """clock: Unix time in seconds."""

    def __init__(self, traces: Traces, clock: Callable[[], float] = time.time) -> None:
        self._traces = traces
        self._clock = clock

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/services", self.services),
            Route("/api/services/{service}/operations", self.operation_names),
            Route("/api/operations", self.operations),
            Route("/api/traces", self.find),
            Route("/api/traces/{id}", self.show),
            Route("/api/dependencies", self.dependencies),
            Route("/api/metrics/{kind}", self.metrics),
        ]

    async def services(self, request: Request) -> Response:
        return as_json(jaeger.answer(await asked_of(self._traces, lambda search: search.services())))

    async def operation_names(self, request: Request) -> Response:
        service = request.path_params["service"]
        found = await asked_of(self._traces, lambda search: search.operations(service))
        return as_json(jaeger.answer(list(dict.fromkeys(name for name, _ in found))))

    async def operations(self, request: Request) -> Response:
        service, kind = request.query_params.get("service", ""), request.query_params.get("spanKind", "")
        if not service:
            return _failure(400, "parameter 'service' is required")
        found = await asked_of(self._traces, lambda search: search.operations(service, kind))
        return as_json(jaeger.answer([{"name": name, "spanKind": kind} for name, kind in found]))

    async def find(self, request: Request) -> Response:
        query = request.query_params
        try:
            if ids := query.getlist("traceID"):
                return encoded((await self._several(ids))[1])
            shortest, longest = durations(query.get("minDuration", ""), query.get("maxDuration", ""))
            asked = Asked(
                service=query.get("service", ""),
                operation=query.get("operation", ""),
                shortest=shortest,
                longest=longest,
                since=number(query.get("start") or "0") * 1000,
                until=min(number(query.get("end") or str(LATEST // 1000)) * 1000, LATEST),
                limit=min(number(query.get("limit") or "100"), MOST),
                tags=tags(query.getlist("tags"), query.getlist("tag")),
            )
        except ValueError as error:
            return _failure(400, str(error))
        if not asked.service:
            return _failure(400, "parameter 'service' is required")
        return encoded(await asked_of(self._traces, lambda search: _shown(search.traces(search.find(asked)))))

    async def show(self, request: Request) -> Response:
        try:
            count, shown = await self._several([request.path_params["id"]])
        except ValueError as error:
            return _failure(400, str(error))
        return encoded(shown) if count else _failure(404, "trace not found")

    async def dependencies(self, request: Request) -> Response:
        query = request.query_params
        try:
            until = number(query.get("endTs", str(int(self._clock() * 1000))))
            since = max(0, until - number(query.get("lookback", str(_WEEK_MS))))
        except ValueError as error:
            return _failure(400, str(error))
        until = min(until, LATEST // 10**6)
        found = await asked_of(self._traces, lambda search: search.dependencies(since * 10**6, until * 10**6))
        return as_json(jaeger.answer(jaeger.dependencies(found)))

    async def metrics(self, request: Request) -> Response:
        """Jaeger's answer where it has none: its UI then says so, in place of an error."""
        return _failure(501, "figures of spans are not kept; the sidecars' own are at /v1/stats")

    async def _several(self, ids: list[str]) -> tuple[int, bytes]:
        """How many there are, and an answer with them. Raises ValueError."""
        if len(ids) > _MOST_IDS:
            raise ValueError(f"{len(ids)} traces are asked for at once, of {_MOST_IDS} at most")
        for one in ids:
            if not re.fullmatch("[0-9a-fA-F]{1,32}", one):
                raise ValueError(f"{one[:40]!r} is no trace id")
        whole = dict.fromkeys(one.lower().rjust(32, "0") for one in ids)

        def question(search: Search) -> tuple[int, bytes]:
            found = search.several(whole)
            return len(found), _shown(found)

        return await asked_of(self._traces, question)


def _shown(found: list[list[Span]]) -> bytes:
    """May be tens of megabytes: made in the thread that reads."""
    return msgspec.json.encode(jaeger.answer([jaeger.trace(spans) for spans in found if spans]))


def _failure(status: int, text: str) -> Response:
    return as_json(jaeger.failure(status, text), status)
