"""`match`: which requests a route is for. What is known of the caller beforehand is decided here, the rest by its sidecar.

Source: Istio, Virtual Service, HTTPMatchRequest.
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.ir.routes import HttpMatch, NamedMatch, Text, TextMatch
from tulle.model.resources.common import StringMatch
from tulle.model.resources.virtual_service import HTTPMatchRequest
from tulle.resolve.callers import Caller

MESH_GATEWAY = "mesh"  # the word for all sidecars
_ANY_PATH = (TextMatch(Text.PREFIX, "/"), TextMatch(Text.REGEX, ".*"))


def concerns(match: HTTPMatchRequest, caller: Caller, port: int) -> bool:
    """Whether the match can fit a request of this caller to this port. Gateways that are named override the source's labels."""
    if match.port not in (0, port):
        return False
    if match.gateways:
        return MESH_GATEWAY in match.gateways
    labels = dict(caller.labels)
    return match.source_namespace in ("", caller.namespace) and all(
        labels.get(name) == value for name, value in match.source_labels.items()
    )


def http_match(match: HTTPMatchRequest) -> HttpMatch:
    """What is left to decide of each request."""
    return HttpMatch(
        path=_text(match.uri, match.ignore_uri_case) if match.uri else None,
        method=_maybe(match.method),
        scheme=_maybe(match.scheme),
        authority=_maybe(match.authority),
        headers=(*_named(match.headers), *_named(match.without_headers, absent=True)),
        query=_named(match.query_params),
    )


def fits_all(match: HttpMatch) -> bool:
    """Whether no request gets past it to the routes after it."""
    rest = (match.method, match.scheme, match.authority)
    anywhere = match.path is None or (match.path in _ANY_PATH)
    return anywhere and not any(rest) and not match.headers and not match.query


def text(match: StringMatch) -> TextMatch:
    """A match of nothing, and the expression `*`, which is none of RE2's, ask only whether there is anything."""
    return _text(match)


def _text(match: StringMatch, ignore_case: bool = False) -> TextMatch:
    if match.exact is not None:
        return TextMatch(Text.EXACT, match.exact, ignore_case)
    if match.prefix:
        return TextMatch(Text.PREFIX, match.prefix, ignore_case)
    if match.regex is not None and match.regex != "*":
        return TextMatch(Text.REGEX, match.regex)
    return TextMatch(Text.PRESENT)


def _maybe(match: StringMatch | None) -> TextMatch | None:
    return _text(match) if match else None


def _named(matches: Mapping[str, StringMatch], *, absent: bool = False) -> tuple[NamedMatch, ...]:
    return tuple(NamedMatch(name, _text(matches[name]), absent) for name in sorted(matches))
