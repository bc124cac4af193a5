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
_ATTRIBUTE = re.compile(r"[^\x00-\x1f\x7f;]*")
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
    elif not _TOKEN.fullmatch(name):
        # Istio does not look. Envoy takes all but line breaks, and then answers each such call with 503.
        at.unsupported(_malformed(name))
    elif (length := len(name.encode())) > _LONGEST:
        at.unsupported(f"is a name of {length} bytes, and Envoy takes up to {_LONGEST}: shorten it")


def check_hashed_name(name: str, at: At) -> None:
    """Of what an instance is chosen by. Istio does not look."""
    if not name:
        at.unsupported("an empty name is never there to be hashed: name one")
    elif not (name in _PSEUDO or _TOKEN.fullmatch(name)):
        at.unsupported(_malformed(name))


def check_cookie_name(name: str, at: At) -> None:
    """A cookie's is a token as well (RFC 6265, section 4.1.1). Istio asks only for one that is not empty."""
    if name and not _TOKEN.fullmatch(name):
        at.unsupported(f"{name!r} is no name of a cookie: use letters, digits, `-` and `_`")


def check_attribute(text: str, at: At) -> None:
    """Of a cookie: what would end it (RFC 6265, section 4.1.1)."""
    if not _ATTRIBUTE.fullmatch(text):
        at.unsupported(f"{text!r} can't stand in a cookie: take `;` and control characters out")


def _say_malformed(name: str, at: At) -> None:
    at.error(_malformed(name) if name else "is empty: name a header")


def _malformed(name: str) -> str:
    shown = name if name.isprintable() else repr(name)[1:-1]
    return f"`{shown}` is no header's name: use letters, digits, `-` and `_`"
