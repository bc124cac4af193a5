"""Signs JWT-SVIDs: by whom a workload is, for one audience, for a few minutes.

Source: JWT-SVID standard, sections 2 (header) and 3 (claims); RFC 7638 (a key's id is its thumbprint). Its key has nothing to do
with those of certificates, and lies in a file of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.identity.private import StateUnusable, create_private, read_private

FILE = "jwt-key.pem"
LIFETIME = 300.0  # seconds
_MOST_AUDIENCES, _LONGEST_AUDIENCE = 16, 1024
_ALGORITHM = "ES256"


class AudienceRefused(Exception):
    """No token can be for that. The message says why."""


class JwtAuthority:
    """clock: Unix time in seconds."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._id = _thumbprint(public)
        self._public = {**public, "kid": self._id, "use": "jwt-svid", "alg": _ALGORITHM}

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float]) -> JwtAuthority:
        """With the key in `folder`, made if there is none. Raises StateUnusable."""
        return cls(_open_key(folder / FILE), clock)

    def sign(self, spiffe_id: str, audience: Sequence[str]) -> str:
        """Raises AudienceRefused."""
        if problem := audience_problem(audience):
            raise AudienceRefused(problem)
        now = int(self._clock())
        claims = {"sub": spiffe_id, "aud": list(audience), "iat": now, "exp": now + int(LIFETIME)}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"kid": self._id, "typ": "JWT"})

    @property
    def key_set(self) -> str:
        """The public keys by which its tokens are checked, as JSON (RFC 7517, section 5)."""
        return json.dumps({"keys": [self._public], "spiffe_refresh_hint": 300})


def audience_problem(audience: Sequence[str]) -> str:
    """Why no token can be for that; "" if one can."""
    if 1 <= len(audience) <= _MOST_AUDIENCES and all(1 <= len(one) <= _LONGEST_AUDIENCE for one in audience):
        return ""
    return f"name 1 to {_MOST_AUDIENCES} audiences, of 1 to {_LONGEST_AUDIENCE} characters each"


def _open_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        pem = read_private(path)
    except FileNotFoundError:
        made = ec.generate_private_key(ec.SECP256R1())
        format_ = serialization.PrivateFormat.PKCS8
        create_private(path, made.private_bytes(serialization.Encoding.PEM, format_, serialization.NoEncryption()))
        return made
    fix = "Remove it and a new key will be made: tokens that are out are no good then"
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateUnusable(f"{path} can't be read as a key: {error}. {fix}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise StateUnusable(f"{path} is no key of the curve P-256. {fix}")
    return key


def _thumbprint(public: dict[str, Any]) -> str:
    needed = {name: public[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(needed, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
