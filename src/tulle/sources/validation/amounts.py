"""Numbers that several kinds write, but for those in `basics`: optional times, percentages, how many there may be.

Source: Istio, pkg/config/validation and the bounds of its CRDs.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from tulle.model.durations import nanoseconds
from tulle.sources.at import At
from tulle.sources.validation.basics import check_duration

_MS = 10**6


def check_time(text: str | None, at: At, *, zero: bool = False) -> None:
    """What is not given is fine. zero: whether 0 has a meaning of its own, such as no limit."""
    if text is not None and not (zero and nanoseconds(text) == 0):
        check_duration(text, at)


def check_loose_time(text: str | None, at: At) -> None:
    """Where Istio asks for nothing but a length of time, and Envoy wants a millisecond at least."""
    length = nanoseconds(text) if text is not None else _MS
    if length is None:
        check_time(text, at)
    elif length < _MS:
        at.unsupported(f"is {text}: use at least 1ms")


def check_percent(value: float, at: At) -> None:
    if not 0 <= value <= 100:
        at.error(f"is {value:g}: use a percentage, from 0 to 100")


def check_not_negative(value: int, at: At) -> None:
    if value < 0:
        at.error(f"is {value}: it can't be negative; leave it out for the default")


def check_count(items: Sized, at: At, most: int) -> None:
    if len(items) > most:
        at.error(f"has {len(items)} entries: {most} at most")


def check_size(text: str, at: At, most: int) -> None:
    if len(text) > most:
        at.error(f"has {len(text)} characters: {most} at most")


def check_one_of(message: Any, at: At, **fields: str) -> int:
    """That at most one of the fields is given, by their names in Python and in the document. Returns how many are."""
    given = [name for attribute, name in fields.items() if getattr(message, attribute) is not None]
    if len(given) > 1:
        at.field(given[1]).error(f"only one of {', '.join(f'`{name}`' for name in given)} may be given: keep one")
    return len(given)
