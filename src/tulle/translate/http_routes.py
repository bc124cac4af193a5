"""A virtual host's routes, where users or the mesh's own default say them.

tulle's own retries are for a user's routes too, unless they say their own: safe methods are tried again on more than others
are. So such a route is one for each of the two, and for safe methods one more, that tells who answered whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.ir.routes import Forward, HttpMatch, HttpRoute
from tulle.translate import names
from tulle.translate.answers import answer, set_header
from tulle.translate.cors import CORS_FILTER, cors
from tulle.translate.faults import FAULT_FILTER, fault
from tulle.translate.http_actions import action, missing
from tulle.translate.http_match import route_match
from tulle.translate.retries import UNSEEN, own_retries

_SAFE = {"name": ":method", "string_match": {"safe_regex": {"regex": names.SAFE_METHODS}}}
_EXPLAIN = {"name": names.EXPLAIN_HEADER, "present_match": True}
_NO_ROUTE = "no route of its VirtualService fits this call: its last route should have no match"


def http_routes(routes: Sequence[HttpRoute]) -> list[dict[str, Any]]:
    """Envoy's routes, in order, for a virtual host whose retry policy is that of safe methods."""
    found = [entry for route in routes for entry in _entries(route)]
    if routes[-1].match != HttpMatch():
        # Envoy's own answer would be that of a name which the mesh does not know.
        found.append({"match": {"prefix": "/"}, **answer(404, _NO_ROUTE)})
    return found


def _entries(route: HttpRoute) -> list[dict[str, Any]]:
    plain = _parts(route)
    if not isinstance(route.action, Forward):
        return [{"match": route_match(route.match), **plain}]
    peer = set_header(names.PEER_HEADER, "%UPSTREAM_PEER_URI_SAN%")
    explained = {**plain, "response_headers_to_add": [*plain.get("response_headers_to_add", ()), peer]}
    if route.action.retries is not None:
        return [
            {"match": route_match(route.match, [_EXPLAIN]), **explained},
            {"match": route_match(route.match), **plain},
        ]
    unsafe = {**plain, "route": {**plain["route"], "retry_policy": own_retries(UNSEEN)}}
    return [
        {"match": route_match(route.match, [_EXPLAIN, _SAFE]), **explained},
        {"match": route_match(route.match, [_SAFE]), **plain},
        {"match": route_match(route.match), **unsafe},
    ]


def _parts(route: HttpRoute) -> dict[str, Any]:
    """All but the match."""
    parts = action(route)
    parts.update({key: value for key, value in (("name", route.name), ("stat_prefix", route.stat_prefix)) if value})
    told = {"source": route.source, "missing": missing(route.action) if isinstance(route.action, Forward) else ""}
    if route.source:
        fields = {key: {"string_value": value} for key, value in told.items() if value}
        parts["metadata"] = {"filter_metadata": {names.METADATA: {"fields": fields}}}
    filters = {}
    if route.fault is not None:
        filters[FAULT_FILTER] = fault(route.fault)
    if route.cors is not None:
        filters[CORS_FILTER] = cors(route.cors)
    return {**parts, "typed_per_filter_config": filters} if filters else parts
