"""Which collectors did not take something lately, by what sidecars tell."""

from __future__ import annotations

from tulle.telemetry.figures.collectors import LATELY, Collectors
from tulle.telemetry.figures.report import MOST_COLLECTORS


def test_what_was_told_lately_is_shown_and_the_sum_stays() -> None:
    now = 1000.0
    collectors = Collectors(lambda: now)
    collectors.add({"b:4317": 2.0})
    now += LATELY / 2
    collectors.add({"b:4317": 1.0, "a:4318": 5.0})
    assert list(collectors.lately().items()) == [("a:4318", 5), ("b:4317", 3)]
    now += LATELY / 2 + 5
    assert collectors.lately() == {"a:4318": 5, "b:4317": 1}
    now += LATELY
    assert (collectors.lately(), collectors.totals) == ({}, {"b:4317": 3, "a:4318": 5})


def test_an_agent_that_makes_names_up_takes_no_more_room_than_there_is() -> None:
    collectors = Collectors(lambda: 0.0)
    for number in range(3 * MOST_COLLECTORS):
        collectors.add({str(number): 1.0})
    assert len(collectors.totals) == len(collectors.lately()) == MOST_COLLECTORS
