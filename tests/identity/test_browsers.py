"""Tickets and sessions of browsers: how long they are good, and how many there are."""

from __future__ import annotations

from tulle.identity.browsers import IDLE_SECONDS, MOST_OF_ONE, TICKET_SECONDS, Browsers, Person
from tulle.identity.caller import Role

ADA = Person("user ada", Role.ADMIN)
VERA = Person("user vera", Role.VIEWER)


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_ticket_is_good_once_and_for_a_minute() -> None:
    time = Time()
    browsers = Browsers(time)
    ticket, other = browsers.ticket(ADA), browsers.ticket(VERA)
    assert browsers.redeemed("made up") is None
    assert browsers.redeemed(ticket) == ADA
    assert browsers.redeemed(ticket) is None
    time.now += TICKET_SECONDS
    assert browsers.redeemed(other) is None


def test_a_session_ends_when_it_was_idle_for_long_and_not_before() -> None:
    time = Time()
    browsers = Browsers(time)
    told = browsers.begin(ADA)
    for _ in range(3):
        time.now += IDLE_SECONDS - 1
        session = browsers.session(told.cookie)
        assert session and session.person == ADA and browsers.goes_on(session)
    time.now += IDLE_SECONDS
    assert session is not None
    assert not browsers.goes_on(session) and browsers.session(told.cookie) is None


def test_to_be_answered_is_no_use_of_a_session() -> None:
    time = Time()
    browsers = Browsers(time)
    session = browsers.session(browsers.begin(ADA).cookie)
    assert session
    time.now += IDLE_SECONDS - 1
    assert browsers.goes_on(session)
    time.now += 1
    assert not browsers.goes_on(session)


def test_a_session_ends_when_one_signs_out() -> None:
    browsers = Browsers(Time())
    told = browsers.begin(ADA)
    session = browsers.session(told.cookie)
    assert session
    browsers.end(session)
    browsers.end(session)
    assert not browsers.goes_on(session) and browsers.session(told.cookie) is None


def test_nobody_has_many_and_nobody_takes_anothers_away() -> None:
    time = Time()
    browsers = Browsers(time)
    ticket, told = browsers.ticket(VERA), browsers.begin(VERA)
    tickets, cookies = [], []
    for _ in range(MOST_OF_ONE + 1):
        time.now += 0.1
        tickets.append(browsers.ticket(ADA))
        cookies.append(browsers.begin(ADA).cookie)
    assert [browsers.redeemed(one) is None for one in tickets[:2]] == [True, False]
    assert [browsers.session(one) is None for one in cookies[:2]] == [True, False]
    assert browsers.redeemed(ticket) == VERA and browsers.session(told.cookie)


def test_only_its_own_key_is_a_sessions_key() -> None:
    browsers = Browsers(Time())
    one, other = browsers.begin(ADA), browsers.begin(ADA)
    session = browsers.session(one.cookie)
    assert session
    assert [session.has_key(key) for key in (one.key, other.key, one.cookie, "")] == [True, False, False, False]
    assert one.key not in repr(session) and one.cookie not in repr(session)
