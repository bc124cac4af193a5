"""What is added up, shown and told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from expositions import read
from tulle.agent.figures import totals as totals_module
from tulle.agent.figures.exposition import Reader
from tulle.agent.figures.families import BOUNDS
from tulle.agent.figures.labels import UNKNOWN
from tulle.agent.figures.own import LABELS, OWN, Samples, own_metrics
from tulle.agent.figures.page import istio_lines, metric_lines
from tulle.agent.figures.telling import MOST_SERIES, Telling
from tulle.agent.figures.totals import Flow, Totals


class Sidecar:
    """One process of Envoy after the other, as its text, and what becomes of it."""

    def __init__(self) -> None:
        self.totals = Totals(UNKNOWN)
        self.now = 100.0
        self.telling = Telling(self.totals, "b00t", lambda: self.now, lambda: {"series": self.totals.lost_series})
        self.reader: Reader[tuple[str, Flow]] = Reader(self.totals.meaning)

    def restart(self) -> None:
        self.reader = Reader(self.totals.meaning)

    def counts(self, *lines: str) -> None:
        self.reader.read(lines)
        self.totals.add(self.reader.finish())

    def page(self) -> str:
        return "\n".join([*istio_lines(self.totals.flows), ""])

    def report(self) -> Any:
        return json.loads(self.telling.report())


def tags(code: str = "200", cluster: str = "outbound|80||b.default.svc.cluster.local", route: str = "-") -> str:
    return f'reporter="source",response_code="{code}",response_flags="-",cluster="{cluster}",route="{route}"'


def requests(count: int, **changed: str) -> str:
    return f"envoy_istio_requests_total{{{tags(**changed)}}} {count}"


def durations(*counts: int) -> list[str]:
    name = "envoy_istio_request_duration_milliseconds"
    each = [counts[min(at, len(counts) - 1)] for at in range(len(BOUNDS))]
    lines = [f'{name}_bucket{{{tags()},le="{bound}"}} {n}' for bound, n in zip(BOUNDS, each, strict=True)]
    return [*lines, f"{name}_sum{{{tags()}}} 1.5"]


def opened(count: int) -> str:
    cluster = "outbound|5432||db.default.svc.cluster.local"
    return (
        f'envoy_istio_tcp_connections_opened_total{{reporter="source",cluster="{cluster}",response_flags="-"}} {count}'
    )


def test_counters_go_on_over_all_processes_of_envoy() -> None:
    sidecar = Sidecar()
    sidecar.counts(requests(7))
    sidecar.restart()
    sidecar.counts(requests(2))
    assert read(sidecar.page()).value("istio_requests_total") == 9


def test_the_page_adds_up_over_routes_and_ports() -> None:
    sidecar = Sidecar()
    other = "outbound|8080||b.default.svc.cluster.local"
    sidecar.counts(
        requests(1, route="one"), requests(2, route="two"), requests(4, cluster=other), requests(8, code="404")
    )
    page = read(sidecar.page())
    assert page.value("istio_requests_total", response_code="200", destination_service_name="b") == 7
    assert page.value("istio_requests_total", response_code="404") == 8
    assert not any({"route", "port"} & labels.keys() for labels in page.labels("istio_requests_total"))


def test_the_page_has_histograms_as_prometheus_wants_them() -> None:
    sidecar = Sidecar()
    sidecar.counts(*durations(1, 1, 5), opened(3))
    page = read(sidecar.page())
    assert page.kinds == {
        "istio_request_duration_milliseconds": "histogram",
        "istio_tcp_connections_opened_total": "counter",
    }
    assert page.value("istio_request_duration_milliseconds_bucket", le="1") == 1
    assert page.value("istio_request_duration_milliseconds_bucket", le="5") == 5
    assert page.value("istio_request_duration_milliseconds_count") == 5
    assert page.value("istio_request_duration_milliseconds_sum") == 1.5


def test_any_text_in_a_label_stays_one_line_of_the_page() -> None:
    sidecar = Sidecar()
    sidecar.counts(f'envoy_istio_requests_total{{{tags()},x_odd="a\\nb\\"c\\\\"}} 1')
    assert read(sidecar.page()).labels("istio_requests_total")[0]["odd"] == 'a\nb"c\\'


def test_a_report_tells_what_came_since_the_last_one_and_buckets_each_for_itself() -> None:
    sidecar = Sidecar()
    sidecar.counts(requests(3, route="r"), *durations(1, 3, 3), opened(2))
    sidecar.now += 2
    first = sidecar.report()
    assert (first["boot"], first["number"], first["seconds"]) == ("b00t", 1, 2)
    by_protocol = {(s["labels"]["request_protocol"], s["labels"].get("route")): s for s in first["series"]}
    assert by_protocol["http", "r"]["requests"] == 3
    assert by_protocol["http", "r"]["labels"]["port"] == "80"
    assert by_protocol["http", None]["duration"] == {"sum": 1.5, "buckets": [1, 2, *[0] * 18]}
    assert by_protocol["tcp", None]["opened"] == 2
    sidecar.telling.confirmed()
    sidecar.counts(requests(4, route="r"), opened(2))
    sidecar.now += 2
    second = sidecar.report()
    assert [{k: v for k, v in s.items() if k != "labels"} for s in second["series"]] == [{"requests": 1}]
    assert (second["number"], second["seconds"]) == (2, 2)


def test_what_was_not_confirmed_is_told_again_with_its_number_and_what_came_meanwhile_after_it() -> None:
    sidecar = Sidecar()
    sidecar.counts(requests(3))
    sidecar.now += 2
    first = sidecar.telling.report()
    for count in (5, 6):
        sidecar.now += 2
        sidecar.counts(requests(count))
        assert sidecar.telling.report() == first
    sidecar.telling.confirmed()
    second = sidecar.report()
    assert (second["number"], second["seconds"], second["series"][0]["requests"]) == (2, 4, 3)
    sidecar.telling.confirmed()
    assert not sidecar.telling.has_more


def test_much_is_told_in_several_reports() -> None:
    sidecar = Sidecar()
    sidecar.counts(*(requests(1, route=str(number)) for number in range(MOST_SERIES + 20)))
    first = sidecar.report()
    sidecar.telling.confirmed()
    assert sidecar.telling.has_more
    second = sidecar.report()
    assert [len(first["series"]), len(second["series"])] == [MOST_SERIES, 20]


def test_too_many_kinds_of_calls_are_counted_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals_module, "MOST_FLOWS", 10)
    sidecar = Sidecar()
    for count in (1, 2):
        sidecar.counts(*(requests(count, code=str(number)) for number in range(200, 230)))
    totals = sidecar.totals
    assert (totals.size, totals.lost_series, totals.lost_requests) == (10, 20, 40)
    assert read(sidecar.page()).value("istio_requests_total") == 20
    assert totals.counted == {"source": 60}


def test_the_agents_own_look_at_the_way_into_the_mesh_is_no_call() -> None:
    sidecar = Sidecar()
    sidecar.counts(requests(1, cluster=""), requests(2, cluster="", code="404"))
    assert sidecar.totals.counted == {"source": 3}
    assert read(sidecar.page()).value("istio_requests_total") == 2
    assert [s["requests"] for s in sidecar.report()["series"]] == [2]


def test_the_agents_own_metrics_are_a_page_too() -> None:
    values: Samples = {name: {"a": 1.0, "b": 2.5} if name in LABELS else 3 for name in OWN if name != "istio_build"}
    page = read("\n".join([*metric_lines(own_metrics("1.2", values)), ""]))
    assert page.kinds == {name: kind for name, (kind, _) in OWN.items()}
    assert page.value("istio_build", component="proxy", tag="1.2") == 1
    assert page.value("tulle_agent_cpu_seconds_total", part="b") == 2.5
