"""Failed attempts to enrol: bounded per address and over all, in bounded memory."""

from __future__ import annotations

from tulle.identity.attempts import MOST_ADDRESSES, FailedAttempts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_fails_ten_times_must_wait_and_nobody_else_must() -> None:
    clock = Clock()
    attempts = FailedAttempts(clock)
    for _ in range(10):
        assert not attempts.are_too_many("10.0.0.1")
        attempts.failed("10.0.0.1")
    assert attempts.are_too_many("10.0.0.1")
    assert not attempts.are_too_many("10.0.0.2")
    clock.now += 4.9
    assert attempts.are_too_many("10.0.0.1")
    clock.now += 0.2
    assert not attempts.are_too_many("10.0.0.1")


def test_the_addresses_of_one_machine_count_as_one() -> None:
    attempts = FailedAttempts(Clock())
    for number in range(10):
        attempts.failed(f"fd00::{number:x}")
    assert attempts.are_too_many("fd00::ffff")
    assert not attempts.are_too_many("fd00:0:0:1::1")


def test_a_flood_from_everywhere_stops_all_for_a_moment_and_is_not_remembered_for_ever() -> None:
    clock = Clock()
    attempts = FailedAttempts(clock)
    for number in range(3 * MOST_ADDRESSES):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert attempts.are_too_many("192.0.2.1")
    assert len(attempts._by_address) == MOST_ADDRESSES
    clock.now += 0.1
    assert not attempts.are_too_many("192.0.2.1")
