"""People who may ask the control plane, and what proves them: a name, a role, and a secret of which only a digest is kept.

    identity/users/<name>    a User as JSON

SHA-256 is enough for the digest: the secret is 256 random bits, which nobody guesses, however fast one can try. A record
is changed by compare-and-swap alone, so that noting a use never brings back who was revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tulle.identity.caller import Role
from tulle.model.names import label_problem
from tulle.store.contract import KeyValue, Put, Store, Unchanged
from tulle.store.errors import StoreError

PREFIX = "identity/users/"
ROLES = (Role.ADMIN, Role.VIEWER)
LONGEST_TTL = 366 * 86400.0
MOST_USERS = 1_000
_NOTED_EVERY = 60.0  # a use that comes sooner after the last one is not written down

_log = logging.getLogger(__name__)


class UserRefused(Exception):
    """There can be no such user. The message is for who asked for it."""


class NotProved(Exception):
    """Nobody is proved. The message is for the caller, and tells those who do not know the secret nothing."""


class User(Struct, frozen=True):
    """digest: SHA-256 of the secret, in hex. created, expires, last_used: Unix time in seconds; 0.0: never used."""

    name: str
    role: Role
    digest: str
    created: float
    expires: float
    last_used: float = 0.0


class Users:
    """clock: Unix time in seconds. Methods raise StoreError."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def create(self, name: str, role: str, ttl: float) -> tuple[User, str]:
        """A new user and the secret, which is told only now. Raises UserRefused."""
        if problem := _problem(name, role, ttl):
            raise UserRefused(problem)
        if len((await self._store.range(PREFIX)).items) >= MOST_USERS:
            raise UserRefused(f"there are {MOST_USERS} users already; revoke some: tulle user revoke NAME")
        now, secret = self._clock(), secrets.token_urlsafe(32)
        user = User(name, Role(role), digest_of(secret), created=now, expires=now + ttl)
        stored = await self._store.get(_key(name))
        former = self._decoded(stored) if stored else None
        if former is not None and former.expires > now:
            raise UserRefused(f"there is a user {name} already; to give a new token: tulle user revoke {name}")
        compare = Unchanged(_key(name), stored.revision if stored else 0)
        if await self._store.transaction((compare,), (Put(_key(name), msgspec.json.encode(user)),)) is None:
            raise UserRefused(f"somebody else is making a user {name} just now")
        return user, secret

    async def all(self) -> list[User]:
        """By name."""
        return list(filter(None, map(self._decoded, (await self._store.range(PREFIX)).items)))

    async def revoke(self, name: str) -> User | None:
        """Who it was; None: there is no such user."""
        stored = await self._store.get(_key(name))
        if stored is None:
            return None
        await self._store.delete(_key(name))
        return self._decoded(stored)

    async def proved(self, evidence: str) -> User:
        """Whom `<name>.<secret>` proves. Raises NotProved."""
        name, _, secret = evidence.partition(".")
        stored = await self._store.get(_key(name)) if not label_problem("user", name) else None
        user = self._decoded(stored) if stored else None
        # The same time for every wrong one, also where there is no such user.
        is_right = hmac.compare_digest(user.digest if user else _NO_DIGEST, digest_of(secret))
        if stored is None or user is None or not is_right:
            raise NotProved("the token is not valid: it is not of this mesh, or was revoked")
        if user.expires <= (now := self._clock()):
            raise NotProved(f"the token of {user.name} has expired; an admin makes a new one: tulle user create")
        if now - user.last_used >= _NOTED_EVERY:
            await self._note(stored, replace(user, last_used=now))
        return user

    async def is_current(self, user: User) -> bool:
        """Whether that token would still prove its user."""
        stored = await self._store.get(_key(user.name))
        now = self._decoded(stored) if stored else None
        return now is not None and now.digest == user.digest and now.expires > self._clock()

    async def _note(self, stored: KeyValue, user: User) -> None:
        """A full disk keeps nobody out."""
        with suppress(StoreError):
            await self._store.transaction(
                (Unchanged(stored.key, stored.revision),), (Put(stored.key, msgspec.json.encode(user)),)
            )

    def _decoded(self, stored: KeyValue) -> User | None:
        try:
            return _decoder.decode(stored.value)
        except msgspec.DecodeError as error:
            _log.warning("the record at %s in the store is skipped: %s", stored.key, error)
            return None


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _key(name: str) -> str:
    return f"{PREFIX}{name}"


def _problem(name: str, role: str, ttl: float) -> str:
    problems = [
        label_problem("user", name) or "",
        "" if role in ROLES else f"role {role!r} is none of a user's: use {' or '.join(ROLES)}",
        "" if 1 <= ttl <= LONGEST_TTL else f"ttl must be 1 to {LONGEST_TTL:.0f} seconds",
    ]
    return "; ".join(filter(None, problems))


_decoder = msgspec.json.Decoder(User)
_NO_DIGEST = "0" * 64
