"""Who has signed in by a browser: one-time tickets, and the sessions that they or a user's token began. In memory alone.

A ticket is for whoever may ask already, on the way to that one's own browser. A session is proved by a cookie. As browsers send
cookies to every port of a host, also to other people's, a cookie alone changes nothing: that takes the session's key, which the
page alone is told. Of tickets, cookies and keys only SHA-256 digests are kept: each is 256 random bits.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

from msgspec import Struct

from tulle.identity.caller import Role
from tulle.identity.users import User, digest_of

TICKET_SECONDS = 60.0
IDLE_SECONDS = 12 * 3600.0
MOST_OF_ONE = 20  # tickets, and sessions, of one name; the one that was used least lately goes


class Person(Struct, frozen=True):
    """name: for the audit log. user: by whose token, None: by the state folder's secret. role: no more than that one's own."""

    name: str
    role: Role
    user: User | None = None


class Session(Struct, frozen=True):
    """cookie, key: digests, in hex."""

    person: Person
    cookie: str
    key: str

    def has_key(self, key: str) -> bool:
        return hmac.compare_digest(self.key, digest_of(key))


class Secrets(Struct, frozen=True):
    """What is told once."""

    cookie: str
    key: str


class Browsers:
    """clock: in seconds, only goes forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tickets: dict[str, tuple[Person, float]] = {}
        self._sessions: dict[str, tuple[Session, float]] = {}

    def ticket(self, person: Person) -> str:
        """Good once, for TICKET_SECONDS."""
        now, ticket = self._clock(), secrets.token_urlsafe(32)
        for digest in [digest for digest, (_, until) in self._tickets.items() if until <= now]:
            del self._tickets[digest]
        own = [digest for digest, (whose, _) in self._tickets.items() if whose.name == person.name]
        for digest in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._tickets[digest]
        self._tickets[digest_of(ticket)] = (person, now + TICKET_SECONDS)
        return ticket

    def redeemed(self, ticket: str) -> Person | None:
        """Whose it was; None: it is not good, or not any more."""
        person, until = self._tickets.pop(digest_of(ticket), (None, 0.0))
        return person if until > self._clock() else None

    def begin(self, person: Person) -> Secrets:
        now, told = self._clock(), Secrets(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        for digest in [digest for digest, (_, used) in self._sessions.items() if used + IDLE_SECONDS <= now]:
            del self._sessions[digest]
        own = sorted(
            (used, digest) for digest, (session, used) in self._sessions.items() if session.person.name == person.name
        )
        for _, digest in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._sessions[digest]
        session = Session(person, digest_of(told.cookie), digest_of(told.key))
        self._sessions[session.cookie] = (session, now)
        return told

    def session(self, cookie: str) -> Session | None:
        """Of a request that comes now; None: there is none, or it was idle for IDLE_SECONDS."""
        digest, now = digest_of(cookie), self._clock()
        session, used = self._sessions.get(digest, (None, 0.0))
        if session is None or used + IDLE_SECONDS <= now:
            self._sessions.pop(digest, None)
            return None
        self._sessions[digest] = (session, now)
        return session

    def goes_on(self, session: Session) -> bool:
        """Whether it has not ended meanwhile. To be answered is no use of it."""
        found, used = self._sessions.get(session.cookie, (None, 0.0))
        return found is session and used + IDLE_SECONDS > self._clock()

    def end(self, session: Session) -> None:
        self._sessions.pop(session.cookie, None)
