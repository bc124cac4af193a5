"""RequestAuthentication. Source: Istio, pkg/config/validation (ValidateRequestAuthentication, validateJwtRule) and its CRD."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from tulle.model.resources.request_authentication import ClaimToHeader, JWTRule, RequestAuthentication
from tulle.sources.at import At
from tulle.sources.validation import key_sets, policy_targets
from tulle.sources.validation.amounts import check_count, check_size, check_time
from tulle.sources.validation.basics import check_one_line

_MOST_RULES, _LONGEST_URI = 4096, 2048
_STRICT_NAME = re.compile(r"[-A-Za-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


def check(spec: RequestAuthentication, at: At) -> None:
    policy_targets.check(spec, at)
    check_count(spec.jwt_rules, at.field("jwtRules"), _MOST_RULES)
    for index, rule in enumerate(spec.jwt_rules):
        _check_rule(rule, at.field("jwtRules").item(index))


def _check_rule(rule: JWTRule, at: At) -> None:
    _check_keys(rule, at)
    _check_texts(rule.audiences, at.field("audiences"), "an audience that tokens name in `aud`")
    _check_texts(rule.from_params, at.field("fromParams"), "a parameter of the query")
    _check_texts(rule.from_cookies, at.field("fromCookies"), "a cookie")
    _check_texts(rule.space_delimited_claims, at.field("spaceDelimitedClaims"), "a claim")
    for index, header in enumerate(rule.from_headers):
        place = at.field("fromHeaders").item(index)
        if not header.name:
            place.field("name").error("is needed: the header in which the token is")
        check_one_line(header.name, place.field("name"))
        check_one_line(header.prefix, place.field("prefix"))
    check_one_line(rule.output_payload_to_header, at.field("outputPayloadToHeader"))
    for index, output in enumerate(rule.output_claim_to_headers):
        _check_output(output, at.field("outputClaimToHeaders").item(index))
    check_time(rule.timeout, at.field("timeout"))


def _check_keys(rule: JWTRule, at: At) -> None:
    if not rule.issuer and not rule.jwks_uri:
        at.field("issuer").error("is needed: who makes the tokens, as they say in `iss`; or give `jwksUri`")
    if rule.jwks_uri and rule.jwks:
        at.field("jwks").error("only one of `jwksUri` and `jwks` may be given: keep one")
    if rule.jwks_uri:
        _check_uri(rule.jwks_uri, at.field("jwksUri"))
    elif rule.jwks:
        key_sets.check(rule.jwks, at.field("jwks"))
    elif rule.issuer and not rule.issuer.startswith(("http://", "https://")):
        at.field("jwksUri").unsupported(
            f"is needed, or `jwks`: `{rule.issuer}` is no URL, so it can't be asked where its keys are"
        )
    elif rule.issuer:
        _check_uri(rule.issuer, at.field("issuer"))


def _check_uri(uri: str, at: At) -> None:
    check_size(uri, at, _LONGEST_URI)
    try:
        parts = urlsplit(uri)
        host = parts.hostname if parts.port is None or parts.port else ""  # `port` raises if it is none
    except ValueError as error:
        at.error(f"{uri!r} is no URI: {error}")
        return
    if _CONTROL.search(uri) or " " in parts.netloc or _BAD_ESCAPE.search(parts.path):
        at.error(f"{uri!r} is no URI: write a blank as `%20` and a `%` as `%25`")
    elif parts.scheme not in ("http", "https"):
        at.error(f"`{uri}` must begin with `https://` or `http://`")
    elif not host:
        at.unsupported(f"`{uri}` names no host, or port 0: write them after `{parts.scheme}://`")
    elif "@" in parts.netloc:
        at.unsupported("it holds a user or a password, which tulle does not send: leave them out")


def _check_texts(texts: Sequence[str], at: At, what: str) -> None:
    for index, text in enumerate(texts):
        if not text:
            at.item(index).error(f"is empty: name {what}")


def _check_output(output: ClaimToHeader, at: At) -> None:
    if not output.claim:
        at.field("claim").error("is needed: the claim whose value the header gets")
    if not output.header:
        at.field("header").error("is needed: the header that gets the value")
    elif not _STRICT_NAME.fullmatch(output.header):
        at.field("header").error(f"`{output.header}` can't be set: use letters, digits and `-`")
