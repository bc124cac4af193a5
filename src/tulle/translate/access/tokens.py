"""What a request's token says, as principals of Envoy's RBAC. The filter that has checked it leaves its claims as metadata.

Source: Envoy, JwtAuthentication `payload_in_metadata`, `MetadataMatcher`; istio.io, Authorization Policy, `requestPrincipals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.ir.access import Attribute, Test, Value
from tulle.translate.access.strings import SOMETHING, string_match

# Where the claims are: the filter's namespace, and a key in it.
METADATA, PAYLOAD = "envoy.filters.http.jwt_authn", "payload"

_CLAIMS = {Attribute.AUDIENCE: ("aud",), Attribute.PRESENTER: ("azp",)}
_ANY = {"safe_regex": {"regex": SOMETHING}}


def token(attribute: Attribute, key: Sequence[str], value: Value) -> dict[str, Any]:
    """A principal for one value of a claim; of a list of texts, one must fit."""
    if attribute is Attribute.REQUEST_PRINCIPAL:
        return _principal(value)
    match = {"string_match": string_match(value)}
    either = {"or_match": {"value_matchers": [match, {"list_match": {"one_of": match}}]}}
    return _claim(_CLAIMS.get(attribute, key), either)


def _claim(path: Sequence[str], value: dict[str, Any]) -> dict[str, Any]:
    keys = [{"key": key} for key in (PAYLOAD, *path)]
    return {"metadata": {"filter": METADATA, "path": keys, "value": value}}


def _principal(value: Value) -> dict[str, Any]:
    """`<issuer>/<subject>`: the last slash parts them, as an issuer is often a URL."""
    issuer, slash, subject = value.text.rpartition("/")
    text = value.text
    match value.test:
        case Test.PRESENT:
            return _of(_ANY, _ANY)
        case Test.SUFFIX if slash:
            return _of({"suffix": issuer} if issuer else _ANY, {"exact": subject})
        case Test.SUFFIX:
            return _of(_ANY, {"suffix": text})
        case Test.PREFIX if slash:  # the prefix may end within the issuer
            subjects = {"prefix": subject} if subject else _ANY
            return {"or_ids": {"ids": [_of({"exact": issuer}, subjects), _of({"prefix": text}, _ANY)]}}
        case Test.PREFIX:
            return _of({"prefix": text}, _ANY)
        case _:
            return _of({"exact": issuer}, {"exact": subject})


def _of(issuer: dict[str, Any], subject: dict[str, Any]) -> dict[str, Any]:
    both = [_claim(["iss"], {"string_match": issuer}), _claim(["sub"], {"string_match": subject})]
    return {"and_ids": {"ids": both}}
