"""Deadlines, with the clock in hand."""

from __future__ import annotations

from tulle.store.leases import STALL_SECONDS, TICK_SECONDS, Leases


def ticks(leases: Leases, start: float, end: float) -> tuple[int, ...]:
    """Tick from after `start` to `end`, as a healthy loop does."""
    expired: tuple[int, ...] = ()
    for n in range(1, round((end - start) / TICK_SECONDS) + 1):
        expired = leases.tick(start + n * TICK_SECONDS)
    return expired


def test_a_lease_expires_at_its_deadline() -> None:
    leases = Leases({}, 100)
    leases.add(1, 4, now=100)
    assert ticks(leases, 100, 103.75) == ()
    assert ticks(leases, 103.75, 104) == (1,)


def test_after_opening_every_lease_has_its_whole_time() -> None:
    leases = Leases({1: 4, 2: 8}, 100)
    assert ticks(leases, 100, 103.75) == ()
    assert ticks(leases, 103.75, 104) == (1,)


def test_a_stall_expires_nothing_and_gives_everyone_the_whole_time_again() -> None:
    leases = Leases({1: 4, 2: 8}, 100)
    leases.shorten(2, 1, now=100)
    assert leases.tick(100 + 4 + STALL_SECONDS) == ()
    assert ticks(leases, 105, 108.75) == ()
    assert ticks(leases, 108.75, 109) == (1,)
    assert ticks(leases, 109, 112.75) == (1,)
    assert ticks(leases, 112.75, 113) == (1, 2)


def test_a_heartbeat_after_the_deadline_counts_while_no_tick_has_seen_it() -> None:
    leases = Leases({1: 4}, 100)
    ticks(leases, 100, 103.75)
    assert leases.keep_alive(1, now=104.5)
    assert leases.tick(104.6) == ()


def test_what_has_expired_stays_so_and_is_named_until_it_is_removed() -> None:
    leases = Leases({1: 4}, 100)
    assert ticks(leases, 100, 104) == (1,)
    assert not leases.keep_alive(1, now=104)
    assert leases.tick(200) == (1,)
    leases.remove(1)
    assert leases.tick(201) == ()


def test_shortening_never_lengthens_and_keeping_alive_undoes_it() -> None:
    leases = Leases({1: 4}, 100)
    leases.shorten(1, 60, now=100)
    leases.shorten(1, 1, now=100)
    leases.keep_alive(1, now=100.5)
    assert ticks(leases, 100.5, 104.25) == ()
    leases.shorten(1, 0.25, now=104.25)
    assert ticks(leases, 104.25, 104.5) == (1,)


def test_an_unknown_lease_is_no_trouble() -> None:
    leases = Leases({}, 0)
    assert not leases.keep_alive(7, now=0)
    leases.shorten(7, 1, now=0)
    leases.remove(7)
