"""The filter that checks tokens (JWT), before any access rule looks at what they say.

Source: Envoy, JWT Authentication (`JwtProvider`, `JwtRequirement`); Istio's requirement: no token passes, one that is there must
be good. Where several issuers' tokens may be in the same place, one of them has to stand for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.tokens import Issuer
from tulle.translate.access.tokens import METADATA, PAYLOAD

_FILTER = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
# Of an issuer whose keys are not known no token is good. Envoy demands a key: this is a point of P-256 whose private key nobody
# has, as its x is the SHA-256 of `tulle: nobody has this key, 1`.
_NO_KEYS = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"nobody",'
    '"x":"ZQlwNf2jcOEcnMbODO95cpScPxa4Jd05o8cpGgqjDCE","y":"b0xahEtag-6mhOFKR0G8XKI0FQyvDU9cMKUiqgD1jmo"}]}'
)


def token_filter(issuers: Sequence[Issuer]) -> list[dict[str, Any]]:
    """None where there are no issuers."""
    if not issuers:
        return []
    providers = {str(number): _provider(issuer) for number, issuer in enumerate(issuers)}
    rule = {"match": {"prefix": "/"}, "requires": _requirement(list(providers))}
    settings = message(_FILTER)(providers=providers, rules=[rule])
    return [{"name": METADATA, "typed_config": pack(settings)}]


def headers_of_claims(issuers: Sequence[Issuer]) -> list[dict[str, Any]]:
    """Mutations that take away, before all else, the headers by which a program is told of claims.

    Also where they are written with `_`, which is the same to many programs (WSGI, CGI).
    """
    headers = {issuer.payload_header for issuer in issuers} | {name for i in issuers for name, _ in i.claim_headers}
    if not (headers := headers - {""}):
        return []
    either = "|".join(re.sub("[-_]", "[-_]", re.escape(name).replace(r"\-", "-")) for name in sorted(headers))
    return [{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": either}}}}]


def _requirement(names: list[str]) -> dict[str, Any]:
    each = [{"provider_name": name} for name in names]
    good_or_missing = [{"requires_any": {"requirements": [one, {"allow_missing": {}}]}} for one in each]
    if len(each) == 1:
        return good_or_missing[0]
    return {"requires_any": {"requirements": [*each, {"requires_all": {"requirements": good_or_missing}}]}}


def _provider(issuer: Issuer) -> dict[str, Any]:
    return {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        "local_jwks": {"inline_string": issuer.jwks or _NO_KEYS},
        "forward": issuer.forward,
        "from_headers": [{"name": p.header, "value_prefix": p.prefix} for p in issuer.places if p.header],
        "from_params": [place.parameter for place in issuer.places if place.parameter],
        "from_cookies": [place.cookie for place in issuer.places if place.cookie],
        "forward_payload_header": issuer.payload_header,
        "claim_to_headers": [{"header_name": name, "claim_name": claim} for name, claim in issuer.claim_headers],
        "payload_in_metadata": PAYLOAD,
        "normalize_payload_in_metadata": {"space_delimited_claims": issuer.spaced},
    }
