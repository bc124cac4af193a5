"""What the API shows of who is trusted and who may ask: the CA, users, join tokens, revocations, and signing in.

As in views.py: times are Unix time in seconds, a field may be added, none is renamed or taken away.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

CaPhase = Literal["steady", "distributing", "renewing", "ready"]


class CaRootView(Struct, frozen=True):
    """A root that is trusted. begins, ends: of its certificate. signs: new certificates lead to it. stays: after a rotation."""

    id: str
    subject: str
    begins: float
    ends: float
    signs: bool
    stays: bool


class CaIssuerView(Struct, frozen=True):
    """An authority whose certificates may be shown now; root: to which it leads."""

    id: str
    root: str
    ends: float
    state: Literal["signs", "upcoming", "retired"]


class CaProxyView(Struct, frozen=True):
    """trusts: whether it has taken up all that is to be trusted. root: that its certificates lead to; "" if not known.

    ends: when the newest that it was given do; None if that is not known.
    """

    id: str
    trusts: bool
    root: str
    ends: float | None = None


class CaView(Struct, frozen=True):
    """The certificate authority, and how far a rotation of its root is.

    phase: steady: one root; distributing: both are to be trusted by all; renewing: the new one signs; ready: to be finished.
    trusting, renewed: how many of the proxies trust all of it, and have certificates of the newest root. revokes: whether
    handshakes of revoked certificates can be refused, as all issuers may sign lists of them.
    """

    phase: CaPhase
    roots: list[CaRootView]
    issuers: list[CaIssuerView]
    proxies: list[CaProxyView]
    trusting: int
    renewed: int
    revokes: bool


class UserView(Struct, frozen=True):
    """Somebody who may ask by a token. last_used: None if never; to the minute."""

    name: str
    role: str
    created: float
    expires: float
    last_used: float | None = None


class MadeUserView(Struct, frozen=True):
    """token: the whole text for TULLE_API; told only now."""

    token: str
    user: UserView


class TokenView(Struct, frozen=True):
    """A join token, without its secret, which nobody keeps. uses: how many agents may enrol by it; used: how many have."""

    id: str
    namespace: str
    service: str
    service_account: str
    created: float
    expires: float
    uses: int
    used: int


class MadeTokenView(Struct, frozen=True):
    """token: the whole text for `tulle run --join`; told only now. about: None for one without a secret, which has no id."""

    id: str
    token: str
    about: TokenView | None = None


class RevocationView(Struct, frozen=True):
    """Who is revoked: a proxy, or all that would enrol with a service account. until: when the last certificate ends."""

    kind: Literal["proxy", "service account"]
    name: str
    namespace: str
    service: str
    spiffe_id: str
    since: float
    reason: str
    by: str
    until: float | None = None


class RevokedView(Struct, frozen=True):
    """What has been revoked now, or undone, and what of it was revoked before. handshakes: whether they are refused."""

    changed: list[RevocationView]
    already: list[RevocationView]
    handshakes: bool


class TicketView(Struct, frozen=True):
    """A way into the dashboard, good once. url: with the ticket in it. seconds: how long it is good."""

    ticket: str
    url: str
    role: str
    seconds: float


class SignedInView(Struct, frozen=True):
    """Who has signed in. key: for the header of changes; told only now."""

    name: str
    role: str
    key: str


class MeView(Struct, frozen=True):
    """Who asks. may_change: whether by a request as this one: an admin's, if from a browser with its session's key."""

    name: str
    role: str
    may_change: bool
