"""RequestAuthentication. Source: istio.io, Reference, RequestAuthentication."""

from __future__ import annotations

from tulle.model.resources.common import Message
from tulle.model.resources.policy_targets import PolicySelector, PolicyTargetReference

DISCOVERY = "/.well-known/openid-configuration"


class JWTHeader(Message, frozen=True):
    name: str = ""
    prefix: str = ""


class ClaimToHeader(Message, frozen=True):
    header: str = ""
    claim: str = ""


class JWTRule(Message, frozen=True):
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    forward_original_token: bool = False
    timeout: str | None = None
    space_delimited_claims: tuple[str, ...] = ()


def keys_at(rule: JWTRule) -> str:
    """The URI from which the rule's keys are to be fetched; "" if it holds them.

    With neither it is the issuer's own description, which names their place (OpenID Connect Discovery 1.0, section 4).
    """
    if rule.jwks or rule.jwks_uri:
        return "" if rule.jwks else rule.jwks_uri
    return rule.issuer.rstrip("/") + DISCOVERY if rule.issuer else ""


class RequestAuthentication(Message, frozen=True):
    selector: PolicySelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()
