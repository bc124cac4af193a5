"""What sidecars have counted: taken from their agents, and shown as rows, as a graph, over time, and live.

One answer is made after the other, each in turns with all else: however many ask, the loop is never held for more than a piece.
The live stream is one task for all who look: each graph that somebody wants is made once every two seconds, and encoded once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.callers_shown import callers
from tulle.api.doors import Force
from tulle.api.figures_shown import Asked, Instances, graph, history, stats
from tulle.api.queries import number
from tulle.telemetry.figures.memory import PROXY_SPAN, SPAN, Figures
from tulle.telemetry.figures.report import decoder

_WINDOW, _SHORTEST_WINDOW = 60.0, 5.0
_HISTORY, _STEP = 900.0, 5.0
_MOST_HOPS = 5
_EVERY, _HEARTBEAT = 2.0, 15.0
_MOST_VIEWERS = 100
_MOST_ASKING = 50
_KINDS = ("service", "workload", "route", "proxy")
_TIDY_EVERY = 60.0

Query = tuple[float, str, str, int]

_log = logging.getLogger(__name__)


class FiguresApi:
    """clock: Unix time in seconds."""

    def __init__(self, figures: Figures, force: Force, clock: Callable[[], float] = time.time) -> None:
        self._figures = figures
        self._force = force
        self._clock = clock
        self._tidied = 0.0
        self._one = asyncio.Lock()
        self._asking = 0
        self._under_way: set[str] = set()  # proxies whose report is being taken
        self._viewers: dict[asyncio.Queue[bytes], Query] = {}
        self._making: asyncio.Task[None] | None = None

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/agents/{proxy}/metrics", self.take, methods=["POST"]),
            Route("/v1/stats", self.stats),
            Route("/v1/graph", self.graph),
            Route("/v1/callers", self.callers),
            Route("/v1/history", self.history),
            Route("/v1/stream", self.stream),
        ]

    async def take(self, request: Request) -> Response:
        name = request.path_params["proxy"]
        try:
            report = decoder.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no report of figures: {error}") from error
        proxy = self._force.mesh().proxies.get(name)
        if proxy is None:
            raise HTTPException(404, f"there is no proxy {name}")
        if name in self._under_way:
            raise HTTPException(429, f"a report of {name} is still being taken in", {"retry-after": "1"})
        self._under_way.add(name)
        try:
            await self._figures.take(name, proxy.workloads[0], report)
        finally:
            self._under_way.discard(name)
        if self._figures.clock() - self._tidied > _TIDY_EVERY:
            self._tidied = self._figures.clock()
            await self._figures.tidy()
        return as_json({"again": self._figures.again})

    async def stats(self, request: Request) -> Response:
        kind = request.query_params.get("by", "service")
        if kind not in _KINDS:
            raise HTTPException(400, f"by must be one of {', '.join(_KINDS)}")
        asked = self._asked(request)
        behind = self._figures.clock() - asked.at
        if kind == "proxy" and asked.window + behind > PROXY_SPAN + 1:
            raise HTTPException(400, f"figures of single proxies go back {PROXY_SPAN:.0f} s: ask for a shorter window")
        async with self._turn():
            return as_json(await stats(self._figures, self._instances(), kind, asked))

    async def graph(self, request: Request) -> Response:
        focus = request.query_params.get("focus", "")
        hops = int(number(request, "hops", 1, 0, _MOST_HOPS))
        asked = self._asked(request)
        async with self._turn():
            return as_json(await graph(self._figures, self._instances(), asked, focus, hops))

    async def callers(self, request: Request) -> Response:
        asked = self._asked(request)
        async with self._turn():
            return as_json(await callers(self._figures, asked))

    async def history(self, request: Request) -> Response:
        query = request.query_params
        asked = self._asked(request, _HISTORY)
        step = number(request, "step", _STEP if asked.window <= _HISTORY else 300.0, _STEP, SPAN)
        offset = self._clock() - self._figures.clock()
        workload, caller = query.get("workload", ""), query.get("from", "")
        async with self._turn():
            return as_json(await history(self._figures, asked, step, workload, caller, lambda at: at + offset))

    async def stream(self, request: Request) -> Response:
        if len(self._viewers) >= _MOST_VIEWERS:
            raise HTTPException(429, f"{_MOST_VIEWERS} look already")
        asked = self._asked(request)
        hops = int(number(request, "hops", 1, 0, _MOST_HOPS))
        query = (asked.window, asked.namespace, request.query_params.get("focus", ""), hops)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._events(query), media_type="text/event-stream", headers=headers)

    async def _events(self, query: Query) -> AsyncGenerator[bytes, None]:
        # One place: who does not read gets the newest when he does, and what he missed is gone.
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._viewers[queue] = query
        try:
            yield await self._event(query)
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="live graphs")
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT):
                        yield await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            del self._viewers[queue]

    async def _make(self) -> None:
        """As long as somebody looks. It rests for as long as it has worked, whatever is asked for."""
        loop, took = asyncio.get_running_loop(), 0.0
        while self._viewers:
            await asyncio.sleep(max(_EVERY, took))
            began = loop.time()
            made: dict[Query, bytes] = {}
            for queue, query in list(self._viewers.items()):
                if query not in made:
                    try:
                        made[query] = await self._event(query)
                    except Exception:  # the next one, and those of others, are to come all the same
                        _log.exception("a graph can't be made")
                        continue
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(made[query])
            took = loop.time() - began

    async def _event(self, query: Query) -> bytes:
        window, namespace, focus, hops = query
        asked = Asked(window, self._figures.clock(), self._clock(), namespace)
        async with self._one:
            found = await graph(self._figures, self._instances(), asked, focus, hops)
        return b"event: graph\ndata: " + msgspec.json.encode(found) + b"\n\n"

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One's turn to have an answer made. Raises a refusal where too many wait, of whom some may have gone already."""
        if self._asking >= _MOST_ASKING:
            raise HTTPException(429, f"{_MOST_ASKING} ask for figures at once already", {"retry-after": "2"})
        self._asking += 1
        try:
            async with self._one:
                yield
        finally:
            self._asking -= 1

    def _instances(self) -> Instances:
        return Instances.of(self._force.mesh())

    def _asked(self, request: Request, window: float = _WINDOW) -> Asked:
        """Raises a refusal."""
        now, unix = self._figures.clock(), self._clock()
        at = number(request, "at", unix, 0.0, 1e11)
        query = request.query_params
        return Asked(
            window=number(request, "window", window, _SHORTEST_WINDOW, SPAN),
            at=min(now, now - (unix - at)),
            unix=min(at, unix),
            namespace=query.get("namespace", ""),
            service=query.get("service", ""),
        )
