"""What is kept of sidecars' reports: once, by who tells, within bounds, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from tulle.ir.telemetry import Reporter
from tulle.model.names import ServiceName
from tulle.model.workload import Workload
from tulle.telemetry.figures import memory
from tulle.telemetry.figures.flow import Flow
from tulle.telemetry.figures.golden_signals import counts, signals
from tulle.telemetry.figures.memory import ANYBODY, FINE, Figures
from tulle.telemetry.figures.report import BOUNDS, Duration, Lost, Report, Series
from tulle.telemetry.figures.sums import Sum

WEB = Workload("web-1", ServiceName("shop", "web"), "web", "v1")
API = Workload("api-1", ServiceName("shop", "api"), "api", "v2")
ONE = tuple(float(place == 3) for place in range(len(BOUNDS) + 1))


T = TypeVar("T")


def all_of(found: AsyncIterator[T]) -> list[T]:
    async def listed() -> list[T]:
        return [one async for one in found]

    return asyncio.run(listed())


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """Reports of two workloads, of which web calls api."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.figures = Figures(self.clock)
        self.number = 0

    def source(self, requests: float = 1, *, principal: str = API.identity, **more: Any) -> None:
        labels = {
            "reporter": "source",
            "destination_service": "api.shop.svc.cluster.local",
            "destination_service_name": "api",
            "destination_service_namespace": "shop",
            "destination_principal": principal,
            "destination_workload": "api-v2",
            "destination_version": "v2",
            "request_protocol": "http",
            "response_code": "200",
        }
        self.report("web-1", WEB, labels | more.pop("labels", {}), requests, **more)

    def destination(self, requests: float = 1, **more: Any) -> None:
        labels = {
            "reporter": "destination",
            "source_canonical_service": "web",
            "source_workload_namespace": "shop",
            "source_workload": "web-v1",
            "source_version": "v1",
            "source_principal": WEB.identity,
            "connection_security_policy": "mutual_tls",
            "request_protocol": "http",
            "response_code": "200",
        }
        self.report("api-1", API, labels | more.pop("labels", {}), requests, **more)

    def report(
        self,
        proxy: str,
        workload: Workload,
        labels: dict[str, str],
        requests: float,
        *,
        number: int = 0,
        seconds: float = 2,
        boot: str = "b",
    ) -> None:
        self.number += 1
        duration = Duration(20 * requests, tuple(requests * each for each in ONE))
        series = [Series(labels, requests=requests, duration=duration)]
        report = Report(boot, number or self.number, seconds, series, Lost(1, 2))
        asyncio.run(self.figures.take(proxy, workload, report))

    def totals(self, window: float = 60.0) -> list[tuple[Flow, Sum]]:
        return all_of(self.figures.totals(window, self.clock()))

    def totals_of_proxies(self) -> list[tuple[str, Flow, Sum]]:
        return all_of(self.figures.totals_of_proxies(60, self.clock()))

    def tidy(self) -> None:
        asyncio.run(self.figures.tidy())

    def requests(self, window: float = 60.0) -> float:
        return signals(window, [(flow, total) for flow, total in self.totals(window) if counts(flow)]).requests


def test_a_call_between_two_sidecars_counts_once() -> None:
    told = Told()
    told.source(5)
    told.destination(5)
    assert told.requests() == 5


def test_a_call_that_no_sidecar_took_counts_where_it_was_made() -> None:
    told = Told()
    told.source(3, principal="unknown", labels={"response_code": "503", "response_flags": "UH"})
    [(flow, _)] = told.totals()
    assert told.requests() == 3 and flow.is_error and flow.flags == "UH" and not flow.mtls
    assert (flow.source.id, flow.destination.id) == ("shop/web", "shop/api")


def test_a_call_that_met_nobody_is_neither_secured_nor_plain() -> None:
    told = Told()
    told.source(3, principal="unknown", labels={"response_code": "503", "destination_workload": "unknown"})
    assert signals(60, told.totals()).mtls is None
    told.source(1, principal="unknown")
    assert signals(60, told.totals()).mtls == 0
    told.destination(3)
    assert signals(60, told.totals()).mtls == 0.75


def test_nobody_tells_for_another() -> None:
    told = Told()
    lie = {
        "destination_service_name": "bank",
        "destination_workload": "bank",
        "destination_principal": "spiffe://x/ns/a/sa/bank",
    }
    told.destination(1, labels=lie)
    [(flow, _)] = told.totals()
    assert flow.destination.id == "shop/api" and flow.destination.principal == API.identity
    told.source(
        1, labels={"source_workload": "bank", "source_canonical_service": "bank", "source_principal": "spiffe://x"}
    )
    flows = [flow for flow, _ in told.totals() if flow.reporter is Reporter.SOURCE]
    assert [flow.source.id for flow in flows] == ["shop/web"]


def test_the_same_report_twice_counts_once_and_an_agent_that_began_anew_counts() -> None:
    told = Told()
    told.destination(5, number=7)
    told.destination(5, number=7)
    told.destination(5, number=6)
    assert told.requests() == 5
    told.destination(5, number=1, boot="another")
    assert told.requests() == 10


def test_what_comes_late_is_spread_over_its_time() -> None:
    told = Told()
    told.destination(12, seconds=60)
    assert told.requests(60.0) == pytest.approx(12)
    assert told.requests(20.0) == pytest.approx(4)


@pytest.mark.parametrize("every", [2.0, 3.0, 7.0, 10.0, 11.5])
def test_however_often_reports_come_no_time_is_left_out_between_them(every: float) -> None:
    told = Told()
    for _ in range(40):
        told.clock.now += every
        told.destination(1, seconds=every)
    end = told.clock.now // FINE * FINE
    for service in ("shop/api", ANYBODY):
        assert all(told.figures.is_present(service, begin, begin + FINE) for begin in (end - 5, end - 25, end - 60))
    assert told.figures.silences(told.figures.since, told.clock.now) == []
    assert not told.figures.is_present("shop/web", end - 60, end)


def test_where_nobody_tells_is_a_gap_for_as_long_as_figures_are_kept() -> None:
    told = Told()
    told.clock.now += 60
    told.destination()
    silent = told.clock.now
    told.clock.now += 500  # the machine slept
    told.destination()
    now = told.clock.now
    [(begin, end)] = told.figures.silences(silent - 30, now)
    assert begin == pytest.approx(silent, abs=FINE) and end == pytest.approx(now, abs=FINE)
    told.clock.now += memory.COARSE
    told.destination()
    told.clock.now += 3600
    told.destination()
    [(begin, end)] = told.figures.silences(now, told.clock.now)
    assert end - begin == pytest.approx(3600, abs=2 * memory.COARSE)
    assert told.figures.silences(0, 10) == [(0, 10)]  # before it began


def test_a_day_later_it_is_gone() -> None:
    told = Told()
    told.destination(12)
    told.clock.now += 3600
    assert told.requests(60.0) == 0 and told.requests(7200.0) == 12
    told.clock.now += memory.SPAN
    told.tidy()
    assert not list(told.figures.flows) and told.figures.reporting == 0


def test_of_too_many_flows_the_last_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_FLOWS", 8)
    told = Told()
    for number in range(100):
        told.destination(1, labels={"route": f"r{number}", "source_canonical_service": f"s{number % 50}"})
    assert told.requests() == 100
    assert len(list(told.figures.flows)) <= 11
    assert told.figures.lost["series"] > 80


def test_each_proxy_is_told_apart_whoever_called_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_OF_PROXIES", 2)
    told = Told()
    for caller in ("web", "cron"):
        told.destination(2, labels={"source_canonical_service": caller})
    told.destination(1, labels={"response_code": "503"})
    before = told.figures.lost["series"]
    told.destination(1, labels={"response_code": "404"})
    found = {flow.code: total["requests"] for _, flow, total in told.totals_of_proxies()}
    assert found == {"200": 4, "503": 1} and told.requests() == 6
    assert told.figures.lost["series"] == before + 1
    told.clock.now += 300
    told.tidy()
    told.destination(1, labels={"response_code": "404"})
    assert [flow.code for _, flow, _ in told.totals_of_proxies()] == ["404"]


def test_whatever_is_told_there_are_not_more_flows_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_FLOWS", 8)
    told = Told()
    for number in range(100):
        told.destination(1, labels={"request_protocol": f"p{number}", "response_code": f"{number}"})
        told.source(1, principal="unknown", labels={"request_protocol": f"p{number}", "response_code": f"{number}"})
    assert told.requests() == 200
    assert len(list(told.figures.flows)) <= 8 + 2 + 4
    assert {flow.protocol for flow in told.figures.flows} == {"unknown"}


def test_one_proxy_that_tells_of_too_much_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_OF_A_PROXY", 8)
    told = Told()
    for number in range(100):
        told.destination(1, labels={"route": f"r{number}"})
    found = [(flow.route, total["requests"]) for _, flow, total in told.totals_of_proxies()]
    assert len(found) == 9 and sum(requests for _, requests in found) == 100  # none is lost, most are not told apart
    assert told.figures.not_by_proxy == 92
    monkeypatch.setattr(memory, "MOST_OF_PROXIES", 20)
    told.report("api-2", API, {"reporter": "destination", "response_code": "200"}, 5)
    assert ("api-2", 5) in [(proxy, total["requests"]) for proxy, _, total in told.totals_of_proxies()]


def test_one_service_that_tells_of_too_much_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_OF_ONE", 8)
    told = Told()
    for number in range(100):
        told.destination(1, labels={"route": f"r{number}", "source_canonical_service": f"s{number % 50}"})
    told.source(1, principal="unknown", labels={"route": "mine"})
    routes = {flow.route for flow, _ in told.totals()}
    assert "mine" in routes and "r99" not in routes
    assert told.requests() == 101


def test_several_services_that_tell_of_too_much_leave_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_FLOWS", 100)
    monkeypatch.setattr(memory, "MOST_OF_ONE", 40)
    told = Told()
    for number in range(100):
        for name in ("a", "b", "c"):
            loud = Workload(f"{name}-1", ServiceName("shop", name), name, "v1")
            labels = {
                "reporter": "source",
                "destination_service": f"{name}{number}.example.com",
                "response_code": "200",
            }
            told.report(loud.id, loud, labels | {"destination_service_name": labels["destination_service"]}, 1)
    for number in range(10):
        told.destination(1, labels={"route": f"r{number}"})
    assert {f"r{number}" for number in range(10)} <= {flow.route for flow, _ in told.totals()}
    assert told.requests() == 310


def test_labels_that_mean_nothing_are_counted_as_lost() -> None:
    told = Told()
    told.report("web-1", WEB, {"reporter": "nobody"}, 1)
    told.report("web-1", WEB, {}, 1)
    assert told.requests() == 0 and told.figures.lost == {"series": 3, "requests": 2}


async def test_the_more_report_the_longer_each_waits() -> None:
    told = Told()
    for number in range(1000):
        await told.figures.take(f"web-{number}", WEB, Report("b", 1, 2.0))
    assert told.figures.again == 10.0 and told.figures.reporting == 1000
