"""Figures over the API: reports taken, and rows, a graph, a course over time and a live stream made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any, NoReturn, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tulle.api import figures as figures_door
from tulle.api.figure_views import InstancesView
from tulle.api.figures import FiguresApi
from tulle.api.figures_shown import Instances
from tulle.model.names import ServiceName
from tulle.model.resources.resource import Ref
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.pipeline.in_force import InForce
from tulle.resolve import index
from tulle.resolve.mesh import Mesh
from tulle.telemetry.figures.memory import Figures

UNIX = 1_800_000_000.0
BUCKETS = [0, 0, 0, 1] + [0] * 16


def proxy(service: str, number: int, *, serves: bool = True) -> Proxy:
    ports, health = ((ServicePort(80, 8080),), Health.HEALTHY) if serves else ((), Health.RUNNING)
    workload = Workload(f"{service}-{number}", ServiceName("shop", service), service, "v1", (), ports, health)
    return Proxy(f"{service}-{number}", "127.0.0.1", 15001, 15002, (workload,))


class AMesh:
    """Of web, api and db. serves: whether web does; else it calls alone."""

    def __init__(self, *, serves: bool = True) -> None:
        proxies = {each.id: each for each in (proxy("web", 1, serves=serves), proxy("api", 1), proxy("db", 1))}
        self._mesh, _ = index.apply(Mesh(), Snapshot(1, proxies))

    def mesh(self) -> Mesh:
        return self._mesh

    async def in_force(self, refs: Collection[Ref] | None = None) -> Mapping[str, InForce]:
        return {}

    def awaited(self, refs: Collection[Ref]) -> NoReturn:
        raise AssertionError("nobody waits")


class Door:
    """now: of both clocks, seconds since the test's start. jump: by how much the machine's clock was set anew since then."""

    def __init__(self) -> None:
        self.now = 10_000.0
        self.jump = 0.0
        self.api = FiguresApi(Figures(lambda: self.now), AMesh(), lambda: UNIX + self.now + self.jump)
        self.app = Starlette(routes=self.api.routes)
        self.number = 0

    async def ask(self, path: str, body: bytes = b"", method: str = "GET") -> tuple[int, Any]:
        target, _, query = path.partition("?")
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self.app(_scope(method, target, query), receive, send)
        content = b"".join(each.get("body", b"") for each in said)
        is_json = said[0]["status"] == 200
        return said[0]["status"], json.loads(content) if is_json else content.decode()

    async def get(self, path: str) -> Any:
        status, found = await self.ask(path)
        assert status == 200, found
        return found

    async def report(self, who: str, labels: dict[str, str], seconds: float = 2, **numbers: Any) -> Any:
        self.number += 1
        series = [{"labels": labels, **numbers}]
        body = json.dumps({"boot": "b", "number": self.number, "seconds": seconds, "series": series}).encode()
        status, found = await self.ask(f"/v1/agents/{who}/metrics", body, "POST")
        assert status == 200, found
        return found

    async def calls(self, requests: int = 10, code: str = "200", seconds: float = 2) -> None:
        """From web to api, told by both sides; and from web to outside."""
        many = {"requests": requests, "duration": {"sum": 20, "buckets": [requests * each for each in BUCKETS]}}
        http = {"request_protocol": "http", "response_code": code}
        await self.report("web-1", http | TO_API, seconds, **many)
        await self.report("api-1", http | FROM_WEB, seconds, **many)

    async def streamed(self) -> AsyncGenerator[bytes, None]:
        answer = await self.api.stream(Request(_scope("GET", "/v1/stream", "")))
        assert isinstance(answer, StreamingResponse)
        return cast(AsyncGenerator[bytes, None], answer.body_iterator)


def _scope(method: str, path: str, query: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [],
    }


TO_API = {
    "reporter": "source",
    "destination_service": "api.shop.svc.cluster.local",
    "destination_service_name": "api",
    "destination_service_namespace": "shop",
    "destination_principal": "spiffe://cluster.local/ns/shop/sa/api",
    "route": "VirtualService shop/api spec.http[0]",
}
FROM_WEB = {
    "reporter": "destination",
    "source_canonical_service": "web",
    "source_workload_namespace": "shop",
    "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
    "connection_security_policy": "mutual_tls",
}
OUTSIDE = {
    "reporter": "source",
    "destination_service": "pay.example.com",
    "destination_service_name": "pay.example.com",
    "request_protocol": "http",
    "response_code": "200",
}


@pytest.fixture
def door() -> Door:
    return Door()


async def test_services_are_shown_with_their_calls_and_without(door: Door) -> None:
    door.now += 60
    await door.calls(9)
    await door.calls(3, "503")
    rows = {row["name"]: row for row in (await door.get("/v1/stats?window=60"))["rows"]}
    api = rows["api"]
    assert (api["requests"], api["rate"], api["success"], api["mtls"]) == (12, 0.2, 0.75, 1.0)
    assert api["codes"] == {"200": 9, "503": 3} and api["p50"] == 7.5
    assert api["instances"] == {"healthy": 1, "total": 1, "running": 0} and api["tcp"] is None
    assert (rows["db"]["requests"], rows["db"]["success"], rows["db"]["p50"]) == (0, None, None)


UNMET = TO_API | {"destination_principal": "unknown", "request_protocol": "http", "response_code": "503"}


@pytest.mark.parametrize("workload", ["unknown", "api-v1"])
async def test_no_caller_talks_a_service_down_whose_own_sidecars_tell_of_calls(door: Door, workload: str) -> None:
    door.now += 60
    await door.calls(10)
    await door.report("web-1", UNMET | {"response_flags": "UH", "destination_workload": workload}, requests=1000)
    row = next(row for row in (await door.get("/v1/stats"))["rows"] if row["name"] == "api")
    assert (row["requests"], row["success"], row["unreached"], row["flags"]) == (10, 1, 1000, {})
    found = await door.get("/v1/graph")
    node = next(node for node in found["nodes"] if node["id"] == "shop/api")
    assert (node["success"], node["unreached"], node["rate"]) == (1, 1000, 0.167)
    [edge] = found["edges"]  # by its caller's word, as it is its caller's
    assert (edge["requests"], edge["success"]) == (1010, 0.009901)
    for query in ("", "service=shop/api&"):
        points = (await door.get(f"/v1/history?{query}window=10&step=5"))["points"]
        assert (points[-1]["rate"], points[-1]["errors"]) == (2, 0)


async def test_of_a_service_that_is_down_its_callers_tell(door: Door) -> None:
    await door.calls(10)
    door.now += 60
    await door.report("web-1", UNMET | {"response_flags": "UH", "destination_workload": "unknown"}, requests=5)
    row = next(row for row in (await door.get("/v1/stats?window=30"))["rows"] if row["name"] == "api")
    assert (row["requests"], row["success"], row["unreached"], row["flags"]) == (5, 0, 0, {"UH": 5})
    points = (await door.get("/v1/history?service=shop/api&window=65&step=5"))["points"]
    assert [(point["rate"], point["errors"]) for point in points if point and point["rate"]] == [(2, 0), (1, 1)]


async def test_calls_in_plain_text_that_both_sides_tell_of_count_once(door: Door) -> None:
    plain = {"request_protocol": "http", "response_code": "200", "destination_principal": "unknown"}
    await door.report("web-1", TO_API | plain | {"destination_workload": "api-v1"}, requests=7)
    await door.report("api-1", {"reporter": "destination", **plain}, requests=7)
    row = next(row for row in (await door.get("/v1/stats"))["rows"] if row["name"] == "api")
    assert (row["requests"], row["success"], row["unreached"]) == (7, 1, 0)


def test_what_only_calls_others_runs_and_has_no_instances_that_take_calls() -> None:
    api = InstancesView(1, 1)
    web = InstancesView(0, 1, running=1)
    assert Instances.of(AMesh(serves=False).mesh()).by_service == {"shop/web": web, "shop/api": api, "shop/db": api}


async def test_each_kind_of_row_names_what_it_is_about(door: Door) -> None:
    await door.calls()
    [workload] = (await door.get("/v1/stats?by=workload"))["rows"]
    [route] = (await door.get("/v1/stats?by=route"))["rows"]
    [one] = (await door.get("/v1/stats?by=proxy&service=shop/api"))["rows"]
    assert (workload["workload"], workload["requests"]) == ("api-v1", 10)
    assert (route["route"], route["caller"]) == ("VirtualService shop/api spec.http[0]", "shop/web")
    assert (one["proxy"], one["requests"]) == ("api-1", 10)
    assert (await door.get("/v1/stats?by=workload&namespace=other"))["rows"] == []


async def test_rates_are_over_the_time_in_which_anything_could_be_told(door: Door) -> None:
    door.now += 10
    await door.calls()
    found = await door.get("/v1/stats")
    api = next(row for row in found["rows"] if row["name"] == "api")
    assert (api["requests"], api["rate"], len(found["gaps"])) == (10, 1.0, 1)


async def test_what_agents_counted_while_there_was_no_control_plane_is_of_that_time(door: Door) -> None:
    door.now += 5
    await door.calls(60, seconds=30)
    found = await door.get("/v1/stats")
    api = next(row for row in found["rows"] if row["name"] == "api")
    [gap] = found["gaps"]
    assert (api["requests"], api["rate"], gap[1] - gap[0]) == (60, 2.0, 30.0)


async def test_single_proxies_are_not_told_of_for_longer_than_is_kept(door: Door) -> None:
    await door.calls()
    assert (await door.ask("/v1/stats?by=proxy&window=120"))[0] == 200
    for query in ("window=180", f"window=60&at={UNIX + door.now - 90}"):
        status, said = await door.ask(f"/v1/stats?by=proxy&{query}")
        assert status == 400 and "120 s" in said


async def test_the_graph_has_who_calls_whom_and_what_lies_outside(door: Door) -> None:
    door.now += 60
    await door.calls()
    await door.report("web-1", OUTSIDE, requests=4)
    await door.report("db-1", FROM_WEB | {"request_protocol": "tcp"}, opened=3, closed=1, sent=600, received=60)
    found = await door.get("/v1/graph")
    kinds = {node["id"]: node["kind"] for node in found["nodes"]}
    assert kinds == {"shop/api": "service", "shop/db": "service", "shop/web": "service", "pay.example.com": "external"}
    edges = {edge["to"]: edge for edge in found["edges"]}
    assert {edge["from"] for edge in edges.values()} == {"shop/web"}
    assert (edges["shop/api"]["requests"], edges["shop/api"]["mtls"], edges["pay.example.com"]["mtls"]) == (10, 1, 0)
    assert edges["shop/api"]["identities"]["from"] == ["spiffe://cluster.local/ns/shop/sa/web"]
    assert (edges["shop/db"]["protocol"], edges["shop/db"]["sent_rate"], edges["shop/db"]["tcp"]["open"]) == (
        "tcp",
        10,
        2,
    )


async def test_a_focus_has_its_neighbours_up_to_some_hops(door: Door) -> None:
    await door.calls()
    await door.report("web-1", OUTSIDE, requests=4)
    near = await door.get("/v1/graph?focus=shop/api&hops=1")
    assert ([node["id"] for node in near["nodes"]], near["hidden"]) == (["shop/api", "shop/web"], 2)
    assert len((await door.get("/v1/graph?focus=shop/api&hops=2"))["nodes"]) == 3
    assert [node["id"] for node in (await door.get("/v1/graph?focus=shop/api&hops=0"))["nodes"]] == ["shop/api"]


async def test_a_course_over_time_has_gaps_where_nothing_was_told(door: Door) -> None:
    await door.calls(10)
    door.now += 10
    await door.calls(20)
    found = await door.get("/v1/history?service=shop/api&window=20&step=5")
    assert [point and point["rate"] for point in found["points"]] == [None, 2.0, None, 4.0]
    assert found["from"] == UNIX + door.now - 15
    other = await door.get("/v1/history?service=shop/api&from=shop/db&window=20&step=5")
    assert [point and point["rate"] for point in other["points"]] == [None, 0.0, None, 0.0]


@pytest.mark.parametrize("jump", [5 * 3600.0, -5 * 3600.0])
async def test_a_clock_that_is_set_anew_moves_no_figure(door: Door, jump: float) -> None:
    await door.calls(10)
    door.now += 60
    await door.calls(20)
    asked = "/v1/history?service=shop/api&window=70&step=5"
    before, stats = await door.get(asked), await door.get("/v1/stats?window=70")
    door.jump = jump
    after, later = await door.get(asked), await door.get("/v1/stats?window=70")
    assert later["rows"] == stats["rows"] and later["at"] - stats["at"] == jump
    assert after["from"] - before["from"] == jump

    def without_time(points: list[Any]) -> list[Any]:
        return [point and {**point, "t": 0} for point in points]

    assert without_time(after["points"]) == without_time(before["points"])
    assert [point["rate"] for point in after["points"] if point] == [2.0, 4.0]


async def test_time_in_which_the_machine_slept_is_a_gap_and_no_time_without_calls(door: Door) -> None:
    for _ in range(12):
        door.now += 5
        await door.calls(10)
    door.now += 600
    await door.calls(10)
    found = await door.get("/v1/stats?window=660")
    api = next(row for row in found["rows"] if row["name"] == "api")
    [gap] = found["gaps"]
    assert (api["requests"], gap[1] - gap[0]) == (130, pytest.approx(600, abs=10))
    assert api["rate"] == pytest.approx(130 / 65, rel=0.1)
    points = (await door.get("/v1/history?window=660&step=60"))["points"]
    assert [point is None for point in points[2:-1]] == [True] * (len(points) - 3) and points[0] and points[-1]


async def test_a_step_longer_than_the_window_has_no_points(door: Door) -> None:
    await door.calls(10)
    assert (await door.get("/v1/history?window=60&step=3600"))["points"] == []


async def test_the_past_is_asked_for_by_unix_time(door: Door) -> None:
    await door.calls(10)
    door.now += 300
    assert (await door.get("/v1/stats?by=workload"))["rows"] == []
    [row] = (await door.get(f"/v1/stats?by=workload&at={UNIX + door.now - 290}"))["rows"]
    assert row["requests"] == 10


async def test_one_report_of_a_proxy_is_taken_at_a_time(door: Door) -> None:
    def body(number: int) -> bytes:
        series = [{"labels": FROM_WEB | {"route": f"r{route}"}, "requests": 1} for route in range(100)]
        return json.dumps({"boot": "b", "number": number, "seconds": 900, "series": series}).encode()

    asked = [
        door.ask(f"/v1/agents/{who}/metrics", body(n), "POST") for n, who in ((1, "api-1"), (2, "api-1"), (1, "db-1"))
    ]
    assert [status for status, _ in await asyncio.gather(*asked)] == [200, 429, 200]
    assert (await door.ask("/v1/agents/api-1/metrics", body(2), "POST"))[0] == 200


async def test_no_more_than_some_wait_for_an_answer(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_door, "_MOST_ASKING", 3)
    paths = ("/v1/stats", "/v1/graph", "/v1/history", "/v1/callers")
    async with door.api._one:
        asked = [asyncio.create_task(door.ask(path)) for path in paths]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert sorted([(await one)[0] for one in asked]) == [200, 200, 200, 429]
    assert (await door.ask("/v1/stats"))[0] == 200


async def test_what_is_no_report_is_refused(door: Door) -> None:
    ok = {"boot": "b", "number": 1, "seconds": 2}
    short = {"labels": {}, "duration": {"sum": 1, "buckets": [1, 2]}}
    for wrong in (
        b"",
        b"[]",
        b"\xff",
        json.dumps(ok | {"boot": ""}).encode(),
        json.dumps(ok | {"number": 0}).encode(),
        json.dumps(ok | {"seconds": -1}).encode(),
        json.dumps(ok | {"series": [short]}).encode(),
        json.dumps(ok | {"series": [{"labels": {}, "requests": -5}]}).encode(),
        json.dumps(ok | {"series": [{"labels": {"a": "b" * 5000}}]}).encode(),
    ):
        status, said = await door.ask("/v1/agents/web-1/metrics", wrong, "POST")
        assert (status, "this is no report of figures" in said) == (400, True)
    assert (await door.ask("/v1/agents/nobody-1/metrics", json.dumps(ok).encode(), "POST"))[0] == 404


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/stats?by=colour", "by"),
        ("/v1/stats?window=nan", "window"),
        ("/v1/stats?window=1", "window"),
        ("/v1/stats?at=yesterday", "at"),
        ("/v1/graph?hops=-1", "hops"),
        ("/v1/graph?window=1e9", "window"),
        ("/v1/history?step=0", "step"),
        ("/v1/stream?window=x", "window"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_name(door: Door, path: str, named: str) -> None:
    status, said = await door.ask(path)
    assert status == 400 and said.startswith(f"{named} must be ")


async def test_all_who_look_at_the_same_get_the_same_bytes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_door, "_EVERY", 0.01)
    await door.calls()
    first, second = [await door.streamed() for _ in range(2)]
    for stream in (first, second):
        event = await anext(stream)
        head, _, data = event.partition(b"\ndata: ")
        assert head == b"event: graph" and json.loads(data)["edges"][0]["requests"] == 10
    both = await asyncio.wait_for(asyncio.gather(anext(first), anext(second)), 10)
    assert both[0] is both[1]
    for stream in (first, second):
        await stream.aclose()


async def test_nothing_is_made_when_nobody_looks_and_the_slow_get_the_newest(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_door, "_EVERY", 0.01)
    stream = await door.streamed()
    await anext(stream)
    await anext(stream)
    making = [task for task in asyncio.all_tasks() if task.get_name() == "live graphs"]
    assert len(making) == 1
    before = door.number
    await door.calls(7)
    assert door.number == before + 2
    async with asyncio.timeout(10):
        while json.loads((await anext(stream)).partition(b"data: ")[2])["edges"] == []:
            pass
    await stream.aclose()
    await asyncio.wait_for(making[0], 10)


async def test_a_quiet_stream_says_that_it_lives(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_door, "_HEARTBEAT", 0.01)
    stream = await door.streamed()
    await anext(stream)
    assert (await anext(stream)).startswith(b":")
    await stream.aclose()
