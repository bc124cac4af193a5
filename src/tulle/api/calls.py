"""Single requests: what sidecars tell of, the last that failed, and a live view of all (`tulle tap`, `tulle why`).

While somebody looks, the sidecars that he looks at are asked again and again to tell of all requests; when nobody asks any
more, they stop by themselves. Headers have a path of their own, for admins; who looked at them goes to the audit log, and nothing
of them is kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.call_views import CallsView, shown
from tulle.api.doors import Force
from tulle.api.queries import number
from tulle.identity.audit import Audit, Event
from tulle.identity.caller import Caller
from tulle.ir.telemetry import Reporter
from tulle.model.calls import MOST_A_SECOND, Wanted, WantedProblem, checked, is_notable, is_wanted
from tulle.model.workload import Proxy
from tulle.resolve.mesh import Mesh
from tulle.telemetry.calls.kept import Calls, Kept
from tulle.telemetry.calls.told import decoder

_RENEW_EVERY, _LEASE = 5.0, 15.0
_MOST_WAITING, _MOST_WAITING_WITH_HEADERS = 1000, 100
_MOST_TAPS = 10
_MOST_LISTED = 500
_QUIET = 15.0
_ASKED_WITHIN = 2.0
_ASKED_AT_ONCE = 50  # sidecars
_FILTERS = ("service", "namespace", "proxy", "peer", "side", "method", "path", "status", "min_ms")

_log = logging.getLogger(__name__)

Wish = Callable[[str, str, Any], Awaitable[bool]]


class _Tap(Struct, eq=False):
    """about: whose sidecars tell. is_called: whether it is of calls to that service, `namespace/name`.

    peer: of which the other side must be; "" for any. told: which sidecars were asked.
    lost: what came too fast for its reader or its sidecars. taken: how much each has told since all were asked last.
    """

    name: str
    wanted: Wanted
    about: Callable[[Mesh], set[str]]
    is_called: Callable[[str], bool]
    peer: str
    queue: asyncio.Queue[Kept]
    told: set[str]
    taken: Counter[str]
    lost: int = 0

    @property
    def most(self) -> int:
        """Of one sidecar between two times of asking: twice what it was asked for, as it tells in heaps."""
        return int(2 * self.wanted.most * _RENEW_EVERY)


class CallsApi:
    """wish: has an agent do something (AgentSessions.wish). clock: Unix time."""

    def __init__(self, force: Force, wish: Wish, calls: Calls, audit: Audit, clock: Callable[[], float]) -> None:
        self._force = force
        self._wish = wish
        self._calls = calls
        self._audit = audit
        self._clock = clock
        self._taps: dict[str, _Tap] = {}

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/agents/{proxy}/calls", self.take, methods=["POST"]),
            Route("/v1/calls", self.list),
            Route("/v1/calls/{id}", self.one),
            Route("/v1/tap", self.tap),
            Route("/v1/tap/headers", self.tap_headers),
        ]

    async def take(self, request: Request) -> Response:
        proxy = request.path_params["proxy"]
        try:
            report = decoder.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no report of requests: {error}") from error
        known = self._force.mesh().proxies.get(proxy)
        if known is None:
            raise HTTPException(404, f"there is no proxy {proxy}")
        name = known.workloads[0].service
        service = f"{name.namespace}/{name.name}"
        self._calls.lost += report.lost
        for told in report.calls:
            kept, plain = Kept(proxy, service, told), Kept(proxy, service, told.without_headers())
            fields = msgspec.to_builtins(plain.told)
            if not told.taps or is_notable(fields):
                self._calls.add(plain)
            for tap in filter(None, map(self._taps.get, dict.fromkeys(told.taps))):
                if proxy in tap.told:
                    _hand(tap, kept if tap.wanted.headers else plain)
            if told.side is Reporter.SOURCE and not told.peer_id:  # of the called service no sidecar has seen it
                for tap in self._taps.values():
                    if proxy not in tap.told and tap.is_called(told.peer_name()) and is_wanted(tap.wanted, fields):
                        _hand(tap, plain)  # nobody has asked that sidecar for headers
        for tap in self._taps.values():
            if proxy in tap.told:
                tap.lost += report.lost
        return as_json({})

    async def list(self, request: Request) -> Response:
        """The last ones that failed or were slow."""
        limit = number(request, "limit", 50, 1, _MOST_LISTED)
        service = request.query_params.get("service", "")
        found = (one for one in self._calls if service in ("", one.service) or service == one.told.peer_name())
        return as_json(CallsView([shown(one) for one in islice(found, int(limit))], self._calls.lost))

    async def one(self, request: Request) -> Response:
        id = request.path_params["id"]
        found = self._calls.of(id)
        if not found:
            raise HTTPException(
                404,
                f"no sidecar has told of a request {id}: only those that failed or took a second are kept, and the last "
                "of them alone; `tulle tap` shows others while they happen",
            )
        return as_json(CallsView([shown(one) for one in found], self._calls.lost))

    async def tap(self, request: Request) -> Response:
        """Lines of JSON as requests end; an empty line now and then. `lost` in a line: how many are missing before it."""
        return self._tapped(self._asked(request, headers=False))

    async def tap_headers(self, request: Request) -> Response:
        """The same, with headers."""
        tap = self._asked(request, headers=True)
        who: Caller = request.scope["state"]["caller"]
        what = f"GET /v1/tap/headers: {_described(request)}"
        self._audit(Event(self._clock(), "looked at headers", who.name, what))
        return self._tapped(tap)

    def _asked(self, request: Request, *, headers: bool) -> _Tap:
        """Raises a refusal."""
        if len(self._taps) >= _MOST_TAPS:
            raise HTTPException(429, f"{_MOST_TAPS} look already; try again when somebody has stopped")
        query = request.query_params
        try:
            wanted = checked(
                Wanted(
                    seconds=_LEASE,
                    most=int(number(request, "max_rps", MOST_A_SECOND, 1, MOST_A_SECOND * 10)),
                    method=query.get("method", ""),
                    path=query.get("path", ""),
                    status=query.get("status", ""),
                    side=query.get("side", ""),
                    min_ms=number(request, "min_ms", 0.0, 0.0, 1e9),
                    headers=headers,
                )
            )
        except WantedProblem as error:
            raise HTTPException(400, str(error)) from error
        if wanted.side not in ("", "source", "destination"):
            raise HTTPException(400, "side must be source or destination")
        whose = query.get("service", ""), query.get("namespace", ""), query.get("proxy", "")
        queue: asyncio.Queue[Kept] = asyncio.Queue(_MOST_WAITING_WITH_HEADERS if headers else _MOST_WAITING)
        about, is_called = _about(*whose), _called(*whose)
        return _Tap(secrets.token_hex(8), wanted, about, is_called, query.get("peer", ""), queue, set(), Counter())

    def _tapped(self, tap: _Tap) -> Response:
        return StreamingResponse(self._lines(tap), media_type="application/x-ndjson")

    async def _lines(self, tap: _Tap) -> AsyncGenerator[bytes, None]:
        self._taps[tap.name] = tap
        renewing = asyncio.create_task(self._renew(tap), name=f"tap {tap.name}")
        try:
            yield b""
            while True:
                try:
                    async with asyncio.timeout(_QUIET):
                        kept = await tap.queue.get()
                except TimeoutError:
                    yield b""  # so that whoever has gone, or may not look any more, is noticed
                    continue
                # To redact them takes a while, which none of who tells of long ones may take from the others.
                line = await asyncio.to_thread(shown, kept) if tap.wanted.headers else shown(kept)
                if tap.lost:
                    line = msgspec.structs.replace(line, lost=tap.lost)
                    tap.lost = 0
                yield msgspec.json.encode(line) + b"\n"
        finally:
            renewing.cancel()
            del self._taps[tap.name]
            await self._tell_all(tap.told)

    async def _renew(self, tap: _Tap) -> None:
        """For ever, whatever goes wrong with one time of it."""
        while True:
            try:
                now = tap.about(self._force.mesh())
                gone, tap.told = tap.told - now, now
                tap.taken.clear()
                await self._tell_all(now | gone)
            except Exception:
                _log.exception("sidecars can't be asked for their requests; it is tried again")
            await asyncio.sleep(_RENEW_EVERY)

    async def _tell_all(self, proxies: set[str]) -> None:
        """One whose connection is stuck, or whose session just ends, keeps the others from nothing."""
        each = sorted(proxies)
        for first in range(0, len(each), _ASKED_AT_ONCE):
            some = each[first : first + _ASKED_AT_ONCE]
            found = await asyncio.gather(*map(self._tell, some), return_exceptions=True)
            for proxy, error in zip(some, found, strict=True):
                if isinstance(error, Exception):
                    _log.debug("%s can't be asked for its requests: %r", proxy, error)

    async def _tell(self, proxy: str) -> None:
        """All that is wanted of one sidecar."""
        wishes = {tap.name: msgspec.to_builtins(tap.wanted) for tap in self._taps.values() if proxy in tap.told}
        async with asyncio.timeout(_ASKED_WITHIN):
            await self._wish(proxy, "tap", wishes)


def _described(request: Request) -> str:
    """Whose, and which, as the caller has written it: the audit log bounds it."""
    said = [f"{name}={request.query_params[name]}" for name in _FILTERS if request.query_params.get(name)]
    return " ".join(said) or "all sidecars"


def _hand(tap: _Tap, kept: Kept) -> None:
    other = kept.told.peer_name() if kept.proxy in tap.told else kept.service
    if tap.peer and tap.peer not in (other, other.rpartition("/")[2]):
        return
    tap.taken[kept.proxy] += 1
    if tap.taken[kept.proxy] > tap.most:  # it leaves the room to others
        tap.lost += 1
        return
    if tap.queue.full():
        tap.queue.get_nowait()
        tap.lost += 1
    tap.queue.put_nowait(kept)


def _called(service: str, namespace: str, proxy: str) -> Callable[[str], bool]:
    """Whether a call to that one, `namespace/name`, is of the service or namespace that is looked at."""
    space, _, name = service.rpartition("/")
    space = space or namespace

    def is_called(whom: str) -> bool:
        of, _, called = whom.rpartition("/")
        return not proxy and bool(name or space) and name in ("", called) and (of == space if space else bool(of))

    return is_called


def _about(service: str, namespace: str, proxy: str) -> Callable[[Mesh], set[str]]:
    """Whose requests: of one proxy, of a service's (`name`, `namespace/name`), of a namespace's, or of all."""
    space, _, name = service.rpartition("/")
    space = space or namespace

    def which(mesh: Mesh) -> set[str]:
        def fits(found: Proxy) -> bool:
            own = found.workloads[0].service
            return (
                (not proxy or found.id == proxy)
                and (not name or own.name == name)
                and (not space or own.namespace == space)
            )

        return {found.id for found in mesh.proxies.values() if fits(found)}

    return which
