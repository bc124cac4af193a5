"""Which JSON Web Keys a sidecar can check tokens by. Envoy refuses a whole listener if a set in it has none.

Source: RFC 7517; RFC 7518, section 6; RFC 8037, section 2; Envoy, jwt_verify_lib (`Jwks::createFrom`). The library that knows is
imported when it is asked: commands read this file too.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any

import msgspec

_BASE64 = re.compile(r"[-_A-Za-z0-9]+={0,2}")
_ALGORITHMS = {"RSA": "(RS|PS)(256|384|512)", "OKP": "EdDSA", "oct": "HS(256|384|512)"}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA_BITS = range(1024, 16385)  # as much as BoringSSL takes, and not so little that anybody could find the private key
_MOST_EXPONENT = 2**33


@lru_cache(maxsize=1024)
def has_keys(text: str) -> bool:
    """Whether that is a set with at least one such key."""
    try:
        keys = msgspec.json.decode(text, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(keys, list) and any(map(is_usable, keys))


def is_usable(key: object) -> bool:
    if not isinstance(key, dict) or not all(
        isinstance(key.get(name, ""), str) for name in ("kty", "kid", "alg", "crv")
    ):
        return False
    kind, curve = key.get("kty", ""), key.get("crv", "")
    algorithms = _CURVES.get(curve, "") if kind == "EC" else _ALGORITHMS.get(kind, "")
    if not algorithms or ("alg" in key and not re.fullmatch(algorithms, key["alg"])):
        return False
    try:
        return _is_key(key, kind, curve)
    except (ValueError, OverflowError):
        return False


def _is_key(key: dict[str, Any], kind: str, curve: str) -> bool:
    """Raises ValueError for what is none."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if kind == "oct":
        return bool(_bytes(key, "k"))
    if kind == "RSA":
        numbers = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n"))
        return numbers.e < _MOST_EXPONENT and numbers.public_key().key_size in _RSA_BITS
    if kind == "OKP":
        return curve == "Ed25519" and bool(ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key, "x")))
    of: Any = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[curve]
    return bool(ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), of()).public_key())


def _number(key: dict[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(key, name), "big")


def _bytes(key: dict[str, Any], name: str) -> bytes:
    text = key.get(name)
    if not isinstance(text, str) or not _BASE64.fullmatch(text):
        raise ValueError(name)
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
