"""The steps of a gradual shift, and when it goes on, waits or goes back."""

from __future__ import annotations

import msgspec
import pytest

from tulle.api.figure_views import StatView
from tulle.cli.shifting.judging import Limits, Measured, Next, baseline, judged, measured
from tulle.cli.shifting.weights import raised, risen, steps, whole

LIMITS = Limits()
GOES_ON = Limits(goes_on=True)
OLD = Measured(900, 9, 40.0)  # 1 % fail


@pytest.mark.parametrize(
    ("now", "target", "step", "expected"),
    [
        ({"v1": 100}, {"v2": 100}, 50, [{"v2": 50, "v1": 50}, {"v2": 100, "v1": 0}]),
        ({"v1": 100}, {"v1": 75, "v2": 25}, 10, [{"v1": 90, "v2": 10}, {"v1": 80, "v2": 20}, {"v1": 75, "v2": 25}]),
        ({"v1": 95, "v2": 5}, {"v2": 100}, 100, [{"v2": 100, "v1": 0}]),
        ({"v0": 34, "v1": 33, "v2": 33}, {"v2": 53, "v0": 24, "v1": 23}, 10, None),
    ],
)
def test_shares_go_step_by_step_and_are_always_100(now: object, target: object, step: int, expected: object) -> None:
    found = steps(now, target, step)  # type: ignore[arg-type]
    assert all(sum(each.values()) == 100 for each in found)
    assert expected is None or found == expected


def test_one_version_is_raised_and_the_others_keep_their_proportion() -> None:
    assert raised({"v0": 60, "v1": 30, "v2": 10}, "v2", 40) == {"v0": 40, "v1": 20, "v2": 40}
    assert raised({"v1": 100}, "v2", 100) == {"v1": 0, "v2": 100}
    with pytest.raises(ValueError, match="say who gets the other 60 percent"):
        raised({"v2": 100}, "v2", 40)
    assert risen({"v1": 100}, {"v1": 90, "v2": 10}) == "v2"
    for target in ({"v1": 100}, {"v2": 50, "v3": 50}):
        with pytest.raises(ValueError, match="a gradual shift raises one"):
            risen({"v1": 100}, target)
    assert whole({"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}


@pytest.mark.parametrize(
    ("new", "old", "limits", "passed", "expected", "why"),
    [
        # By errors.
        (Measured(100, 2, 40.0), OLD, LIMITS, 60, Next.GO_ON, ""),
        (Measured(100, 3, 40.0), OLD, LIMITS, 60, Next.GO_BACK, "3.00% of its requests failed, and 2.00% may"),
        (Measured(100, 1, 40.0), None, LIMITS, 60, Next.GO_ON, ""),
        (Measured(100, 2, 40.0), None, LIMITS, 60, Next.GO_BACK, "and 1.00% may"),
        (Measured(100, 0, 40.0), OLD, Limits(max_errors=0), 60, Next.GO_ON, ""),
        # Before the time is over: only what can't become good.
        (Measured(100, 3, 40.0), OLD, LIMITS, 10, Next.WAIT, ""),
        (Measured(100, 13, 40.0), OLD, LIMITS, 10, Next.GO_BACK, "13.00%"),
        (Measured(100, 0, 400.0), OLD, LIMITS, 10, Next.WAIT, ""),
        # By latency.
        (Measured(100, 0, 60.0), OLD, LIMITS, 60, Next.GO_ON, ""),
        (Measured(100, 0, 61.0), OLD, LIMITS, 60, Next.GO_BACK, "its p95 is 61ms, and may be 60ms at most"),
        (Measured(100, 0, 11.5), Measured(900, 0, 2.0), LIMITS, 60, Next.GO_ON, ""),
        (Measured(100, 0, 500.0), None, LIMITS, 60, Next.GO_ON, ""),
        (Measured(100, 0, 79.0), OLD, Limits(max_latency=2), 60, Next.GO_ON, ""),
        # Too few.
        (Measured(19, 19, 1.0), OLD, LIMITS, 30, Next.WAIT, ""),
        (Measured(19, 19, 1.0), OLD, LIMITS, 60, Next.WAIT, "too few to judge, 19 of 20 requests"),
        (Measured(19, 0, 1.0), OLD, LIMITS, 120, Next.GO_BACK, "too few to judge"),
        (Measured(0), OLD, GOES_ON, 30, Next.WAIT, ""),
        (Measured(0), OLD, GOES_ON, 60, Next.GO_ON, "too few to judge"),
        (Measured(20, 20, 1.0), OLD, LIMITS, 90, Next.GO_BACK, "100.00%"),
    ],
)
def test_a_step_of_a_minute(
    new: Measured, old: Measured | None, limits: Limits, passed: float, expected: Next, why: str
) -> None:
    verdict = judged(new, old, limits, passed, 60)
    assert verdict.next is expected
    assert why in verdict.why and bool(why) == bool(verdict.why)


def test_without_enough_requests_the_old_version_is_as_it_was_in_the_step_before() -> None:
    assert baseline(Measured(20, 1, 2.0), OLD, LIMITS) == Measured(20, 1, 2.0)
    assert baseline(Measured(19, 19, 2.0), OLD, LIMITS) == OLD
    assert baseline(Measured(), None, LIMITS) is None


def row(workload: str, version: str, requests: int, success: float | None, p95: float | None, **flags: int) -> StatView:
    return StatView(
        *("workload", "default", "web", requests, 1.0, success, 1.0, p95, p95, None, {}, flags, None, None),
        workload=workload,
        version=version,
    )


def test_calls_that_reached_nobody_count_as_failures_of_the_new_version() -> None:
    rows = [
        row("web-v0", "v0", 10, 1.0, 900.0),
        row("web-v1", "v1", 100, 0.9, 30.0),
        row("web-v2", "v2", 50, 1.0, 20.0),
        row("", "", 25, 0.2, 0.1, UH=15, UF=5),
        row("web-v3", "v3", 0, None, None),
    ]
    new, old = measured(rows, "v2")
    assert (new, old) == (Measured(70, 20, 20.0), Measured(110, 10, 30.0))
    rows[2] = msgspec.structs.replace(rows[2], unreached=5)  # to which its sidecars' callers had a way, and lost it
    assert measured(rows, "v2")[0] == Measured(75, 25, 20.0)
    answered = measured([row("", "", 25, 0.2, 0.1)], "v2")  # by callers' sidecars, as a route says
    assert answered == (Measured(), Measured())
    assert new.told() == "70 requests, 28.57% errors, p95 20ms" and Measured().told() == "no requests"
