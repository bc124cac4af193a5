"""Whether a request fits a route, as Envoy would say; and if not, why.

Source: Envoy, RouteMatch, HeaderMatcher, QueryParameterMatcher. Of several lines of one header, one that fits is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import re2
from msgspec import Struct

from tulle.ir.routes import HttpMatch, NamedMatch, Text, TextMatch


class Seen(Struct, frozen=True):
    """What a sidecar sees of a request. path: in its normal form, with the query. headers: by name in lower
    case, the value of each line."""

    method: str
    path: str
    authority: str
    headers: Mapping[str, tuple[str, ...]]
    scheme: str = "http"

    @property
    def plain_path(self) -> str:
        return self.path.partition("?")[0]


def lines(headers: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """As Seen has them."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        found[name.lower()] = (*found.get(name.lower(), ()), value)
    return found


def misses(match: HttpMatch, seen: Seen) -> list[str]:
    """What of the match the request does not fulfil, in words; nothing if it fits."""
    return list(_misses(match, seen))


def _misses(match: HttpMatch, seen: Seen) -> Iterator[str]:
    for what, wanted, value in (
        ("the path", match.path, seen.plain_path),
        ("the method", match.method, seen.method),
        ("the scheme", match.scheme, seen.scheme),
        ("the authority", match.authority, seen.authority),
    ):
        if wanted is not None and not fits(wanted, value):
            yield f"{what} {value!r} {_unfit(wanted)}"
    for named in match.headers:
        values = seen.headers.get(named.name.lower(), ())
        if not _header_fits(named, values):
            yield f"the header {named.name} {_of(named, ','.join(values) if values else None)}"
    parameters = _parameters(seen.path)
    for named in match.query:
        found = parameters.get(named.name)
        if found is None or not fits(named.match, found):
            yield f"the query parameter {named.name} {_of(named, found)}"


def fits(wanted: TextMatch, value: str) -> bool:
    if wanted.kind is Text.PRESENT:
        return True
    if wanted.kind is Text.REGEX:
        return re2.fullmatch(wanted.value, value) is not None
    pattern = wanted.value
    if wanted.ignore_case:
        pattern, value = pattern.lower(), value.lower()
    return value == pattern if wanted.kind is Text.EXACT else value.startswith(pattern)


def _header_fits(named: NamedMatch, lines: tuple[str, ...]) -> bool:
    if not named.absent:
        return any(fits(named.match, line) for line in lines)
    if named.match.kind is Text.PRESENT:
        return not lines
    return not any(fits(named.match, line) for line in lines or ("",))


def _parameters(path: str) -> dict[str, str]:
    """The first value of each, with its escapes as they are (Envoy, `Http::Utility::QueryParamsMulti`)."""
    found: dict[str, str] = {}
    for pair in path.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        found.setdefault(name, value)
    return found


def _of(named: NamedMatch, value: str | None) -> str:
    if named.absent:
        return f"is {value!r}, and must not be" if named.match.kind is not Text.PRESENT else "is there, and must not be"
    return "is not there" if value is None else f"{value!r} {_unfit(named.match)}"


def _unfit(wanted: TextMatch) -> str:
    words = {Text.EXACT: "is not", Text.PREFIX: "does not begin with", Text.REGEX: "does not fit the expression"}
    return f"{words[wanted.kind]} {wanted.value!r}"
