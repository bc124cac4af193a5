"""How Jaeger's clients write numbers, times, durations and tags in a query. Each raises ValueError for what is none.

Source: Jaeger, cmd/query/app/query_parser and apiv3/query_parser.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from tulle.api.bodies import MALFORMED

LATEST = 1 << 62  # in nanoseconds
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text[:40]!r} is no number of micro- or milliseconds")
    return min(int(text), LATEST // 1000)


def duration(text: str) -> int:
    """In nanoseconds, of Go's way to write it."""
    if not text:
        return 0
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is no duration: write 1.2s, 100ms or 500us")
    return min(sum(int(float(number) * _UNITS[unit]) for number, unit in parts), LATEST)


def tags(text: str, pairs: list[str]) -> dict[str, str]:
    """`{"http.status_code":"503"}`, or `http.status_code:503`."""
    try:
        found = msgspec.json.decode(text or "{}", type=dict[str, str])
    except MALFORMED as error:
        raise ValueError("tags must be JSON, an object of texts") from error
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise ValueError(f"{pair[:40]!r} is no tag: write key:value")
        found[key] = value
    return found


def time_of(text: str) -> int:
    """In nanoseconds, of RFC 3339: `2026-01-31T12:00:00.5Z`."""
    try:
        found = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text[:40]!r} is no time: write 2026-01-31T12:00:00Z") from error
    return max(0, found // timedelta(microseconds=1)) * 1000
