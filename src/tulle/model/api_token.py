"""A user's token as one string: where the control plane is, by which root it is known, who comes, and the secret.

    tulleapi1.<base64url of {"at": ["10.0.0.1:7443"], "ca": ["<SHA-256 of a root certificate, hex>"], "user": ..., "secret": ...}>

Without addresses it is for the control plane's own machine, through the Unix socket in the state folder.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field

PREFIX = "tulleapi1."
MAX_SIZE = 4096
_FINGERPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_USER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_SECRET = re.compile(r"[0-9A-Za-z_-]{43}", re.ASCII)  # 256 bits in base64url
_ADDRESS = re.compile(r"[0-9A-Za-z_.\[\]:-]{1,262}:[0-9]{1,5}", re.ASCII)
MOST_ADDRESSES = 8


class NoApiToken(ValueError):
    """The message says why, and holds nothing of the text."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """addresses: `host:port`, `[IPv6]:port`; the first that answers is taken. fingerprints: one must be the root's."""

    user: str
    secret: str = field(repr=False)
    addresses: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    @property
    def evidence(self) -> str:
        """What proves it to the control plane."""
        return f"{self.user}.{self.secret}"


def encode(token: ApiToken) -> str:
    fields = {"at": token.addresses, "ca": token.fingerprints, "user": token.user, "secret": token.secret}
    text = json.dumps(fields, separators=(",", ":")).encode()
    return PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(text: str) -> ApiToken:
    """Raises NoApiToken."""
    if len(text) > MAX_SIZE or not text.startswith(PREFIX):
        raise NoApiToken(f"a user's token begins with {PREFIX} and has at most {MAX_SIZE} characters")
    body = text.removeprefix(PREFIX)
    try:
        fields = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise NoApiToken("the token is damaged; was it copied whole?")
    addresses, fingerprints = _texts(fields.get("at"), _ADDRESS), _texts(fields.get("ca"), _FINGERPRINT)
    user, secret = fields.get("user"), fields.get("secret")
    if addresses is None or fingerprints is None or (addresses and not fingerprints):
        raise NoApiToken(
            "the token is damaged: it does not say where the control plane is, and by which root it is known"
        )
    if not (isinstance(user, str) and _USER.fullmatch(user) and isinstance(secret, str) and _SECRET.fullmatch(secret)):
        raise NoApiToken("the token is damaged: it names no user, or has no secret")
    return ApiToken(user, secret, addresses, fingerprints)


def _texts(value: object, form: re.Pattern[str]) -> tuple[str, ...] | None:
    """None if it is no list of such texts."""
    if not isinstance(value, list) or len(value) > MOST_ADDRESSES:
        return None
    texts = tuple(each for each in value if isinstance(each, str) and form.fullmatch(each))
    return texts if len(texts) == len(value) else None
