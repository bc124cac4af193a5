"""Where `tulle run` has metrics served, and the same as the control plane checks it."""

from __future__ import annotations

import pytest

from tulle.api.registration import proxy_problems
from tulle.cli.telemetry_options import agent_metrics, scraped
from tulle.model.names import ServiceName
from tulle.model.workload import Proxy, Workload


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("off", ""),
        ("0", "127.0.0.1:0"),
        ("9464", "127.0.0.1:9464"),
        ("10.0.0.1:9464", "10.0.0.1:9464"),
        ("0.0.0.0:09464", "0.0.0.0:9464"),
        ("[::1]:9464", "[::1]:9464"),
    ],
)
def test_metrics_are_served_where_the_option_says(text: str, place: str) -> None:
    assert agent_metrics(text) == place


@pytest.mark.parametrize(
    "text", ["", "on", "65536", "-1", "1.2.3.4", "1.2.3:80", "localhost:80", "::1:80", ":80", "1.2.3.4:"]
)
def test_anything_else_is_a_mistake_that_names_the_option(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--metrics "):
        agent_metrics(text)


@pytest.mark.parametrize("text", ["/metrics", "9102/metrics", "/actuator/prometheus?a=b", "/"])
def test_a_path_of_the_programs_with_a_port_or_without(text: str) -> None:
    assert scraped(text) == text


@pytest.mark.parametrize(
    "text", ["", "metrics", "0/metrics", "65536/metrics", "9102", ":9102/metrics", "/a b", "http://a/"]
)
def test_what_is_no_path_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--scrape "):
        scraped(text)


@pytest.mark.parametrize(
    ("metrics", "is_good"),
    [("", True), ("127.0.0.1:9464", True), ("[::1]:9464", True), ("::1:9464", False), ("[127.0.0.1]:1", False)]
    + [
        (text, False)
        for text in ("host:1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1", "127.0.0.1:1\r\nx", "x" * 999)
    ],
)
def test_an_agent_registers_no_other_place(metrics: str, is_good: bool) -> None:
    workload = Workload("a-1", ServiceName("default", "a"), "a")
    problems = list(proxy_problems(Proxy("a-1", "127.0.0.1", 1, 2, (workload,), metrics=metrics)))
    assert (not problems) is is_good
    assert len("".join(problems)) < 300
