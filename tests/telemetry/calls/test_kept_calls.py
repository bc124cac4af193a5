"""The last requests that are kept: the newest, and of no service so many that those of others go."""

from __future__ import annotations

from tulle.ir.telemetry import Reporter
from tulle.telemetry.calls.kept import Calls, Kept
from tulle.telemetry.calls.told import Told


def call(service: str, id: str) -> Kept:
    return Kept(f"{service}-1", service, Told(Reporter.SOURCE, id=id))


def test_the_oldest_make_room() -> None:
    calls = Calls(most=3, most_of_one=2)
    for number, service in enumerate(("a", "b", "c", "d")):
        calls.add(call(service, f"number-{number}"))
    assert [one.told.id for one in calls] == ["number-3", "number-2", "number-1"]
    assert not calls.of("number-0") and calls.of("number-3")


def test_a_service_whose_requests_all_fail_leaves_those_of_others() -> None:
    calls = Calls(most=10, most_of_one=3)
    calls.add(call("quiet", "the-one"))
    for number in range(100):
        calls.add(call("loud", f"number-{number}"))
    assert [one.told.id for one in calls] == ["number-99", "number-98", "number-97", "the-one"]


def test_a_single_place_is_for_the_newest() -> None:
    calls = Calls(most=1, most_of_one=1)
    for number, service in enumerate(("a", "a", "b", "b")):
        calls.add(call(service, f"number-{number}"))
        assert [one.told.id for one in calls] == [f"number-{number}"]
