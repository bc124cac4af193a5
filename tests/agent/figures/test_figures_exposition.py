"""Envoy's text, read: what it means, and what of it counts."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.figures.exposition import Reader, escaped, labels_in, lines_of, unescaped
from tulle.agent.figures.families import BOUNDS, BY_NAME, Family

TAGS = 'reporter="source",response_code="200"'


def meaning(family: Family, tags: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(tags.items())


def grown(reader: Reader[frozenset[tuple[str, str]]], *lines: str) -> dict[str, list[float]]:
    reader.read(lines)
    found = [(series.family.name, series.grown()) for series in reader.finish()]
    return {name: values for name, values in found if values is not None}


def requests(count: int, tags: str = TAGS) -> str:
    return f"envoy_istio_requests_total{{{tags}}} {count}"


def durations(*counts: int, sum_: float = 0.0) -> list[str]:
    """counts: of the first buckets; the others hold as many as the last of them."""
    name = "envoy_istio_request_duration_milliseconds"
    buckets = [
        f'{name}_bucket{{{TAGS},le="{bound}"}} {counts[min(at, len(counts) - 1)]}' for at, bound in enumerate(BOUNDS)
    ]
    return [*buckets, f"{name}_sum{{{TAGS}}} {sum_}", f"{name}_count{{{TAGS}}} {counts[-1]}"]


def test_a_counter_grows_by_what_came_since_the_last_reading() -> None:
    reader = Reader(meaning)
    assert grown(reader, "# TYPE envoy_istio_requests_total counter", requests(3)) == {"istio_requests_total": [3]}
    assert grown(reader, requests(3)) == {}
    assert grown(reader, requests(5)) == {"istio_requests_total": [2]}


def test_one_that_falls_has_begun_anew() -> None:
    reader = Reader(meaning)
    grown(reader, requests(30))
    assert grown(reader, requests(2)) == {"istio_requests_total": [2]}


def test_one_that_had_gone_begins_anew_even_at_more_than_it_had() -> None:
    reader = Reader(meaning)
    grown(reader, requests(1))
    assert grown(reader) == {}
    assert grown(reader, requests(2)) == {"istio_requests_total": [2]}


def test_a_histogram_is_its_sum_and_its_buckets() -> None:
    reader = Reader(meaning)
    values = grown(reader, *durations(0, 2, 3, sum_=7.5))["istio_request_duration_milliseconds"]
    assert values == [7.5, 0, 2, *[3] * 18]


def test_a_histogram_of_which_one_bucket_has_fallen_has_begun_anew_as_a_whole() -> None:
    reader = Reader(meaning)
    grown(reader, *durations(0, 2, 10, sum_=50))
    values = grown(reader, *durations(3, sum_=1))["istio_request_duration_milliseconds"]
    assert values == [1, *[3] * 20]


def test_other_metrics_and_what_is_no_metric_are_passed_over() -> None:
    reader = Reader(meaning)
    strange = (
        "envoy_server_uptime{} 3",
        "envoy_istio_other{} 3",
        "envoy_istio_requests_total 3",
        "",
        "nonsense",
        "a{ 1",
    )
    bad = (
        requests(1).replace(" 1", " x"),
        'envoy_istio_requests_total{reporter="a} 1',
        "envoy_istio_requests_total{,} 1",
    )
    assert grown(reader, *strange, *bad) == {}
    bucket = f'envoy_istio_request_duration_milliseconds_bucket{{{TAGS},le="7"}} 3'
    assert grown(reader, bucket) == {}


def test_series_that_come_and_go_leave_nothing_behind() -> None:
    reader = Reader(meaning)
    for number in range(1000):
        assert grown(reader, requests(4, f'route="{number}"'), requests(number + 1)) == {
            "istio_requests_total": [1]
        } or (number == 0)
    assert len(reader._known) < 500
    assert len(reader._series) < 500


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), st.text()))
def test_labels_are_read_as_they_were_written(labels: dict[str, str]) -> None:
    assert labels_in(",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())) == labels


@given(st.text())
def test_any_text_can_be_a_value(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert "\n" not in escaped(text)


@given(st.lists(st.text(), max_size=20))
def test_no_text_ends_the_reading(lines: list[str]) -> None:
    Reader(meaning).read(lines)


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=8))
def test_over_any_resets_the_sum_is_that_of_all_lives(lives: list[list[int]]) -> None:
    """Each life counts up from nothing, and is a reset for who reads, if it begins below where the last one ended."""
    reader, total, expected, last = Reader(meaning), 0.0, 0, 0
    for life in lives:
        count = 0
        for step in life:
            count += step
            total += grown(reader, requests(count)).get("istio_requests_total", [0])[0]
            expected += count - last if count >= last else count
            last = count
    assert total == expected


def test_a_reading_comes_in_parts_that_end_at_lines() -> None:
    lines = [f"a\u2028{number} " + "x" * 1000 for number in range(1000)]
    parts = list(lines_of("\n".join(lines).encode()))
    assert len(parts) > 2
    assert [line for part in parts for line in part] == lines
    assert list(lines_of(b"")) == []
    assert list(lines_of(b"a\n\xff\n")) == [["a", "\ufffd"]]


def test_all_families_are_known_by_name() -> None:
    assert all(BY_NAME[name].size in (1, 21) for name in BY_NAME)


def test_messages_of_grpc_are_those_of_a_request_times_the_requests() -> None:
    def line(side: str, messages: str, count: int) -> str:
        return f'envoy_istio_{side}_messages_total{{reporter="source",messages="{messages}"}} {count}'

    reader = Reader(meaning)
    first = grown(reader, line("request", "3,7", 2), line("response", "3,7", 2))
    assert first == {"istio_request_messages_total": [6], "istio_response_messages_total": [14]}
    assert grown(reader, line("request", "3,7", 3)) == {"istio_request_messages_total": [3]}
    assert grown(Reader(meaning), line("request", "x", 3)) == {"istio_request_messages_total": [0]}
