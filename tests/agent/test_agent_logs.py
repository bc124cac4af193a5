"""What an agent answers when it is asked for its log, and what of its Envoy's is kept at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from tulle.agent.logs import AgentLogs
from tulle.agent.reports import Reports
from tulle.model.log_lines import MOST_LINES, Ring


class Sent:
    """In place of a way to the control plane."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, body: bytes) -> Any:
        await self.answers.put(json.loads(body))


class Asked:
    def __init__(self) -> None:
        self.levels: list[str] = []
        self.ring = Ring()
        self.logs = AgentLogs(self.ring, "web-000001", self._set_envoy)

    async def _set_envoy(self, level: str) -> None:
        if level == "error":
            raise ConnectionError("its admin interface does not answer")
        self.levels.append(level)

    async def answer(self, **wish: Any) -> dict[str, Any]:
        sent = Sent()
        task = asyncio.create_task(self.logs.run(cast(Reports, sent)))
        self.logs.wish({"id": "7", **wish})
        async with asyncio.timeout(5):
            found = await sent.answers.get()
        task.cancel()
        return found

    async def messages(self, **wish: Any) -> list[str]:
        return [line["message"] for line in (await self.answer(**wish))["lines"]]


async def test_lines_are_told_from_a_level_on_and_after_a_number() -> None:
    asked = Asked()
    asked.ring.add("info", "agent", "one", 10.0)
    asked.ring.add("warning", "agent", "two", 20.0)
    asked.ring.add("debug", "agent", "three", 30.0)
    assert await asked.messages() == ["one", "two"]
    assert await asked.messages(after=1) == await asked.messages(since=15.0) == ["two"]
    assert await asked.messages(**{"from": "error"}) == await asked.messages(**{"from": "loud"}) == []
    [first, _] = (await asked.answer())["lines"]
    assert (first["time"], first["number"], first["logger"]) == ("1970-01-01T00:00:10.000Z", 1, "agent")


async def test_a_level_is_the_agents_and_its_envoys_until_it_is_set_again() -> None:
    asked = Asked()
    assert (await asked.answer(level="debug"))["level"] == asked.ring.least == "debug"
    await asked.logs.renew()
    assert (await asked.answer(level="info"))["level"] == "info"
    await asked.logs.renew()
    assert asked.levels == ["debug", "debug", "warning"]
    failed = await asked.answer(level="error")
    assert (failed["level"], failed["problem"]) == ("error", "its admin interface does not answer")


async def test_of_envoys_log_messages_are_kept_and_what_it_was_sent_is_not() -> None:
    asked = Asked()
    asked.logs.said(b"[2026-01-02 03:04:05.678][12][debug][pool] [src.cc:1] [C0] quiet")
    asked.logs.said(b"[2026-01-02 03:04:05.678][12][warning][config] [src.cc:1] a listener is rejected:")
    asked.logs.said(b"  because\x1b[2J")
    asked.ring.least = "debug"
    asked.logs.said(b"[2026-01-02 03:04:05.678][12][debug][upstream] [src.cc:1] a cluster")
    asked.logs.said(b'  inline_string: "-----BEGIN"')
    assert await asked.messages() == ["[src.cc:1] a listener is rejected:", "  because?[2J", "[src.cc:1] a cluster"]
    [warning, *_] = (await asked.answer())["lines"]
    assert (warning["level"], warning["logger"], warning["more"]) == (
        "warning",
        "envoy.config",
        {"instance": "web-000001"},
    )


async def test_only_the_last_lines_are_kept_and_none_without_end() -> None:
    asked = Asked()
    for number in range(MOST_LINES + 5):
        asked.ring.add("info", "agent", f"{number}")
    asked.ring.add("info", "agent", "x" * 10_000)
    found = await asked.messages()
    assert (len(found), found[0], len(found[-1])) == (MOST_LINES, "6", 4001)


async def test_more_wishes_than_can_be_answered_are_dropped() -> None:
    asked = Asked()
    for _ in range(100):
        asked.logs.wish({"id": "1"})
    asked.logs.wish("nonsense")


async def test_what_can_not_be_understood_is_a_problem_and_not_the_agents_end() -> None:
    answer = await Asked().answer(after=None, since="yesterday")
    assert answer["lines"] == [] and "another version" in answer["problem"]
