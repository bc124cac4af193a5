"""How Jaeger's clients write numbers, times, durations and tags in a query. Each raises ValueError for what is none.

Source: Jaeger, cmd/query/app/query_parser and apiv3/query_parser.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from tulle.api.bodies import MALFORMED
from tulle.model.durations import nanoseconds

LATEST = 1 << 62  # in nanoseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text[:40]!r} is no number")
    return min(int(text), LATEST // 1000)


def durations(shortest: str, longest: str) -> tuple[int, int]:
    """In nanoseconds, of Go's way to write them; 0 for one that is not said."""
    found = _duration(shortest), _duration(longest)
    if all(found) and found[0] > found[1]:
        raise ValueError(f"the longest duration, {longest[:40]}, is shorter than the shortest, {shortest[:40]}")
    return found


def _duration(text: str) -> int:
    found = nanoseconds(text or "0")
    if found is None or found < 0:
        raise ValueError(f"{text[:40]!r} is no duration: write 1.2s, 100ms or 500us")
    return min(found, LATEST)


def tags(objects: Iterable[str], pairs: Iterable[str] = ()) -> dict[str, str]:
    """`{"http.status_code":"503"}`, and `http.status_code:503`. Of several words on one tag an object's counts, and the last."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise ValueError(f"{pair[:40]!r} is no tag: write key:value")
        found[key] = value
    for text in filter(None, objects):
        try:
            found |= msgspec.json.decode(text, type=dict[str, str])
        except MALFORMED as error:
            raise ValueError("tags must be JSON, an object of texts") from error
    return found


def time_of(text: str) -> int:
    """In nanoseconds, of RFC 3339: `2026-01-31T12:00:00.5Z`."""
    try:
        found = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text[:40]!r} is no time: write 2026-01-31T12:00:00Z") from error
    return min(max(0, found // timedelta(microseconds=1)) * 1000, LATEST)
