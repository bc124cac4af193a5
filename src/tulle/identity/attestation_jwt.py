"""Attestation by a JWT of an OIDC issuer, as Kubernetes gives one to each pod (projected service account tokens).

What it grants follows from its subject: `system:serviceaccount:NS:SA`, which the claim `kubernetes.io` must repeat, is the
service SA in namespace NS with service account SA; any other subject only what a mapping says. Sources: Kubernetes, "Managing
Service Accounts" (bound tokens); RFC 7519; RFC 8725 (algorithms pinned to the key, issuer and audience required).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jwt
from msgspec import Struct

from tulle.identity.attestors import AttestationRefused, AttestationUnavailable, Attested
from tulle.identity.caller import Grant
from tulle.identity.issuer import IssuerKeys, IssuerUnavailable, algorithms_of
from tulle.model.names import is_label

MAX_SIZE = 16 * 1024
LEEWAY_SECONDS = 60
_REQUIRED = ["iss", "aud", "exp", "sub"]
_KUBERNETES = "system:serviceaccount:"


class Mapped(Struct, frozen=True):
    """What a subject may become."""

    namespace: str
    service: str
    service_account: str


class JwtAttestor:
    """mapping: by subject; it comes before what the subject itself says. clock: Unix time in seconds."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: IssuerKeys,
        mapping: Mapping[str, Mapped],
        clock: Callable[[], float],
    ) -> None:
        self._issuer, self._audience = issuer, audience
        self._keys = keys
        self._mapping = mapping
        self._clock = clock

    async def attest(self, evidence: str) -> Attested:
        """evidence: the JWT (JWS compact form). Raises AttestationRefused, AttestationUnavailable."""
        key_id = _key_id(evidence)
        try:
            key = await self._keys.find(key_id)
        except IssuerUnavailable as error:
            raise AttestationUnavailable("the control plane can't get the issuer's keys; its log says why") from error
        if key is None:
            raise AttestationRefused("the JWT is signed by a key that its issuer does not have")
        subject, claims = self._verified(evidence, key)
        granted = self._mapping.get(subject) or _of_kubernetes(subject, claims)
        return Attested(
            Grant(f"jwt {self._issuer} {subject}", granted.namespace, granted.service, granted.service_account)
        )

    def _verified(self, evidence: str, key: jwt.PyJWK) -> tuple[str, dict[str, Any]]:
        try:
            claims = jwt.decode(
                evidence,
                key.key,
                algorithms=algorithms_of(key),
                options={
                    "require": _REQUIRED,
                    "verify_aud": True,
                    "verify_iss": True,
                    # By our own clock, below.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
                audience=self._audience,
                issuer=self._issuer,
            )
        except jwt.InvalidAudienceError as error:
            raise AttestationRefused(f"the JWT is not for the audience {self._audience}") from error
        except jwt.InvalidIssuerError as error:
            raise AttestationRefused(f"the JWT is not of the issuer {self._issuer}") from error
        except jwt.MissingRequiredClaimError as error:
            raise AttestationRefused(f"the JWT has no claim {error.claim}") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise AttestationRefused("the JWT's signature is not that of its issuer's key, or it is damaged") from error
        self._check_times(claims)
        subject = claims["sub"]
        if not isinstance(subject, str) or len(subject) > 512 or not subject.isprintable():
            raise AttestationRefused("the JWT's subject is no short text")
        return subject, claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """Raises AttestationRefused. RFC 7519, section 2: numbers of seconds, perhaps with fractions."""
        now = self._clock()
        for claim in ("exp", "nbf", "iat"):
            value = claims.get(claim)
            if value is None and claim != "exp":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
                raise AttestationRefused(f"the JWT's claim {claim} is no time")
            if claim == "exp" and value + LEEWAY_SECONDS <= now:
                raise AttestationRefused("the JWT has expired")
            if claim != "exp" and value - LEEWAY_SECONDS > now:
                raise AttestationRefused("the JWT is not valid yet; are the clocks right?")


def _key_id(evidence: str) -> str:
    """Raises AttestationRefused."""
    if len(evidence) > MAX_SIZE:
        raise AttestationRefused(f"the JWT is longer than {MAX_SIZE} characters")
    try:
        header = jwt.get_unverified_header(evidence)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise AttestationRefused("this is no JWT") from error
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id or "crit" in header:
        raise AttestationRefused("the JWT does not name the key that signed it (kid), or asks for what is not known")
    return key_id


def _of_kubernetes(subject: str, claims: Mapping[str, Any]) -> Mapped:
    """Raises AttestationRefused."""
    namespace, _, account = subject.removeprefix(_KUBERNETES).partition(":")
    if not subject.startswith(_KUBERNETES) or not (is_label(namespace) and is_label(account)):
        raise AttestationRefused(f"the JWT's subject {subject} may enrol as nothing: see --jwt-map of tulle up")
    said = claims.get("kubernetes.io")
    named = said.get("serviceaccount") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(named, dict):
        raise AttestationRefused("the JWT has no claim kubernetes.io with a serviceaccount")
    if (said.get("namespace"), named.get("name")) != (namespace, account):
        raise AttestationRefused("the JWT's subject and its claim kubernetes.io name different service accounts")
    return Mapped(namespace, account, account)
