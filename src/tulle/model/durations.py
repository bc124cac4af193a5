"""Lengths of time as Istio's documents write them: `1.5s`, `300ms`, `1h30m`.

Source: Go, time.ParseDuration, which Istio reads them with. A unit is needed, but for a plain 0.
"""

from __future__ import annotations

import re

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
_WHOLE = re.compile(rf"[+-]?(?:0|(?:{_PART})+)")
_SPLIT = re.compile(r"([0-9.]+)([a-zµμ]+)")
_MOST = 2**63 - 1


def nanoseconds(text: str) -> int | None:
    """None if that is no length of time, or a longer one than 64 bits hold."""
    if len(text) > 64 or not _WHOLE.fullmatch(text):
        return None
    total = 0
    for number, unit in _SPLIT.findall(text):
        whole, _, fraction = number.partition(".")
        total += int(whole or 0) * _UNITS[unit]
        if fraction:
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
    if total > _MOST:
        return None
    return -total if text.startswith("-") else total


def seconds(text: str | None, default: float = 0.0) -> float:
    """What a validated field says, in seconds; the default for one that is not given."""
    found = nanoseconds(text) if text else None
    return default if found is None else found / 1e9
