"""JSON Web Key Sets as Envoy takes them, whoever wrote them: a set without a usable key would have it refuse the listener.

Sources: RFC 7517, section 5; RFC 7518, section 6; RFC 8037, section 2. What of these Envoy 1.40 takes was tried on its
parser (jwt_authn, `local_jwks`): it leaves out keys that it can't use, and wants one that it can.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

_KEPT = ("kty", "kid", "use", "alg", "crv", "n", "e", "x", "y", "k")  # no private part
_BASE64 = re.compile(r"([-_A-Za-z0-9]+)(={0,2})")
_RSA_BITS = range(512, 16384 + 1)  # BoringSSL
_EXPONENTS = (3, 65537)
# Of y² = x³ - 3x + b (mod p), as NIST SP 800-186 has them: p, b, and the algorithm.
_CURVES = {
    "P-256": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        "ES256",
    ),
    "P-384": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        "ES384",
    ),
    "P-521": (
        2**521 - 1,
        int(
            "051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF8"
            "83D2C34F1EF451FD46B503F00",
            16,
        ),
        "ES512",
    ),
}


class KeySet(Struct, frozen=True):
    """json: a set of the usable keys, without any private part. left_out: why the others are not in it."""

    json: str
    left_out: tuple[str, ...] = ()


def key_set(text: str) -> KeySet:
    """Raises ValueError, whose text is for the user and repeats nothing of the keys, if no key is usable."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError(f"is no JSON: {error}") from error
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list):
        raise ValueError('is no set of keys: write `{"keys": [...]}`')
    usable, left_out = [], []
    for index, key in enumerate(keys):
        if problem := _problem(key):
            left_out.append(f"key {index} {problem}")
        else:
            usable.append({name: key[name] for name in _KEPT if isinstance(key.get(name), str)})
    if not usable:
        raise ValueError(f"has no key that Envoy can use{f': {left_out[0]}' if left_out else ''}")
    return KeySet(msgspec.json.encode({"keys": usable}).decode(), tuple(left_out))


def _problem(key: Any) -> str | None:
    """Why Envoy can't use a key."""
    kind = key.get("kty") if isinstance(key, dict) else None
    check = _KINDS.get(kind) if isinstance(kind, str) else None
    return check(key) if check else f"must have a `kty` of {', '.join(_KINDS)}"


def _rsa(key: Mapping[str, Any]) -> str | None:
    modulus, exponent = (int.from_bytes(_bytes(key, name)) for name in ("n", "e"))
    if modulus.bit_length() not in _RSA_BITS or not modulus & 1:
        return f"needs an `n` in base64url, odd, of {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits"
    if exponent not in _EXPONENTS:
        return f"needs an `e` in base64url, {' or '.join(map(str, _EXPONENTS))}"
    return (
        None if _algorithm(key, "RS256").startswith(("RS", "PS")) else "is RSA, so its `alg` must begin with RS or PS"
    )


def _ec(key: Mapping[str, Any]) -> str | None:
    curve = _CURVES.get(key["crv"]) if isinstance(key.get("crv"), str) else None
    if curve is None:
        return f"needs a `crv` of {', '.join(_CURVES)}"
    prime, b, algorithm = curve
    x, y = (int.from_bytes(_bytes(key, name)) for name in ("x", "y"))
    if not (0 < x < prime and 0 < y < prime) or (y * y - x * x * x + 3 * x - b) % prime:
        return "needs `x` and `y` in base64url that are a point of its curve"
    return None if _algorithm(key, algorithm) == algorithm else f"is of {key['crv']}, so its `alg` must be {algorithm}"


def _okp(key: Mapping[str, Any]) -> str | None:
    if key.get("crv") != "Ed25519":
        return "is OKP, so its `crv` must be Ed25519"
    if len(_bytes(key, "x")) != 32:
        return "needs an `x` of 32 bytes in base64url"
    return None if _algorithm(key, "EdDSA") == "EdDSA" else "is OKP, so its `alg` must be EdDSA"


def _oct(key: Mapping[str, Any]) -> str | None:
    if not _bytes(key, "k"):
        return "needs a `k` in base64url"
    fits = _algorithm(key, "HS256") in ("HS256", "HS384", "HS512")
    return None if fits else "is oct, so its `alg` must be HS256, HS384 or HS512"


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp, "oct": _oct}


def _algorithm(key: Mapping[str, Any], default: str) -> str:
    found = key.get("alg")
    return found if isinstance(found, str) else default


def _bytes(key: Mapping[str, Any], name: str) -> bytes:
    """Empty if it is none."""
    text = key.get(name)
    match = _BASE64.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[2] and len(match[0]) % 4):
        return b""
    try:
        return base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error:
        return b""
