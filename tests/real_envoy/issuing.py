"""Issuers of tokens: keys, key sets, and tokens that are good or not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

_CURVES: dict[str, type[ec.EllipticCurve]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


class Issuing:
    """One issuer with one key; `kid` is its id. algorithm: RFC 7518's name, or EdDSA."""

    def __init__(self, name: str, kid: str = "1", algorithm: str = "ES256") -> None:
        self.name, self.kid, self.algorithm = name, kid, algorithm
        self.key: Any
        if algorithm in _CURVES:
            self.key = ec.generate_private_key(_CURVES[algorithm]())
        else:
            self.key = rsa.generate_private_key(65537, 2048) if algorithm != "EdDSA" else Ed25519PrivateKey.generate()

    @property
    def jwk(self) -> dict[str, Any]:
        of: Any = {"ES": ECAlgorithm, "Ed": OKPAlgorithm}.get(self.algorithm[:2], RSAAlgorithm)
        return {**of.to_jwk(self.key.public_key(), as_dict=True), "kid": self.kid, "use": "sig", "alg": self.algorithm}

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [self.jwk]})

    @property
    def public_pem(self) -> bytes:
        pem: bytes = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Good for an hour; a claim that is None is left out."""
        given = {"iss": self.name, "sub": "alice", "exp": time.time() + 3600, **claims}
        kept = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(kept, self.key, self.algorithm, headers={"kid": self.kid, **(headers or {})})


def handmade(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> str:
    """A token as no library makes it."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
