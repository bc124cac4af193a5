"""Requests as they end: who gets to see which of them, and that their headers are for admins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tulle.model.api_token import ApiToken, encode
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Proxy

OF_HEADERS = {"request_headers": {"accept": "*/*"}, "response_headers": {"server": "demo"}, "response_trailers": {}}
CALL = {"side": "destination", "method": "GET", "path": "/a", "status": 503, "id": "abc-123-def"}


async def token_of(api: Any, name: str, role: str) -> str:
    user, secret = await api.users.create(name, role, 60)
    return encode(ApiToken(user.name, secret))


class Looking:
    """Somebody who looks. head: of the answer."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self.head, self._reader = head, reader

    async def seen(self) -> Any:
        """The next call."""
        while True:
            chunk = await asyncio.wait_for(self._reader.readuntil(b"\r\n"), 10)
            if chunk.startswith(b"{"):
                return json.loads(chunk)


@asynccontextmanager
async def looking(api: Any, path: str, token: str) -> AsyncIterator[Looking]:
    async with api.connection() as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        yield Looking(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10), reader)


@pytest.fixture
async def agent(api: Any, web: Proxy) -> AsyncIterator[Any]:
    api.mesh.hub.apply(Snapshot(10**6, {web.id: web}))
    async with api.agent(web.id) as session:
        session.say(proxy=msgspec.to_builtins(web))
        await api.see(lambda: web.id in api.agents.registered)
        yield session


async def wished(agent: Any, taps: int) -> dict[str, Any]:
    """What the agent is asked to tell, once so many look."""
    while True:
        heard = await agent.hear()
        found: dict[str, Any] = heard.get("do", {}).get("tap", {})
        if len(found) == taps:
            return found


async def test_headers_are_seen_by_an_admin_who_asks_and_kept_for_nobody(api: Any, agent: Any) -> None:
    ada, vera = await token_of(api, "ada", "admin"), await token_of(api, "vera", "viewer")
    async with looking(api, "/v1/tap/headers?service=web", ada) as full, looking(api, "/v1/tap?path=/a", vera) as plain:
        wanted = await wished(agent, 2)
        assert sorted(one.get("headers", False) for one in wanted.values()) == [False, True]
        report = {"calls": [{**CALL, **OF_HEADERS, "taps": list(wanted)}]}
        assert await api.ask("POST", "/v1/agents/web-3fa2c1/calls", json.dumps(report).encode()) == (200, {})
        call = await full.seen()
        assert {name: call[name] for name in OF_HEADERS} == OF_HEADERS
        bare = {"request_headers": {"cookie": "a=1"}, "response_headers": {"x": "Bearer abcdefgh"}}
        report = {"calls": [{**CALL, **bare, "path": "/b", "taps": list(wanted)}]}
        assert await api.ask("POST", "/v1/agents/web-3fa2c1/calls", json.dumps(report).encode()) == (200, {})
        call = await full.seen()  # of an agent that has redacted nothing
        assert call["request_headers"] == {"cookie": "<redacted, 3 bytes>"}
        assert call["response_headers"] == {"x": "<redacted, 15 bytes>"}
        for other in (await plain.seen(), *(await api.ask("GET", "/v1/calls"))[1]["calls"]):
            assert other["path"] in ("/a", "/b") and OF_HEADERS.keys().isdisjoint(other)
    [event] = api.events
    assert (event.event, event.who, event.what) == ("looked at headers", "user ada", "GET /v1/tap/headers: service=web")


async def test_a_viewer_is_refused_headers_and_asks_no_agent_for_them(api: Any, agent: Any) -> None:
    vera = await token_of(api, "vera", "viewer")
    status, answer = await api.ask("GET", "/v1/tap/headers", secret=vera)
    assert (status, answer) == (
        403,
        {"error": "user vera has the role viewer, and GET /v1/tap/headers needs admin"},
    )
    assert [(event.event, event.what) for event in api.events] == [("refused", "GET /v1/tap/headers")]
    async with looking(api, "/v1/tap?headers=true&headers=1", vera):
        [wanted] = (await wished(agent, 1)).values()
    assert "headers" not in wanted


@pytest.mark.parametrize("query", ["max_rps=101", "status=5x5", "path=a", "side=up"])
async def test_what_can_not_be_wanted_is_refused_and_nobody_looked(api: Any, query: str) -> None:
    ada = await token_of(api, "ada", "admin")
    assert (await api.ask("GET", f"/v1/tap/headers?{query}", secret=ada))[0] == 400
    assert api.events == []


@pytest.mark.parametrize(
    "headers",
    [
        {f"x-{number}": "v" for number in range(62)},
        {"x": "v" * 551},
        {"x" * 101: "v"},
        {"x": "\x1b[31m"},
        {"x": 1},
        ["x"],
    ],
)
async def test_an_agent_that_tells_of_more_than_it_may_is_refused(api: Any, agent: Any, headers: Any) -> None:
    report = {"calls": [{**CALL, "request_headers": headers}]}
    status, answer = await api.ask("POST", "/v1/agents/web-3fa2c1/calls", json.dumps(report).encode())
    assert (status, "this is no report of requests" in answer["error"]) == (400, True)
