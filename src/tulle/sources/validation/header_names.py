"""Names of HTTP headers, by what is done to them.

Source: istio/istio, pkg/config/validation (ValidateHTTPHeader...); RFC 9110, section 5.1; RFC 9113, section 8.3.
"""

from __future__ import annotations

import re

from tulle.sources.at import At

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PSEUDO = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
# Istio's name for a claim of a JWT, where a header's stands: `@request.auth.claims.group`, `@request.auth.claims[group]`.
_CLAIM = re.compile(r"@request\.auth\.claims(?:\..+|\[.+\])", re.IGNORECASE | re.DOTALL)
# Envoy takes these in no name (api/envoy/config/core/v3/base.proto, HeaderValue); Istio does not look.
_BREAKS = re.compile(r"[\0\r\n]")
_LONGEST = 16 * 1024  # bytes, as Envoy takes in its configuration (the same message); Istio does not look


def is_claim(name: str) -> bool:
    return _CLAIM.fullmatch(name) is not None


def is_authority(name: str) -> bool:
    return name.lower() in (":authority", "host")


def check_matched_name(name: str, at: At) -> None:
    if not (is_claim(name) or name in _PSEUDO or _TOKEN.fullmatch(name)):
        _say_malformed(name, at)


def check_cors_name(name: str, at: At) -> None:
    if not _TOKEN.fullmatch(name):
        _say_malformed(name, at)


def check_changed_name(name: str, at: At, *, authority: bool = False) -> None:
    """Of what is set, added or removed. authority: whether it may be the host that is called."""
    if not name:
        _say_malformed(name, at)
    elif is_authority(name):
        if not authority:
            at.error(f"`{name}` can't be changed here: use `rewrite.authority`, or `set` it in the request")
    elif name.startswith(":"):
        at.error(f"`{name}` can't be changed: name a header without a colon before it")
    elif _BREAKS.search(name):
        at.unsupported(f"{name!r}: Envoy takes no line breaks in the name of a header: take them out")
    elif (length := len(name.encode())) > _LONGEST:
        at.unsupported(f"is a name of {length} bytes, and Envoy takes up to {_LONGEST}: shorten it")


def _say_malformed(name: str, at: At) -> None:
    at.error(f"`{name}` is no header's name: use letters, digits, `-` and `_`" if name else "is empty: name a header")
