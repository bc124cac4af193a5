"""A virtual host's routes, where users or the mesh's own default say them.

tulle's own retries are for a user's routes too, unless they say their own: safe methods are tried again on more than others
are. Envoy looks at its routes one after the other; so of several routes each kind of method has a list of its own, and the
method chooses the list. (With 100 routes that is about a fifth of what a sidecar's request costs.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
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


def http_routes(routes: Sequence[HttpRoute], tunnel: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The fields of a virtual host whose retry policy is that of safe methods. tunnel: what CONNECT takes, if anything."""
    # Envoy's own answer would be that of a name which the mesh does not know.
    end = [] if routes[-1].match == HttpMatch() else [{"match": {"prefix": "/"}, **answer(404, _NO_ROUTE)}]
    unsafe = [*(entry for route in routes for entry in _unsafe(route)), *end]
    if not any(_has_own_retries(route) for route in routes):
        return {"routes": [*tunnel, *unsafe]}
    if len(routes) == 1:
        return {"routes": [*tunnel, *_entries(routes[0], [_SAFE]), *unsafe]}
    safe = [*(entry for route in routes for entry in _entries(route)), *end]
    lists = {method: _list("safe", safe) for method in names.SAFE_METHODS.split("|")}
    if tunnel:
        lists["CONNECT"] = _list("tunnel", tunnel)
    return {"matcher": _by_method(lists, _list("unsafe", unsafe))}


def _has_own_retries(route: HttpRoute) -> bool:
    return isinstance(route.action, Forward) and route.action.retries is None


def _unsafe(route: HttpRoute) -> list[dict[str, Any]]:
    if not _has_own_retries(route):
        return _entries(route)
    parts = _parts(route)
    return [
        {
            "match": route_match(route.match),
            **parts,
            "route": {**parts["route"], "retry_policy": own_retries(UNSEEN)},
        }
    ]


def _entries(route: HttpRoute, headers: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """A route for requests that fulfil `headers` too; before it, where somebody answers, one that tells who, if asked."""
    parts = _parts(route)
    plain = {"match": route_match(route.match, headers), **parts}
    if not isinstance(route.action, Forward):
        return [plain]
    peer = set_header(names.PEER_HEADER, "%UPSTREAM_PEER_URI_SAN%")
    explained = {
        **parts,
        "match": route_match(route.match, [_EXPLAIN, *headers]),
        "response_headers_to_add": [*parts.get("response_headers_to_add", ()), peer],
    }
    return [explained, plain]


def _by_method(lists: Mapping[str, dict[str, Any]], others: dict[str, Any]) -> dict[str, Any]:
    """VirtualHost, `matcher`."""
    method = message("envoy.type.matcher.v3.HttpRequestHeaderMatchInput")(header_name=":method")
    tree = {"input": {"name": "method", "typed_config": pack(method)}, "exact_match_map": {"map": lists}}
    return {"matcher_tree": tree, "on_no_match": others}


def _list(name: str, routes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    packed = pack(message("envoy.config.route.v3.RouteList")(routes=routes))
    return {"action": {"name": name, "typed_config": packed}}


def _parts(route: HttpRoute) -> dict[str, Any]:
    """All but the match."""
    parts = action(route)
    parts.update({key: value for key, value in (("name", route.name), ("stat_prefix", route.stat_prefix)) if value})
    told = {
        "source": route.source,
        "route": f"{route.source} {route.name or route.place}".rstrip(),
        "missing": missing(route.action) if isinstance(route.action, Forward) else "",
    }
    if route.source:
        fields = {key: {"string_value": value} for key, value in told.items() if value}
        parts["metadata"] = {"filter_metadata": {names.METADATA: {"fields": fields}}}
    filters = {}
    if route.fault is not None:
        filters[FAULT_FILTER] = fault(route.fault)
    if route.cors is not None:
        filters[CORS_FILTER] = cors(route.cors)
    return {**parts, "typed_per_filter_config": filters} if filters else parts
