"""The program's own metrics, made fit for our page."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expositions import read
from tulle.agent.figures.merging import Merged, NoExposition
from tulle.agent.figures.own import is_ours

TEXT = """\
# HELP app_requests_total Requests, by "path".
# TYPE app_requests_total counter
app_requests_total{path="/a b}\\"c",code="200"} 3 1700000000000
app_requests_total{path="/x",} 4

# a comment
# TYPE app_seconds histogram
app_seconds_bucket{le="0.1"} 1
app_seconds_bucket{le="+Inf"} 2
app_seconds_sum 0.5
app_seconds_count 2
up 1
nothing NaN
"""

OPEN = """\
# TYPE app_requests counter
# UNIT app_requests requests
# HELP app_requests Requests.
app_requests_total{path="/"} 3 1700000000.5 # {trace_id="abc"} 0.7 1700000000
app_requests_created{path="/"} 1700000000
# TYPE app info
app_info{version="1"} 1
# TYPE state stateset
state{state="on"} 1
# TYPE app_odd unknown
app_odd 3
# TYPE app_seconds histogram
app_seconds_bucket{le="1.0"} 1 # {trace_id="abc"} 0.3
app_seconds_bucket{le="+Inf"} 1
app_seconds_count 1
app_seconds_sum 0.3
# EOF
"""


def merged(text: str, *, is_open: bool = False) -> Merged:
    result = Merged(is_ours, is_open=is_open)
    result.take(text.split("\n"))
    return result


def test_what_a_program_says_stays_as_it_is() -> None:
    lines = merged(TEXT).lines
    assert lines == [line.replace(",}", ",}") for line in TEXT.split("\n") if line and line != "# a comment"]


def test_open_metrics_are_written_in_the_text_format() -> None:
    page = read("\n".join([*merged(OPEN, is_open=True).lines, ""]))
    assert page.kinds == {
        "app_requests_total": "counter",
        "app_info": "gauge",
        "state": "gauge",
        "app_odd": "untyped",
        "app_seconds": "histogram",
    }
    assert page.value("app_requests_total", path="/") == 3
    assert page.value("app_seconds_count") == 1


def test_metrics_with_our_names_are_left_out_with_all_that_belongs_to_them() -> None:
    ours = TEXT.replace("app_seconds", "tulle_agent_seconds").replace("app_requests_total", "istio_requests_total")
    result = merged(ours)
    assert result.lines == ["up 1", "nothing NaN"]
    assert result.left_out == {"tulle_agent_seconds", "istio_requests_total"}


def test_a_metric_that_is_described_twice_is_described_once() -> None:
    assert merged("# TYPE a gauge\na 1\n# TYPE a gauge\n").lines == ["# TYPE a gauge", "a 1"]


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "a",
        "a b",
        "a{ 1",
        'a{b="c} 1',
        "a{b=c} 1",
        'a{b="c"}',
        "1a 1",
        "a 1 x",
        "# TYPE a strange",
        "{} 1",
        "a 1 # {} 1",
        "a 1_000",
        "a \u0661",
        "a 1 1700000000.5",
        'a{b="c",b="d"} 1',
        'a{b="\0"} 1',
    ],
)
def test_anything_else_is_no_page_of_metrics(text: str) -> None:
    with pytest.raises(NoExposition):
        merged(text)


@pytest.mark.parametrize("value", ["1", "-1.5", ".5", "5.", "+1e-9", "1E+3", "+Inf", "-inf", "NaN", "Infinity"])
def test_all_numbers_of_go_are_values(value: str) -> None:
    assert merged(f"a {value} -5").lines == [f"a {value} -5"]


@given(st.text())
def test_no_text_does_more_than_not_to_be_one(text: str) -> None:
    for is_open in (False, True):
        with suppress(NoExposition):
            merged(text, is_open=is_open)
