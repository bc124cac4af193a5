"""Live requests over the API: who is asked, who is heard, and that one sidecar takes nothing from the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from typing import Any, NoReturn, cast

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tulle.api import calls as calls_door
from tulle.api.calls import CallsApi
from tulle.identity.audit import Event
from tulle.identity.caller import Caller, Role
from tulle.model.names import ServiceName
from tulle.model.resources.resource import Ref
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, Workload
from tulle.pipeline.in_force import InForce
from tulle.resolve import index
from tulle.resolve.mesh import Mesh
from tulle.telemetry.calls.kept import Calls

STUCK = "stuck-1"


class AMesh:
    """Of four proxies. trouble: what is raised instead."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self._mesh, _ = index.apply(
            Mesh(), Snapshot(1, {each.id: each for each in map(proxy, ("web", "api", "broken", "stuck"))})
        )

    def mesh(self) -> Mesh:
        if self.trouble:
            raise self.trouble
        return self._mesh

    async def in_force(self, refs: Collection[Ref] | None = None) -> Mapping[str, InForce]:
        return {}

    def awaited(self, refs: Collection[Ref]) -> NoReturn:
        raise AssertionError("nobody waits")


def proxy(service: str) -> Proxy:
    workload = Workload(f"{service}-1", ServiceName("shop", service), service, "v1", health=Health.HEALTHY)
    return Proxy(f"{service}-1", "127.0.0.1", 15001, 15002, (workload,))


class Door:
    """asked: what each proxy's agent was last asked for, by the name of who looks."""

    def __init__(self) -> None:
        self.mesh = AMesh()
        self.calls = Calls()
        self.audited: list[Event] = []
        self.api = CallsApi(self.mesh, self.wish, self.calls, self.audited.append, lambda: 1.0)
        self.asked: dict[str, dict[str, Any]] = {}
        self.times = 0

    async def wish(self, proxy: str, what: str, value: Any) -> bool:
        self.times += 1
        if proxy == "broken-1":
            raise ConnectionResetError("its session just ends")
        if proxy == STUCK:
            await asyncio.Event().wait()
        self.asked[proxy] = value
        return True

    async def tap(self, query: str = "", *, headers: bool = False) -> AsyncGenerator[bytes, None]:
        """Once all have been asked."""
        tap, path = (self.api.tap_headers, "/v1/tap/headers") if headers else (self.api.tap, "/v1/tap")
        answer = await tap(request("GET", path, query))
        assert isinstance(answer, StreamingResponse)
        lines = cast(AsyncGenerator[bytes, None], answer.body_iterator)
        await anext(lines)
        await until(lambda: "web-1" in self.asked)
        return lines

    async def report(self, who: str, *calls: dict[str, Any], lost: int = 0) -> None:
        body = json.dumps({"calls": [{"side": "source", **each} for each in calls], "lost": lost}).encode()
        await self.api.take(request("POST", f"/v1/agents/{who}/calls", "", body, proxy=who))


def request(method: str, path: str, query: str, body: bytes = b"", **parameters: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [],
    }
    scope["state"] = {"caller": Caller(Role.ADMIN, "user ada")}
    return Request({**scope, "path_params": parameters}, receive)


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def next_line(lines: AsyncGenerator[bytes, None]) -> Any:
    return json.loads(await asyncio.wait_for(anext(lines), 10))


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(calls_door, "_ASKED_WITHIN", 0.01)
    yield Door()


async def test_one_whose_session_is_broken_or_stuck_keeps_nobody_from_being_asked(door: Door) -> None:
    lines = await door.tap()
    await until(lambda: {"web-1", "api-1"} <= door.asked.keys())
    await lines.aclose()
    assert door.asked == {"web-1": {}, "api-1": {}}  # nobody looks any more


async def test_who_looks_is_renewed_whatever_went_wrong_once(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calls_door, "_RENEW_EVERY", 0.001)
    lines = await door.tap("service=web")
    door.mesh.trouble = RuntimeError("not now")
    await until(lambda: "not now" in caplog.text)
    door.mesh.trouble = None
    before = door.times
    await until(lambda: door.times > before + 3)
    await lines.aclose()


async def test_only_who_was_asked_is_heard(door: Door) -> None:
    lines = await door.tap("service=web")
    [name] = door.asked["web-1"]
    await door.report("api-1", {"path": "/forged", "taps": [name]})
    await door.report("web-1", {"path": "/true", "taps": [name, name, "other"]})
    await door.report("web-1", {"path": "/next", "taps": [name]})
    assert [(await next_line(lines))["path"] for _ in range(2)] == ["/true", "/next"]
    await lines.aclose()


async def test_who_was_not_asked_puts_no_headers_in_and_nobody_who_did_not_ask_sees_any(door: Door) -> None:
    full, plain = await door.tap("service=web", headers=True), await door.tap("service=web")
    await until(lambda: len(door.asked["web-1"]) == 2)
    of_headers = {"request_headers": {"x": "y"}, "response_headers": {"x": "y"}, "response_trailers": {"x": "y"}}
    peer = "spiffe://cluster.local/ns/shop/sa/web"
    unreached = {"path": "/unreached", "status": 503, "cluster": "outbound|80||web.shop.svc.cluster.local"}
    for taps in ([], list(door.asked["web-1"])):
        await door.report("api-1", {**unreached, "taps": taps, **of_headers})
    await door.report(
        "web-1", {"path": "/a", "status": 503, "peer_id": peer, "taps": list(door.asked["web-1"]), **of_headers}
    )
    found = [[await next_line(lines) for _ in range(3)] for lines in (full, plain)]
    assert [one["path"] for one in found[0]] == [one["path"] for one in found[1]] == ["/unreached", "/unreached", "/a"]
    assert {name: found[0][2][name] for name in of_headers} == of_headers
    assert of_headers.keys().isdisjoint({name for one in [*found[0][:2], *found[1]] for name in one})
    assert len(list(door.calls)) == 3 and all(one.told == one.told.without_headers() for one in door.calls)
    await full.aclose()
    await plain.aclose()


async def test_one_that_tells_without_end_takes_no_room_from_the_others(door: Door) -> None:
    lines = await door.tap("max_rps=10")
    [name] = door.asked["web-1"]
    await door.report("api-1", {"path": "/quiet", "taps": [name]})
    for _ in range(5):
        await door.report("web-1", *[{"path": "/loud", "taps": [name]} for _ in range(500)])
    first = await next_line(lines)
    assert (first["path"], first["lost"]) == ("/quiet", 2500 - 100)
    for _ in range(100):
        assert (await next_line(lines))["path"] == "/loud"
    await lines.aclose()


async def test_what_is_no_report_is_refused(door: Door) -> None:
    with pytest.raises(HTTPException, match="this is no report"):
        await door.report("web-1", {"path": "/a\nb"})
    with pytest.raises(HTTPException, match="there is no proxy"):
        await door.report("nobody-1")
