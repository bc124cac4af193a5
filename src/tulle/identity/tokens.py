"""Join tokens, as the control plane keeps them: what each may become, until when, how often; never its secret.

    identity/tokens/<id>    a Token as JSON

Of the secret only SHA-256 is kept. That is enough, and a slow hash would add nothing: the secret is 256 random bits, which
nobody guesses from a digest, however fast that is computed. A token is changed by compare-and-swap alone, so that of
enrolments at once never more succeed than there are uses.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tulle.model.names import label_problem
from tulle.store.contract import KeyValue, Put, Store, Unchanged

PREFIX = "identity/tokens/"
MOST_USES = 1_000_000
LONGEST_TTL = 366 * 86400.0
MOST_TOKENS = 10_000
_KEPT_SECONDS = 86400.0  # after its end, so that its user may still see why it does not work

_log = logging.getLogger(__name__)


class TokenRefused(Exception):
    """There can be no such token. The message is for the user."""


class Token(Struct, frozen=True):
    """namespace, service, service_account: what its holder may become, all three named.

    digest: SHA-256 of the secret, in hex. created, expires: Unix time in seconds. used: how many of its `uses` are gone.
    """

    id: str
    namespace: str
    service: str
    service_account: str
    digest: str
    created: float
    expires: float
    uses: int
    used: int = 0


class JoinTokens:
    """clock: Unix time in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, namespace: str, service: str, service_account: str, ttl: float, uses: int
    ) -> tuple[Token, str]:
        """A new token and its secret, which is told only now. Raises TokenRefused."""
        if problem := _problem(namespace, service, service_account, ttl, uses):
            raise TokenRefused(problem)
        if len((await self._store.range(PREFIX)).items) >= MOST_TOKENS:
            raise TokenRefused(f"there are {MOST_TOKENS} join tokens already; revoke some: tulle token revoke ID")
        now = self._clock()
        while True:
            secret = secrets.token_urlsafe(32)
            token = Token(
                id=secrets.token_hex(5),
                namespace=namespace,
                service=service,
                service_account=service_account,
                digest=digest_of(secret),
                created=now,
                expires=now + ttl,
                uses=uses,
            )
            if await self._store.transaction((Unchanged(key(token.id), 0),), (Put(key(token.id), encode(token)),)):
                return token, secret

    async def all(self) -> list[Token]:
        """The oldest first."""
        listing = await self._store.range(PREFIX)
        return sorted(filter(None, map(self._decoded, listing.items)), key=lambda token: (token.created, token.id))

    async def find(self, id: str) -> tuple[Token, int] | None:
        """The token, and the revision at which it is that."""
        stored = await self._store.get(key(id))
        token = self._decoded(stored) if stored else None
        return (token, stored.revision) if stored and token else None

    async def revoke(self, id: str) -> bool:
        """From now on nobody enrols by it; who has, stays enrolled. False: there is no such token."""
        if await self._store.get(key(id)) is None:
            return False
        await self._store.delete(key(id))
        return True

    async def tidy(self) -> None:
        """Forgets those that ended long ago."""
        for token in await self.all():
            if token.expires + _KEPT_SECONDS < self._clock():
                await self._store.delete(key(token.id))

    def _decoded(self, stored: KeyValue) -> Token | None:
        try:
            return _decoder.decode(stored.value)
        except msgspec.DecodeError as error:
            _log.warning("the record at %s in the store is skipped: %s", stored.key, error)
            return None


def key(id: str) -> str:
    return f"{PREFIX}{id}"


def encode(token: Token) -> bytes:
    return msgspec.json.encode(token)


def spent(token: Token) -> Token:
    """With one use less."""
    return replace(token, used=token.used + 1)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def has_secret(token: Token | None, secret: str) -> bool:
    """Whether the secret is the token's. Takes the same time for every wrong one, and where there is no token."""
    return hmac.compare_digest(token.digest if token else _NO_DIGEST, digest_of(secret)) and token is not None


def _problem(namespace: str, service: str, service_account: str, ttl: float, uses: int) -> str:
    problems = [
        label_problem("namespace", namespace),
        label_problem("service name", service),
        label_problem("service account", service_account),
        "" if 1 <= ttl <= LONGEST_TTL else f"ttl must be 1 to {LONGEST_TTL:.0f} seconds",
        "" if 1 <= uses <= MOST_USES else f"uses must be 1 to {MOST_USES}",
    ]
    return "; ".join(filter(None, problems))


_decoder = msgspec.json.Decoder(Token)
_NO_DIGEST = "0" * 64
