"""Logs over the API: the control plane's own, and agents', which are asked over their sessions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from tulle.api.own_log import OWN_LOG
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Proxy

LINE = {"number": 1, "time": "2026-01-02T03:04:05.678Z", "level": "info", "logger": "agent", "message": "said"}


async def test_the_control_planes_lines_are_told_and_their_level_is_changed(api: Any) -> None:
    OWN_LOG.ring.add("info", "tests", "before")
    status, found = await api.ask("GET", "/v1/logs")
    assert (status, found["proxy"], found["level"]) == (200, "", "info")
    last = found["lines"][-1]
    assert (last["message"], last["logger"]) == ("before", "tests")
    try:
        assert (await api.ask("PUT", "/v1/logs/level", b'{"level": "error"}'))[0] == 200
        OWN_LOG.ring.add("warning", "tests", "unsaid")
        OWN_LOG.ring.add("error", "tests", "said")
        _, later = await api.ask("GET", f"/v1/logs?after={last['number']}")
        assert [line["message"] for line in later["lines"]] == ["said"] and later["level"] == "error"
    finally:
        OWN_LOG.set_level("info")
    for path in ("/v1/logs?level=loud", "/v1/logs?after=x", "/v1/logs?since=x"):
        assert (await api.ask("GET", path))[0] == 400
    assert (await api.ask("PUT", "/v1/logs/level", b'{"level": "loud"}'))[0] == 400


async def test_an_agent_without_a_session_can_not_be_asked(api: Any) -> None:
    status, found = await api.ask("GET", "/v1/proxies/nobody/logs")
    assert (status, found) == (404, {"error": "there is no proxy nobody"})
    for unasked in (b'{"id": "0", "level": "info"}', b"not even read"):
        status, _ = await api.ask("POST", "/v1/agents/web-3fa2c1/logs", unasked)
        assert status == 200


async def test_an_agent_tells_its_lines_and_none_that_are_beyond_all_bounds(api: Any, web: Proxy) -> None:
    api.mesh.hub.apply(Snapshot(10**6, {web.id: web}))
    async with api.agent(web.id) as agent:
        agent.say(proxy=msgspec.to_builtins(web))
        await api.see(lambda: web.id in api.agents.registered)
        asking = asyncio.create_task(api.ask("GET", f"/v1/proxies/{web.id}/logs"))
        while "log" not in (heard := (await agent.hear()).get("do", {})):
            pass
        answer = {"id": heard["log"]["id"], "level": "info"}
        odd: list[dict[str, Any]] = [
            {"number": 2**60},
            {"time": "x" * 41},
            {"level": "\x1b[31m"},
            {"message": "x" * 5000},
            {"logger": "x" * 201},
        ]
        for lines in (*([{**LINE, **one}] for one in odd), [LINE] * 1001):
            status, told = await api.ask(
                "POST", f"/v1/agents/{web.id}/logs", json.dumps({**answer, "lines": lines}).encode()
            )
            assert (status, "this is no answer about logs" in told["error"]) == (400, True)
        assert (await api.ask("POST", f"/v1/agents/{web.id}/logs", json.dumps({**answer, "lines": [LINE]}).encode()))[
            0
        ] == 200
        status, found = await asking
        assert (status, found["lines"]) == (200, [LINE])
