"""Envoys are read, and the control plane is told, whatever becomes of either."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.api import ControlPlane
from tulle.agent.figures.collectors import Counts
from tulle.agent.figures.labels import UNKNOWN
from tulle.agent.figures.reading import Reading
from tulle.agent.figures.reporting import Reporting
from tulle.agent.figures.telling import Telling
from tulle.agent.figures.totals import Totals
from tulle.agent.reports import Reports


class FakeEnvoy:
    """At the seam where an Envoy is asked. count: of requests that it has answered. streams: of answers that have begun."""

    def __init__(self) -> None:
        self.count = 0
        self.streams = 0
        self.is_silent = False
        self.tells = True
        self.read_whole = 0
        self.untaken: Counts = {}

    async def calls(self) -> Mapping[str, int] | None:
        completed = self.count + self.streams
        answered = {
            "http.outbound.downstream_rq_completed": completed,
            "http.outbound.downstream_rq_active": self.streams,
        }
        return None if self.is_silent else answered

    async def figures(self) -> bytes | None:
        self.read_whole += 1
        if self.is_silent:
            return None
        tags = 'reporter="source",response_code="200",cluster="outbound|80||b.default.svc.cluster.local"'
        return f"# TYPE a counter\nenvoy_istio_requests_total{{{tags}}} {self.count}\n".encode() if self.tells else b""

    async def collectors(self) -> Counts | None:
        return None if self.is_silent else self.untaken


class Agent:
    """A reading of some Envoys. Its clock stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.envoys: list[FakeEnvoy] = [FakeEnvoy()]
        self.totals = Totals(UNKNOWN)
        self.reading = Reading(self.totals, lambda: list(self.envoys), lambda: self.now)
        self.telling = Telling(self.totals, "boot", lambda: self.now, lambda: {"series": 0, "requests": 0})

    @property
    def requests(self) -> float:
        return sum(flow.totals["istio_requests_total"][0] for flow in self.totals.flows)

    async def look(self, seconds: float = 2.0) -> None:
        self.now += seconds
        await self.reading._look()


@pytest.fixture
def agent() -> Agent:
    return Agent()


async def test_while_nothing_is_called_envoy_is_asked_for_the_number_of_calls_alone(agent: Agent) -> None:
    envoy = agent.envoys[0]
    for _ in range(30):
        await agent.look()
    assert envoy.read_whole <= 10
    before = envoy.read_whole
    envoy.count += 1
    await agent.look()
    assert (envoy.read_whole, agent.requests) == (before + 1, 1)


async def test_one_that_does_not_answer_is_a_gap_and_nothing_is_counted_twice(agent: Agent) -> None:
    envoy = agent.envoys[0]
    envoy.count = 5
    await agent.look()
    envoy.is_silent = True
    await agent.look()
    envoy.is_silent, envoy.count = False, 7
    await agent.look()
    assert (agent.requests, agent.reading.failed) == (7, 1)


async def test_a_new_one_beside_one_that_drains_are_both_read_and_the_counters_go_on(agent: Agent) -> None:
    old, new = agent.envoys[0], FakeEnvoy()
    old.count = 10
    await agent.look()
    agent.envoys.append(new)
    new.count, old.count = 3, 11
    await agent.look()
    assert agent.requests == 14
    old.count = 12
    await agent.reading.last(old)
    agent.envoys.remove(old)
    new.count = 4
    await agent.look()
    assert agent.requests == 16


async def test_what_envoy_answered_and_has_in_no_series_is_counted(agent: Agent) -> None:
    envoy = agent.envoys[0]
    envoy.count = 5
    await agent.look()
    assert agent.reading.uncounted["source"] == 0
    envoy.tells, envoy.count = False, 8
    await agent.look()
    assert agent.reading.uncounted == {"source": 3, "destination": 0}


async def test_what_collectors_did_not_take_is_told_once_whatever_becomes_of_envoys(
    agent: Agent, control_plane: FakeControlPlane
) -> None:
    kind = ("outbound|4317||otel.example.com|telemetry-5000ms", "upstream_rq_4xx")
    old, new = agent.envoys[0], FakeEnvoy()
    old.untaken = {kind: 3}
    await agent.look()
    running = reporting(agent, control_plane.data)
    await running._send()
    agent.envoys.append(new)
    old.untaken, new.untaken = {kind: 4}, {kind: 1}
    await agent.look()
    control_plane.answers = [(0, None), (200, {})]
    await running.finish(5)
    await running.finish(5)
    by_number = {report["number"]: report["collectors"] for report in control_plane.reports}
    assert by_number == {1: {"otel.example.com:4317": 3}, 2: {"otel.example.com:4317": 2}}
    assert not agent.telling.has_more


async def test_an_answer_that_has_not_ended_yet_is_not_missed(agent: Agent) -> None:
    envoy = agent.envoys[0]
    envoy.count, envoy.streams = 5, 2
    await agent.look()
    envoy.count, envoy.streams = 7, 0
    await agent.look()
    assert (agent.reading.uncounted["source"], agent.requests) == (0, 7)


async def test_who_wants_to_know_now_gets_what_is_there_now(agent: Agent) -> None:
    agent.envoys[0].count = 9
    await asyncio.gather(*(agent.reading.refresh(5) for _ in range(20)))
    assert (agent.requests, agent.envoys[0].read_whole) == (9, 1)


async def test_an_envoy_that_hangs_holds_nobody_up(agent: Agent) -> None:
    hangs = asyncio.Event()

    class Hanging(FakeEnvoy):
        async def calls(self) -> Mapping[str, int] | None:
            await hangs.wait()
            return await super().calls()

    agent.envoys = [Hanging()]
    agent.envoys[0].count = 2
    await asyncio.wait_for(agent.reading.refresh(0.01), 5)
    hangs.set()
    await agent.reading.refresh(5)
    assert agent.requests == 2


class FakeControlPlane:
    """Takes reports, or refuses them. answers: the status and the body of each, the last one for ever."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.reports: list[Any] = []
        self.answers: list[tuple[int, Any]] = [(200, {"again": 0.1})]

    async def __aenter__(self) -> FakeControlPlane:
        self.data.mkdir(exist_ok=True)
        (self.data / "secret").write_text("secret")
        self.server = await asyncio.start_unix_server(self._serve, self.data / "api.sock")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        (self.data / "api.sock").unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                assert head.startswith("POST /v1/agents/a-1/metrics HTTP/1.1\r\n")
                length = int(head.lower().partition("content-length:")[2].split()[0])
                self.reports.append(json.loads(await reader.readexactly(length)))
                status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if status:
                    body = json.dumps(answer).encode()
                    writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
                else:
                    break
        writer.close()


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[FakeControlPlane]:
    async with FakeControlPlane(tmp_path / "state") as running:
        yield running


def reporting(agent: Agent, data: Path) -> Reporting:
    reports = Reports(ControlPlane(data), "a-1", "metrics", "application/json")
    return Reporting(agent.reading, agent.telling, reports)


def told(reports: list[Any]) -> float:
    """Each number once."""
    return float(sum(s["requests"] for r in {r["number"]: r for r in reports}.values() for s in r["series"]))


async def test_at_the_end_everything_is_told(agent: Agent, control_plane: FakeControlPlane) -> None:
    agent.envoys[0].count = 5
    await agent.look()
    running = reporting(agent, control_plane.data)
    await running.finish(5)
    assert (told(control_plane.reports), running.sent, agent.telling.has_more) == (5, 1, False)


async def test_a_report_whose_confirmation_was_lost_comes_again_as_it_was(
    agent: Agent, control_plane: FakeControlPlane
) -> None:
    control_plane.answers = [(0, None), (200, {})]
    agent.envoys[0].count = 5
    await agent.look()
    running = reporting(agent, control_plane.data)
    await running._send()
    agent.envoys[0].count = 6
    await agent.look()
    await running.finish(5)
    assert [r["number"] for r in control_plane.reports] == [1, 1, 2]
    assert told(control_plane.reports) == 6
    assert (running.sent, running.failed) == (2, 1)


async def test_while_the_control_plane_is_away_nothing_is_lost_and_nothing_grows(agent: Agent, tmp_path: Path) -> None:
    running = reporting(agent, tmp_path / "state")
    for _ in range(50):
        agent.envoys[0].count += 1
        await agent.look()
        await running._send()
    assert running.failed == 50
    async with FakeControlPlane(tmp_path / "state") as control_plane:
        await running.finish(5)
    assert told(control_plane.reports) == 50
    assert [r["seconds"] for r in control_plane.reports] == [2, 98]


async def test_a_report_that_nobody_can_read_is_not_sent_for_ever(
    agent: Agent, control_plane: FakeControlPlane
) -> None:
    control_plane.answers = [(400, {"error": "no"}), (200, {})]
    agent.envoys[0].count = 5
    await agent.look()
    running = reporting(agent, control_plane.data)
    await running._send()
    agent.envoys[0].count = 7
    await agent.look()
    await running.finish(5)
    assert (running.lost, told(control_plane.reports[1:])) == (1, 2)


async def test_it_is_told_as_often_as_the_control_plane_wants(agent: Agent, control_plane: FakeControlPlane) -> None:
    control_plane.answers = [(200, {"again": again}) for again in (7, "x", None, -1, 10**9)]
    await agent.look()
    running = reporting(agent, control_plane.data)
    assert [await running._send() for _ in range(5)] == [7, 2, 2, 0.1, 300]
    await running.finish(1)
