"""Durations as people write them: `30`, `30s`, `500ms`, `1h30m`."""

from __future__ import annotations

import re

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = r"(\d+(?:\.\d+)?)(h|ms|m|s)"
_WHOLE = re.compile(rf"(?:{_PART})+", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def seconds(text: str) -> float:
    """The duration in seconds, which is also the unit of a bare number. Raises ValueError, whose text is for the user."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no duration: write 10s, 500ms, 30m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))
