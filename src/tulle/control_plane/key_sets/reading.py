"""What issuers answer: key sets, and descriptions of themselves. It is somebody else's input, and goes to every sidecar."""

from __future__ import annotations

from typing import Any

import msgspec

from tulle.model.key_sets import key_set

_MOST_KEYS = 500


class Unreadable(Exception):
    """An answer is of no use. The message says why, without what was answered."""


def public_keys(body: bytes) -> str:
    """The set's public keys for signatures as JSON, always in the same form. Raises Unreadable.

    A symmetric key that anybody can fetch proves nothing: it is left out, as is one that is for encryption.
    """
    given = _object(body, "a key set").get("keys")
    if not isinstance(given, list):
        raise Unreadable("what is there is no key set: it has no list `keys` (RFC 7517, section 5)")
    if len(given) > _MOST_KEYS:
        raise Unreadable(f"the key set has {len(given)} keys, more than {_MOST_KEYS}")
    keys = [
        key for key in given if isinstance(key, dict) and key.get("kty") != "oct" and key.get("use", "sig") == "sig"
    ]
    if not keys:
        raise Unreadable("the key set has no public key for signatures")
    try:
        return key_set(msgspec.json.encode({"keys": keys}).decode()).json
    except ValueError as error:
        raise Unreadable(f"the key set {error}") from error


def keys_uri(body: bytes) -> str:
    """Where a described issuer has its keys (OpenID Connect Discovery 1.0, section 3). Raises Unreadable."""
    found = _object(body, "an issuer's description").get("jwks_uri")
    if not isinstance(found, str):
        raise Unreadable("the issuer's description has no `jwks_uri`")
    return found


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"what is there is not {what}, but no JSON object") from error
