"""Whether a JWT-SVID is good. Source: JWT-SVID standard, sections 2 (header), 3 (claims), 4 (validation)."""

from __future__ import annotations

from typing import Any

import jwt

from tulle.model.spiffe import TRUST_DOMAIN

_ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
_TYPES = (None, "JWT", "JOSE")


class Invalid(Exception):
    """The token proves nothing. The message says why."""


def validated(token: str, audience: str, keys: str) -> dict[str, Any]:
    """Its claims. keys: the trust domain's JSON Web Key Set. Raises Invalid."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") not in _TYPES:
            raise Invalid(f"its type is {header['typ']!r}")
        found = [key for key in jwt.PyJWKSet.from_json(keys).keys if key.key_id == header.get("kid")]
        if not found:
            raise Invalid("it is signed by no key of this trust domain")
        # When it was issued is by another machine's clock, which may be ahead, and the standard asks for the end alone.
        options: Any = {"require": ["sub", "aud", "exp"], "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(token, found[0], algorithms=_ALGORITHMS, audience=audience, options=options)
    except jwt.PyJWTError as error:
        raise Invalid(str(error)) from error
    if not str(claims["sub"]).startswith(f"spiffe://{TRUST_DOMAIN}/"):
        raise Invalid(f"its subject is no identity in {TRUST_DOMAIN}")
    return claims
