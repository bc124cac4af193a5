"""Paths that were called, as few patterns as a rule of an AuthorizationPolicy can take: `/health`, `/orders/*`.

Source: Istio, AuthorizationPolicy, `paths` (exact, or a prefix before `*`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST_SIBLINGS = 4
_MOST = 12
# What is another one in each call: numbers, ids.
_ID = re.compile(r"\d+|[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|.{33,}", re.ASCII)
_MEANS_MORE = re.compile(r"[*{}%\\]|[^\x21-\x7e]")

Pattern = tuple[tuple[str, ...], bool]  # its segments, and whether more may follow


def patterns(paths: Iterable[str]) -> list[str]:
    """Each path fits one of them. Where many paths, or ids, stand beside each other, they are one prefix."""
    found = {_cut(path) for path in paths}
    depth = max((len(segments) for segments, _ in found), default=0)
    for length in range(depth - 1, 0, -1):
        for parent in {segments[:length] for segments, _ in found if len(segments) > length}:
            if len(_below(found, parent)) > _MOST_SIBLINGS:
                found = _merged(found, parent)
    for length in range(depth - 1, -1, -1):
        for parent in sorted({segments[:length] for segments, _ in found if len(segments) > length}):
            if len(found) > _MOST:
                found = _merged(found, parent)
    prefixes = {segments for segments, is_prefix in found if is_prefix}
    return sorted(_written(one) for one in found if not any(_covers(prefix, one) for prefix in prefixes))


def _cut(path: str) -> Pattern:
    """Up to the first segment that is an id, or that a pattern could not say."""
    segments = path.removeprefix("/").split("/")
    for number, segment in enumerate(segments):
        if _MEANS_MORE.search(segment) or (number and _ID.fullmatch(segment)):
            return tuple(segments[:number]), True
    return tuple(segments), False


def _below(found: set[Pattern], parent: tuple[str, ...]) -> set[str]:
    return {one[len(parent)] for one, _ in found if len(one) > len(parent) and one[: len(parent)] == parent}


def _merged(found: set[Pattern], parent: tuple[str, ...]) -> set[Pattern]:
    return {one for one in found if one[0][: len(parent)] != parent or len(one[0]) == len(parent)} | {(parent, True)}


def _covers(prefix: tuple[str, ...], one: Pattern) -> bool:
    segments, is_prefix = one
    longer = len(segments) > len(prefix)
    return segments[: len(prefix)] == prefix and (longer or (is_prefix and segments != prefix))


def _written(one: Pattern) -> str:
    segments, is_prefix = one
    return "/" + "/".join((*segments, "*") if is_prefix else segments)
