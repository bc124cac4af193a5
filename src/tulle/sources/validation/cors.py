"""CORS: which pages of other origins may call."""

from __future__ import annotations

from tulle.model.resources.common import StringMatch
from tulle.model.resources.virtual_service import CorsPolicy
from tulle.sources.at import At
from tulle.sources.validation import string_match
from tulle.sources.validation.basics import check_duration
from tulle.sources.validation.header_names import check_cors_name

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")
_SECOND = 10**9


def check(policy: CorsPolicy | None, at: At) -> None:
    if policy is None:
        return
    if policy.allow_origin:
        at.field("allowOrigin").warning("is the old form: write `allowOrigins: [{exact: …}]`")
    for index, origin in enumerate(policy.allow_origins):
        _check_origin(origin, at.field("allowOrigins").item(index))
    for index, method in enumerate(policy.allow_methods):
        if method not in _METHODS:
            at.field("allowMethods").item(index).error(f"`{method}` is no method: use one of {', '.join(_METHODS)}")
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            check_cors_name(name, at.field(field).item(index))
    if policy.max_age is not None:
        length = check_duration(policy.max_age, at.field("maxAge"))
        if length is not None and length % _SECOND:
            at.field("maxAge").error(f"is {policy.max_age}: use whole seconds")


def _check_origin(origin: StringMatch, at: At) -> None:
    if origin.exact or origin.prefix or origin.regex:
        string_match.check(origin, at)
    else:
        at.error("allows nobody: give `exact`, `prefix` or `regex`, and something in it")
