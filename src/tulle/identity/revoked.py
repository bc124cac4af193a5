"""Who was thrown out: the records of revoked proxies and service accounts.

    identity/revoked/proxies/<proxy>                          a RevokedProxy as JSON
    identity/revoked/accounts/<namespace>/<service account>   a RevokedAccount as JSON

A proxy's record takes the place of the one that says that it is enrolled (enrolled.py), in one transaction, so that a renewal
comes before the revocation, and is revoked with it, or not at all. It goes some time after its last certificate has ended; an
account's stays until it is undone.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tulle.identity.enrolled import Enrolled

PREFIX = "identity/revoked/"
PROXIES, ACCOUNTS = f"{PREFIX}proxies/", f"{PREFIX}accounts/"
# A connection that was open before lives on after its certificate has ended, and must not be let in again then.
KEPT_SECONDS = 30 * 86400.0


class RevokedProxy(Struct, frozen=True):
    """enrolled: as it was. since: Unix time in seconds. by: who revoked it, as Caller's name."""

    enrolled: Enrolled
    since: float
    reason: str = ""
    by: str = ""

    @property
    def ends(self) -> float:
        """When its last certificate does, in Unix time."""
        return max((one.not_after for one in self.enrolled.certificates), default=self.since)

    @property
    def why(self) -> str:
        return f"proxy {self.enrolled.proxy} is revoked{_because(self.reason)}"


class RevokedAccount(Struct, frozen=True):
    """Nobody may enrol with this service account. The rest as RevokedProxy's."""

    namespace: str
    service_account: str
    since: float
    reason: str = ""
    by: str = ""

    @property
    def why(self) -> str:
        return f"the service account {self.service_account} in namespace {self.namespace} is revoked{_because(self.reason)}"


def proxy_key(proxy: str) -> str:
    return f"{PROXIES}{proxy}"


def account_key(namespace: str, service_account: str) -> str:
    return f"{ACCOUNTS}{namespace}/{service_account}"


def encode(record: RevokedProxy | RevokedAccount) -> bytes:
    return msgspec.json.encode(record)


def decode(key: str, value: bytes) -> RevokedProxy | RevokedAccount:
    """The record at a key. Raises ValueError."""
    try:
        return _proxies.decode(value) if key.startswith(PROXIES) else _accounts.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


_proxies = msgspec.json.Decoder(RevokedProxy)
_accounts = msgspec.json.Decoder(RevokedAccount)
