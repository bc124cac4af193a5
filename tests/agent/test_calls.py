"""Single requests that Envoy tells of: which of them the control plane learns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from tulle.agent import calls
from tulle.agent.calls import Calls
from tulle.model.calls import Wanted, is_notable, is_wanted, runtime

OFF, ON, WITH_HEADERS = (
    runtime(tapped=tapped, headers=headers) for tapped, headers in ((False, False), (True, False), (True, True))
)

Until = Callable[..., Awaitable[Any]]


class Reports:
    """Takes what is told, or fails."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.fails = False
        self.came = asyncio.Event()

    async def send(self, body: bytes) -> Any:
        if self.fails:
            self.came.set()
            raise ConnectionRefusedError
        self.told.append(json.loads(body))
        self.came.set()
        return {}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.runtime: list[Mapping[str, int]] = []
        self.calls = Calls(self._set, self.clock)
        self.reports = Reports()
        self.failures = 0  # that are still to come

    async def _set(self, values: Mapping[str, int]) -> None:
        self.runtime.append(values)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("its admin interface does not answer")

    async def told(self) -> dict[str, Any]:
        running = asyncio.create_task(self.calls.run(self.reports))  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(10):
                await self.reports.came.wait()
        finally:
            running.cancel()
            await asyncio.wait([running])
        return self.reports.told[-1] if self.reports.told else {}


def line(**fields: Any) -> bytes:
    call = {
        "about": "call",
        "side": "source",
        "method": "GET",
        "path": "/a",
        "status": 200,
        "duration": 3,
        "flags": "-",
    }
    return json.dumps({**call, **fields}).encode()


async def test_what_went_well_is_told_to_nobody_unless_somebody_looks() -> None:
    bench = Bench()
    bench.calls.told(line())
    bench.calls.told(line(status=503, flags="UH"))
    assert [call["status"] for call in (await bench.told())["calls"]] == [503]


async def test_somebody_who_looks_sees_what_he_wants_and_envoy_tells_all_meanwhile() -> None:
    bench = Bench()
    bench.calls.wish({"one": {"path": "/a", "seconds": 15}, "two": {"status": "5xx"}})
    bench.calls.told(line())
    bench.calls.told(line(path="/b"))
    told = await bench.told()
    assert [(call["path"], call["taps"]) for call in told["calls"]] == [("/a", ["one"])]
    assert bench.runtime == [ON]


async def test_when_nobody_asks_any_more_envoy_tells_no_more() -> None:
    bench = Bench()
    bench.calls.wish({"one": {"seconds": 15}})
    bench.calls.told(line())
    await bench.told()
    bench.clock.now += 16
    bench.reports.came.clear()
    bench.calls.told(line(status=500))
    await bench.told()
    assert bench.runtime == [ON, OFF]


async def test_an_envoy_that_does_not_answer_is_asked_again(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PAUSE", 0.01)
    monkeypatch.setattr(calls, "_TAP_PAUSE", 0.01)
    bench = Bench()
    running = asyncio.create_task(bench.calls.run(bench.reports))  # type: ignore[arg-type]
    bench.failures = 1
    bench.calls.wish({"one": {"seconds": 15}})
    await until(lambda: len(bench.runtime) == 2)
    bench.failures = 1
    await bench.calls.renew()
    await until(lambda: len(bench.runtime) == 4)
    bench.clock.now, bench.failures = bench.clock.now + 16, 2
    await until(lambda: len(bench.runtime) == 7)
    running.cancel()
    assert bench.runtime == 4 * [ON] + 3 * [OFF]


async def test_too_many_are_counted_not_told() -> None:
    bench = Bench()
    for _ in range(5000):
        bench.calls.told(line(status=500))
    told = await bench.told()
    assert len(told["calls"]) == 50 and told["lost"] == 4950


async def test_what_could_not_be_told_counts_as_lost() -> None:
    bench = Bench()
    bench.reports.fails = True
    bench.calls.told(line(status=500))
    await bench.told()
    bench.reports.fails = False
    bench.reports.came.clear()
    bench.calls.told(line(status=502))
    told = await bench.told()
    assert [call["status"] for call in told["calls"]] == [502] and told["lost"] == 1


async def test_nonsense_from_either_side_hurts_nobody() -> None:
    bench = Bench()
    bench.calls.wish(5)
    odd = {"four": {"path": 5}, "five": {"most": None}, "six": {"status": "?"}, "seven": None}
    bench.calls.wish({"one": {"unknown": 1}, "two": {"seconds": "x"}, "three": {}, **odd})
    bench.calls.told(b'{"about":"call", "cut off')
    bench.calls.told(line(path="\x1b[31m\u00e4" + 1000 * "x", status=500))
    told = await bench.told()
    path = told["calls"][0]["path"]
    assert told["calls"][0]["taps"] == ["three"]
    assert told["lost"] == 1 and len(path) == 300 and path.startswith("?[31m?")


def with_headers(**fields: Any) -> bytes:
    told = {
        "about": "call with headers",
        "request_headers": {":path": "/a?secret=1", "accept": "*/*", "authorization": "Bearer abcdefgh"},
        "response_headers": {":status": "200", "server": "demo"},
    }
    return line(**{**told, **fields})


async def test_headers_are_told_for_those_alone_who_want_them_and_no_secret_is() -> None:
    bench = Bench()
    bench.calls.wish({"plain": {"path": "/b"}, "full": {"path": "/a", "headers": True}})
    bench.calls.told(with_headers())
    bench.calls.told(with_headers(path="/b"))
    bench.calls.told(with_headers(path="/c", status=500))
    full, *others = (await bench.told())["calls"]
    assert bench.runtime == [WITH_HEADERS]
    assert full["taps"] == ["full"]
    assert full["request_headers"] == {"accept": "*/*", "authorization": "<redacted, 15 bytes>"}
    assert (full["response_headers"], full["response_trailers"]) == ({"server": "demo"}, {})
    assert [(one["path"], one["taps"]) for one in others] == [("/b", ["plain"]), ("/c", [])]
    assert not any("headers" in name or "trailers" in name for one in others for name in one)


async def test_what_envoy_told_before_it_was_turned_is_not_for_those_who_want_headers() -> None:
    bench = Bench()
    bench.calls.wish({"full": {"headers": True}, "plain": {}})
    bench.calls.told(line())
    assert [call["taps"] for call in (await bench.told())["calls"]] == [["plain"]]


async def test_headers_end_with_the_wish_for_them_and_what_envoy_does_not_take_is_tried_again() -> None:
    bench = Bench()
    bench.calls.wish({"plain": {}, "full": {"headers": True}})
    bench.calls.told(with_headers())
    await bench.told()
    bench.calls.wish({"plain": {}})
    bench.failures = 1
    bench.calls.told(with_headers())
    bench.reports.came.clear()
    [call] = (await bench.told())["calls"]
    assert "request_headers" not in call
    bench.calls.told(line())
    bench.reports.came.clear()
    await bench.told()
    bench.calls.wish({})
    bench.failures = 1
    bench.calls.told(with_headers(status=500))  # by one that can't be told any more, as its admin interface is gone
    bench.reports.came.clear()
    [call] = (await bench.told())["calls"]
    assert (call["status"], "request_headers" in call) == (500, False)
    assert bench.runtime == [WITH_HEADERS, ON, ON, OFF]


@pytest.mark.parametrize(
    "said",
    [
        {"headers": True, "most": 101},
        {"headers": "yes"},
        {"most": 1001},
        {"most": 0},
        {"path": 5},
        {"path": "a"},
        {"status": "5x5"},
        {"seconds": "x"},
        [],
    ],
)
async def test_what_is_beyond_an_agents_bounds_is_not_done(said: Any) -> None:
    bench = Bench()
    bench.calls.wish({"one": said})
    bench.calls.told(with_headers(status=500))
    [call] = (await bench.told())["calls"]
    assert call["taps"] == [] and "request_headers" not in call and bench.runtime == []


async def test_headers_take_no_more_room_than_there_is() -> None:
    bench = Bench()
    bench.calls.wish({"one": {"headers": True}})
    large = {f"x-{number}": 1000 * "v" for number in range(100)}
    for _ in range(90):
        bench.calls.told(with_headers(request_headers=large, response_headers=large))
    told = await bench.told()
    assert 25 < len(told["calls"]) < 90 and len(told["calls"]) + told["lost"] == 90
    assert len(json.dumps(told)) < 1 << 20
    assert told["calls"][0]["request_headers"]["(more)"].endswith("headers are left out")


async def test_long_lines_count_for_several() -> None:
    bench = Bench()
    bench.calls.wish({"one": {"headers": True, "most": 100}})
    for _ in range(100):
        bench.calls.told(with_headers(request_headers={"x": 400_000 * "v"}))
    told = await bench.told()
    assert len(told["calls"]) < 25 and len(told["calls"]) + told["lost"] == 100


async def test_a_new_envoy_is_told_as_well() -> None:
    bench = Bench()
    await bench.calls.renew()
    bench.calls.wish({"one": {}})
    bench.calls.told(line())
    await bench.told()
    await bench.calls.renew()
    assert bench.runtime == [ON] * 2
    bench.clock.now += 16
    await bench.calls.renew()
    await bench.calls.renew()
    assert bench.runtime == [ON, ON, OFF], "nobody looks any more, of which one that it took over from is told"


async def test_what_some_envoy_may_have_taken_is_taken_back_although_another_did_not_answer() -> None:
    bench = Bench()
    bench.failures = 1
    bench.calls.wish({"one": {"headers": True}})
    await bench.calls.renew()
    bench.calls.wish({})
    await bench.calls.renew()
    assert bench.runtime == [WITH_HEADERS, OFF]


@pytest.mark.parametrize(("grpc", "fails"), [("-", False), (0, False), (5, False), (8, False), (12, True), (14, True)])
def test_what_fails_by_grpc_is_what_figures_take_for_a_failure(grpc: int | str, fails: bool) -> None:
    call = {"status": 200, "grpc": grpc}
    assert is_notable(call) is is_wanted(Wanted(status="error"), call) is fails
