"""A join token as one string: where the control plane is, by which root it is known, and the secret that lets an agent in.

    tulle1.<base64url of {"at": ["10.0.0.1:7443"], "ca": ["<SHA-256 of a root certificate, hex>"], "id": ..., "secret": ...}>

Without id and secret it is no secret: then the agent must prove itself otherwise, by a JWT. Standard library only: the agent
reads this file.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from tulle.model.ip import port_of

PREFIX = "tulle1."
MAX_SIZE = 4096
_FINGERPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[0-9a-z]{1,32}", re.ASCII)
_SECRET = re.compile(r"[0-9A-Za-z_-]{43}", re.ASCII)  # 256 bits in base64url
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII | re.I
)
_MOST = 8


class NoJoinToken(ValueError):
    """The message says why, and holds nothing of the text."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """addresses: `host:port`, `[IPv6]:port`; the first that answers is taken. fingerprints: one of them must be the root's."""

    addresses: tuple[str, ...]
    fingerprints: tuple[str, ...]
    id: str = ""
    secret: str = field(default="", repr=False)

    @property
    def evidence(self) -> str:
        """What proves it to the control plane."""
        return f"{self.id}.{self.secret}" if self.id else ""


def encode(token: JoinToken) -> str:
    fields: dict[str, object] = {"at": token.addresses, "ca": token.fingerprints}
    if token.id:
        fields |= {"id": token.id, "secret": token.secret}
    text = json.dumps(fields, separators=(",", ":")).encode()
    return PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(text: str) -> JoinToken:
    """Raises NoJoinToken."""
    if len(text) > MAX_SIZE:
        raise NoJoinToken(f"a join token has at most {MAX_SIZE} characters")
    if not text.startswith(PREFIX):
        raise NoJoinToken(f"a join token begins with {PREFIX}; `tulle token create` prints one")
    body = text.removeprefix(PREFIX)
    try:
        fields = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise NoJoinToken("the join token is damaged; was it copied whole?") from None
    if not isinstance(fields, dict):
        raise NoJoinToken("the join token is damaged; was it copied whole?")
    token = JoinToken(
        _texts(fields.get("at")), _texts(fields.get("ca")), _text(fields.get("id")), _text(fields.get("secret"))
    )
    if not token.addresses or any(parsed_address(each) is None for each in token.addresses):
        raise NoJoinToken("the join token names no address of a control plane")
    if not token.fingerprints or any(_FINGERPRINT.fullmatch(each) is None for each in token.fingerprints):
        raise NoJoinToken("the join token names no fingerprint of a root certificate")
    if bool(token.id) != bool(token.secret) or (token.id and not is_evidence(token.evidence)):
        raise NoJoinToken("the join token's secret is damaged; was it copied whole?")
    return token


def is_evidence(text: str) -> bool:
    """Whether it has the form of `JoinToken.evidence`."""
    id, _, secret = text.partition(".")
    return _ID.fullmatch(id) is not None and _SECRET.fullmatch(secret) is not None


def parsed_address(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `[IPv6]:port`; None if it is no such thing."""
    host, _, written = text.rpartition(":")
    if (port := port_of(written)) is None:
        return None
    is_bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if is_bracketed else host
    try:
        version = ip_address(bare).version
    except ValueError:
        return (host, port) if _HOST.fullmatch(host) and not host.rpartition(".")[2].isdigit() else None
    return (bare, port) if is_bracketed == (version == 6) and "%" not in bare else None


def written_address(host: str, port: int) -> str:
    """The inverse of `parsed_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) <= _MOST and all(isinstance(each, str) for each in value):
        return tuple(value)
    return ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
