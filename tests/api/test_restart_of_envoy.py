"""A restart of a sidecar's Envoy: asked for by one, done by another, over the agent's session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tulle.model.workload import Proxy

PATH = "/v1/proxies/web-3fa2c1/restart"


async def test_the_agent_is_asked_and_its_answer_passed_on(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"registered": True}
        asking = asyncio.create_task(api.ask("POST", f"{PATH}?within=20"), name="restart")
        asked = await agent.hear()
        assert asked == {"restart": 1, "within": 20.0}
        agent.say(health="starting")
        agent.say(restarted=1, error="the new Envoy said no")
        assert await asking == (502, {"error": "the new Envoy said no"})

        asking = asyncio.create_task(api.ask("POST", PATH), name="restart")
        assert (await agent.hear())["restart"] == 2
        agent.say(restarted=1)  # late, and of one that nobody waits for
        agent.say(restarted=2)
        api.agents.in_sync.set()
        status, answer = await asking
        assert (status, answer["proxy"]) == (200, "web-3fa2c1")


async def test_it_is_done_though_the_new_envoy_has_not_acknowledged_all_in_time(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        await agent.hear()
        asking = asyncio.create_task(api.ask("POST", f"{PATH}?within=0.2"), name="restart")
        agent.say(restarted=(await agent.hear())["restart"])
        assert (await asking)[0] == 200


async def test_an_agent_that_says_nothing_or_goes_is_told_of(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        await agent.hear()
        status, answer = await api.ask("POST", f"{PATH}?within=0.1")
        assert (status, answer["error"]) == (502, "its agent has not answered within 0.1 s")
        await agent.hear()
        asking = asyncio.create_task(api.ask("POST", PATH), name="restart")
        await agent.hear()
        agent.vanish()
        status, answer = await asking
        assert status == 502
        assert "its agent has gone" in answer["error"]
    status, answer = await api.ask("POST", PATH)
    assert status == 502
    assert "has no session" in answer["error"]


@pytest.mark.parametrize("within", ["0", "-1", "x", "inf", "nan", "3601"])
async def test_no_length_of_time_is_refused(api: Any, within: str) -> None:
    assert (await api.ask("POST", f"{PATH}?within={within}"))[0] == 400


async def test_only_who_knows_the_secret_may_restart(api: Any) -> None:
    assert (await api.ask("POST", PATH, secret="0" * 64))[0] == 401
    assert (await api.ask("POST", "/v1/proxies/nobody/restart"))[0] == 404
    assert (await api.ask("GET", PATH))[0] == 405
