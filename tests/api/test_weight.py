"""An instance's share of the calls is changed through its agent, which registers again."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from tulle.model.workload import Proxy

PATH = "/v1/proxies/web-3fa2c1/weight"


async def test_the_agent_registers_with_the_weight_that_it_is_told(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"registered": True}
        asked = asyncio.create_task(api.ask("POST", f"{PATH}?weight=5"))
        assert await agent.hear() == {"weight": 5}
        heavier = replace(web, workloads=(replace(web.workloads[0], weight=5),))
        agent.say(proxy=heavier)
        assert await asked == (200, {"proxy": "web-3fa2c1", "weight": 5})
        assert api.told[-1] == ("register", heavier)


async def test_without_an_agent_or_when_it_goes_it_is_said(api: Any, web: Proxy) -> None:
    status, refusal = await api.ask("POST", f"{PATH}?weight=5")
    assert status == 502 and "has no session" in refusal["error"]
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"registered": True}
        asked = asyncio.create_task(api.ask("POST", f"{PATH}?weight=5"))
        assert await agent.hear() == {"weight": 5}
        agent.say(bye=True)
        status, refusal = await asked
        assert status == 502 and "has ended" in refusal["error"]


async def test_what_is_no_weight_is_refused(api: Any, web: Proxy) -> None:
    for weight in ("0", "-1", "1000001", "x", ""):
        assert (await api.ask("POST", f"{PATH}?weight={weight}"))[0] == 400
    assert (await api.ask("POST", "/v1/proxies/nobody/weight?weight=1"))[0] == 404
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=replace(web, workloads=(replace(web.workloads[0], weight=0, locality="a//b"),)))
        error = (await agent.hear())["error"]
        assert "weight 0 is not valid" in error and "locality 'a//b' is not valid" in error
