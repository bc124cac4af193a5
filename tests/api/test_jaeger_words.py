"""What Jaeger's clients say, and what is no sense."""

from __future__ import annotations

import pytest

from tulle.api.jaeger_words import LATEST, durations, number, tags, time_of


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        *(("", 0), ("0", 0), ("1.2s", 1_200_000_000), ("1m0.5s", 60_500_000_000), ("1.001ms", 1_001_000), (".5s", 500_000_000)),
        *(("500us", 500_000), ("500\u00b5s", 500_000), ("500\u03bcs", 500_000), ("2000000h", LATEST)),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_reads_it_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert durations(text, "") == (nanoseconds, 0) and durations("", text) == (0, nanoseconds)


@pytest.mark.parametrize("text", ["soon", "1", "1s ", "-1s", "1d", "9" * 60 + "h", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        durations(text, "")


def test_the_longest_is_not_shorter_than_the_shortest() -> None:
    assert durations("1s", "1s") == (10**9, 10**9)
    with pytest.raises(ValueError, match="is shorter than"):
        durations("1s", "999ms")


def test_a_tag_is_said_in_two_ways_and_an_object_counts_first() -> None:
    assert tags(['{"a": "1", "b": "2"}', '{"b": "3"}', ""], ["a:9", "url:http://x:1"]) == {
        "a": "1",
        "b": "3",
        "url": "http://x:1",
    }
    for objects, pairs in ((["[1]"], []), (['{"a": 1}'], []), (["{"], []), ([], ["a"])):
        with pytest.raises(ValueError, match="tag"):
            tags(objects, pairs)


def test_a_time_is_one_that_the_store_can_compare() -> None:
    assert time_of("2026-01-31T12:00:00.5Z") == 1_769_860_800_500_000_000
    assert time_of("2026-01-31T13:00:00.123456789+01:00") == 1_769_860_800_123_456_000
    assert (time_of("1969-12-31T23:59:59Z"), time_of("9999-12-31T23:59:59Z")) == (0, LATEST)
    for text in ("", "now", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"):
        with pytest.raises(ValueError, match="is no time"):
            time_of(text)


def test_a_number_is_one_that_the_store_can_compare() -> None:
    assert (number("0"), number("9" * 19) * 1000 <= LATEST) == (0, True)
    for text in ("", "-1", "1.5", "x", "9" * 20, "\u0661"):
        with pytest.raises(ValueError, match="is no number"):
            number(text)
