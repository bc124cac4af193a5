"""What issuers answer: key sets, and descriptions of themselves. It is somebody else's input, and goes to every sidecar."""

from __future__ import annotations

from typing import Any

import msgspec

from tulle.model.json_web_keys import is_usable

# Of a public key (RFC 7517, section 4; RFC 7518, section 6). Other members, such as those of private keys, go no further.
_PUBLIC = ("kty", "use", "alg", "kid", "n", "e", "crv", "x", "y")
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
    keys = [{name: key[name] for name in _PUBLIC if name in key} for key in given if _is_public(key)]
    if not keys:
        raise Unreadable("the key set has no public key for signatures")
    return msgspec.json.encode({"keys": keys}).decode()


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


def _is_public(key: object) -> bool:
    return isinstance(key, dict) and key.get("kty") != "oct" and key.get("use", "sig") == "sig" and is_usable(key)
