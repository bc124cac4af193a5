"""Rules that no call reaches, because those before them take it all. They are warnings: Istio takes them too.

Source: istio/istio, pkg/config/validation (analyzeUnreachableHTTPRules and its like).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tulle.model.resources.common import StringMatch
from tulle.model.resources.virtual_service import HTTPMatchRequest, HTTPRoute, TCPRoute, TLSRoute, VirtualService
from tulle.sources.at import At

_Route = HTTPRoute | TLSRoute | TCPRoute


def check(spec: VirtualService, at: At) -> None:
    _check_repeated(spec.http, at.field("http"))
    _check_repeated(spec.tls, at.field("tls"))
    _check_repeated(spec.tcp, at.field("tcp"))
    _check_overlaps(spec.http, at.field("http"))


def _check_repeated(routes: Sequence[_Route], at: At) -> None:
    first_with: dict[bytes, int] = {}
    takes_all: int | None = None
    for index, route in enumerate(routes):
        place = at.item(index)
        if takes_all is not None:
            place.warning(f"is never reached: rule {_name(routes, takes_all)} takes everything; put that one last")
            continue
        if not route.match:
            takes_all = index
            continue
        repeated = 0
        for number, match in enumerate(route.match):
            key = _key(match)
            if key not in first_with:
                first_with[key] = index
                continue
            repeated += 1
            place.field("match").item(number).warning(
                f"is never reached: rule {_name(routes, first_with[key])} has the same match; take it out"
            )
        if repeated == len(route.match):
            place.warning(
                "is never reached: the rules up to it have all of its matches; take it out, or give it others"
            )


def _key(match: Any) -> bytes:
    """Of what it matches; its name does not matter."""
    if isinstance(match, HTTPMatchRequest):
        match = msgspec.structs.replace(match, name="")
    return msgspec.json.encode(match, order="sorted")


def _name(routes: Sequence[_Route], index: int) -> str:
    name = getattr(routes[index], "name", "")
    return f"`{name}`" if name else f"#{index}"


def _check_overlaps(routes: Sequence[HTTPRoute], at: At) -> None:
    """One warning a match, though several rules may be in its way."""
    earlier: dict[str, list[tuple[int, HTTPMatchRequest]]] = {}
    lengths: set[int] = set()
    for index, route in enumerate(routes):
        if not route.match:
            return
        for number, match in enumerate(route.match):
            prefix = match.uri.prefix if match.uri else None
            if not prefix:
                continue
            shorter = sorted(length for length in lengths if length < len(prefix))
            before = (found for length in shorter for found in earlier.get(prefix[:length], ()))
            rule = next((rule for rule, other in before if _same_otherwise(other, match)), None)
            if rule is not None:
                at.item(index).field("match").item(number).warning(
                    f"prefix `{prefix}` may never be reached: rule {_name(routes, rule)} takes a shorter one; "
                    "put the longer prefix first"
                )
            lengths.add(len(prefix))
            earlier.setdefault(prefix, []).append((index, match))


def _same_otherwise(earlier: HTTPMatchRequest, later: HTTPMatchRequest) -> bool:
    """Whether nothing but the path tells them apart, as far as Istio looks."""
    return (
        earlier.port == later.port
        and _within(_value(earlier.method) or "=GET", _value(later.method) or "=GET")
        and _within(_value(earlier.authority), _value(later.authority))
        and _all_within(earlier.headers, later.headers)
        and _all_within(earlier.query_params, later.query_params)
        and _all_within(earlier.without_headers, later.without_headers)
    )


def _value(match: StringMatch | None) -> str:
    """What can be compared of it: regular expressions can't."""
    if match is None:
        return ""
    return f"={match.exact}" if match.exact else f"^{match.prefix}" if match.prefix else ""


def _within(earlier: str, later: str) -> bool:
    return earlier.startswith(later)


def _all_within(earlier: Mapping[str, StringMatch], later: Mapping[str, StringMatch]) -> bool:
    return earlier.keys() == later.keys() and all(
        _within(_value(value), _value(later[name])) for name, value in earlier.items()
    )
