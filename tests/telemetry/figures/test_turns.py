"""However much there is to add up, the event loop is never held for more than a few flows: heartbeats come in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tulle.api.callers_shown import callers
from tulle.api.figures_shown import Asked, Instances, graph, history, stats
from tulle.model.names import ServiceName
from tulle.model.workload import Workload
from tulle.telemetry.figures.memory import AT_ONCE, FINE, FINE_SLOTS, SPAN, Figures
from tulle.telemetry.figures.report import Report, Series

FLOWS = 200
NOBODY = Instances({})


class Mesh:
    """Of as many services as flows, each with one caller that its sidecar names."""

    def __init__(self) -> None:
        self.now = 1e6
        self.figures = Figures(lambda: self.now)

    async def told(self) -> None:
        for number in range(FLOWS):
            await self.figures.take(f"p-{number}", service(number), Report("b", 1, 2.0, [called(number)]))

    def asked(self, window: float) -> Asked:
        return Asked(window, self.now, self.now)


def service(number: int) -> Workload:
    return Workload(f"p-{number}", ServiceName("shop", f"s{number}"), "sa", "v1")


def called(number: int) -> Series:
    return Series({"reporter": "destination", "route": f"r{number}", "response_code": "200"}, requests=1)


async def turns(work: Callable[[], Awaitable[Any]]) -> int:
    """How often something else had the loop while this was done."""
    count = 0

    async def look() -> None:
        nonlocal count
        while True:
            await asyncio.sleep(0)
            count += 1

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    try:
        await work()
    finally:
        looking.cancel()
    return count


@pytest.mark.parametrize("window", [60.0, 900.0, 86400.0])
async def test_every_answer_is_made_in_turns_with_all_else(window: float) -> None:
    mesh = Mesh()
    await mesh.told()
    asked = mesh.asked(window)
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "stats": lambda: stats(mesh.figures, NOBODY, "service", asked),
        "graph": lambda: graph(mesh.figures, NOBODY, asked),
        "history": lambda: history(mesh.figures, asked, 5.0),
        "callers": lambda: callers(mesh.figures, asked),
    }
    for name, work in works.items():
        assert await turns(work) >= FLOWS // AT_ONCE, name
    if window == 60.0:
        assert await turns(lambda: stats(mesh.figures, NOBODY, "proxy", asked)) >= FLOWS // AT_ONCE


async def test_what_a_long_silent_agent_tells_at_once_is_taken_in_turns() -> None:
    mesh = Mesh()
    report = Report("b", 1, FINE * FINE_SLOTS, [called(number) for number in range(FLOWS)])
    assert await turns(lambda: mesh.figures.take("p-1", service(1), report)) >= FLOWS / 4
    found = [total["requests"] async for _, total in mesh.figures.totals(FINE * FINE_SLOTS, mesh.now)]
    assert sum(found) == pytest.approx(FLOWS, rel=1e-3)


async def test_it_is_tidied_in_turns_and_what_is_told_meanwhile_stays() -> None:
    mesh = Mesh()
    await mesh.told()
    mesh.now += SPAN + 1

    async def tidied() -> None:
        tidying = asyncio.create_task(mesh.figures.tidy())
        await asyncio.sleep(0)
        await mesh.figures.take(f"p-{FLOWS - 1}", service(FLOWS - 1), Report("b", 2, 2.0, [called(FLOWS - 1)]))
        await tidying

    assert await turns(tidied) >= 3
    assert [flow.destination.name for flow in mesh.figures.flows] == [f"s{FLOWS - 1}"]


async def test_a_question_sees_what_was_there_when_flows_come_meanwhile() -> None:
    mesh = Mesh()
    await mesh.told()
    seen = 0
    async for _ in mesh.figures.totals(60.0, mesh.now):
        seen += 1
        if seen == 1:
            await mesh.figures.take("p-1", service(1), Report("b", 2, 2.0, [called(7)]))
            await mesh.figures.tidy()
    assert (seen, len(list(mesh.figures.flows))) == (FLOWS, FLOWS + 1)
