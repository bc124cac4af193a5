"""What a route makes of a request before it sends it on: its path, its authority, its headers.

Source: Envoy, RouteAction `prefix_rewrite`, `regex_rewrite`; HeaderValueOption.
"""

from __future__ import annotations

import re2

from tulle.ir.routes import Forward, Headers, HttpMatch, HttpRoute, Text, Weighted
from tulle.resolve.explaining.matching import Seen


def sent(route: HttpRoute, action: Forward, to: Weighted, seen: Seen) -> Seen:
    """As it goes to one of the route's backends. What of a header's value Envoy fills in stays as it is written."""
    rewrite = action.rewrite
    path, mark, query = seen.path.partition("?")
    if rewrite.regex is not None:
        pattern, substitution = rewrite.regex
        path = re2.sub(pattern, substitution, path)
    elif rewrite.path:
        path = f"{rewrite.path}{path[_fitted(route.match, path) :]}"
    headers = dict(seen.headers)
    for changes in (route.headers, to.headers):
        _change(headers, changes)
    return Seen(
        method=seen.method,
        path=f"{path}{mark}{query}",
        authority=to.authority or rewrite.authority or seen.authority,
        headers=headers,
        scheme=seen.scheme,
    )


def _fitted(match: HttpMatch, path: str) -> int:
    """How much of the path the match is about: all of it, but for a prefix. Without a match that is a slash."""
    wanted = match.path
    if wanted is None or wanted.kind is Text.PRESENT:
        return 1
    return len(wanted.value) if wanted.kind is Text.PREFIX else len(path)


def _change(headers: dict[str, tuple[str, ...]], changes: Headers) -> None:
    operations = changes.request
    for name in operations.remove:
        headers.pop(name.lower(), None)
    for name, value in operations.set:
        headers[name.lower()] = (value,)
    for name, value in operations.add:
        headers[name.lower()] = (*headers.get(name.lower(), ()), value)
