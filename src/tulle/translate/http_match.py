"""Which requests a route fits, in Envoy's words (RouteMatch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.ir.routes import HttpMatch, NamedMatch, Text, TextMatch


def route_match(match: HttpMatch, headers: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """headers: further conditions."""
    pseudo = [(":method", match.method), (":authority", match.authority), (":scheme", match.scheme)]
    conditions = [
        *(_header(named) for named in match.headers),
        *(_header(NamedMatch(name, text)) for name, text in pseudo if text is not None),
        *headers,
    ]
    return {
        **_path(match.path),
        "headers": conditions,
        "query_parameters": [{"name": named.name, **_condition(named.match)} for named in match.query],
    }


def _path(path: TextMatch | None) -> dict[str, Any]:
    if path is None or path.kind is Text.PRESENT:
        return {"prefix": "/"}
    if path.kind is Text.REGEX:
        return {"safe_regex": {"regex": path.value}}
    kind = "path" if path.kind is Text.EXACT else "prefix"
    return {kind: path.value, **({"case_sensitive": {"value": False}} if path.ignore_case else {})}


def _header(named: NamedMatch) -> dict[str, Any]:
    """A header that is missing is an empty one to a condition that is turned round (HeaderMatcher), as Istio has it."""
    header = {"name": named.name, **_condition(named.match)}
    if named.absent:
        header["invert_match"] = True
        header["treat_missing_header_as_empty"] = named.match.kind is not Text.PRESENT
    return header


def _condition(match: TextMatch) -> dict[str, Any]:
    if match.kind is Text.PRESENT:
        return {"present_match": True}
    return {"string_match": string_match(match)}


def string_match(match: TextMatch) -> dict[str, Any]:
    """Envoy's StringMatcher; of anything at all, an expression."""
    if match.kind is Text.PRESENT:
        return {"safe_regex": {"regex": ".*"}}
    if match.kind is Text.REGEX:
        return {"safe_regex": {"regex": match.value}}
    kind = "exact" if match.kind is Text.EXACT else "prefix"
    return {kind: match.value, **({"ignore_case": True} if match.ignore_case else {})}
