"""Numbers of calls: added up they are the same as all calls counted at once, and percentiles are those of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.telemetry.figures.report import BOUNDS, Duration, Series
from tulle.telemetry.figures.ring import Ring
from tulle.telemetry.figures.sums import WIDTH, Sum, numbers_of

BUCKETS = len(BOUNDS) + 1


def measured(*milliseconds: float) -> list[float]:
    buckets = [0.0] * BUCKETS
    for each in milliseconds:
        buckets[bisect_left(BOUNDS, each)] += 1
    return numbers_of(Series({}, requests=len(milliseconds), duration=Duration(sum(milliseconds), tuple(buckets))))


def test_without_calls_there_is_no_percentile() -> None:
    assert Sum().percentile(0.5) is None


@pytest.mark.parametrize(
    ("milliseconds", "share", "expected"),
    [
        ((3,) * 10, 0.5, 3.0),  # the middle of 1 to 5
        ((3,) * 10, 1.0, 5.0),
        ((0.1,) * 4, 0.5, 0.25),
        ((3, 3, 60, 60), 0.75, 75.0),
        ((4e6,), 0.99, 3600000.0),  # above the last bound
        ((1, 1, 1, 900), 0.75, 1.0),
    ],
)
def test_a_percentile_lies_within_its_bucket(milliseconds: tuple[float, ...], share: float, expected: float) -> None:
    assert Sum(measured(*milliseconds)).percentile(share) == pytest.approx(expected)


@given(st.lists(st.lists(st.floats(0, 1e7), max_size=20), max_size=10), st.floats(0.01, 1))
def test_sums_of_parts_have_the_percentiles_of_the_whole(parts: list[list[float]], share: float) -> None:
    total = Sum()
    for part in parts:
        total.add(measured(*part))
    whole = [each for part in parts for each in part]
    assert total.percentile(share) == Sum(measured(*whole)).percentile(share)
    assert total["requests"] == len(whole)
    if whole:  # and the bucket is that of the call at that place
        at = sorted(whole)[max(0, -int(-share * len(whole) // 1) - 1)]
        place = bisect_left(BOUNDS, at)
        found = total.percentile(share)
        assert found is not None
        assert (BOUNDS[place - 1] if place else 0) <= found <= BOUNDS[min(place, len(BOUNDS) - 1)]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=60), st.integers(0, 45), st.integers(1, 12))
def test_a_ring_holds_its_newest_slots_and_no_other(added: list[tuple[int, int]], last: int, length: int) -> None:
    ring, slots = Ring(8, 2), 8
    kept: dict[int, list[float]] = {}
    for slot, number in added:
        ring.add(slot, [number, 1])
        newest = max([slot, *kept], default=slot)
        place = slot % slots
        others = [other for other in kept if other % slots == place and other != slot]
        if any(other > slot for other in others):
            continue
        for other in others:
            del kept[other]
        kept[slot] = [a + b for a, b in zip(kept.get(slot, [0, 0]), [number, 1], strict=True)]
        assert newest >= slot
    first = last - length + 1
    expected = {slot: numbers for slot, numbers in kept.items() if max(first, last - slots + 1) <= slot <= last}
    assert {slot: list(numbers) for slot, numbers in ring.each(first, last)} == expected


def test_a_share_of_numbers_is_added_where_a_report_is_spread() -> None:
    ring = Ring(4, 1)
    for slot in range(3):
        ring.add(slot, [9.0], 1 / 3)
    assert [round(numbers[0], 5) for _, numbers in ring.each(0, 2)] == [3.0, 3.0, 3.0]
    assert len(Sum().numbers) == WIDTH


def test_a_ring_is_as_large_as_what_it_holds() -> None:
    ring = Ring(180)
    ring.add(1, measured(3.0))
    assert _bytes_of(ring) < 1500
    for slot in range(400):
        ring.add(slot, measured(3.0, 30.0))
    assert _bytes_of(ring) > 3000
    ring.forget(399)
    assert _bytes_of(ring) < 1500
    assert [slot for slot, _ in ring.each(0, 400)] == [399]
    assert ring.total(0, 400).numbers == Sum(measured(3.0, 30.0)).numbers


def test_a_ring_forgets_only_where_that_gives_much_back() -> None:
    ring = Ring(8, 1)
    for slot in range(8):
        ring.add(slot, [1.0])
    ring.forget(3)
    assert ring.has(0, 0) and ring.has(7, 9) and not ring.has(8, 9)
    ring.forget(4)
    assert not ring.has(0, 3) and ring.has(4, 4)


def _bytes_of(ring: Ring) -> int:
    parts = (ring._rows, ring._which, ring._columns, *ring._columns.values())
    return sum(map(getsizeof, parts))
