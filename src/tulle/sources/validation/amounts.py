"""Numbers that users write: ports, lengths of time, percentages.

Source: Istio, pkg/config/validation/agent (ValidatePort, ValidateDuration) and its CRDs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.model.durations import nanoseconds
from tulle.sources.at import At

_MS, _HOUR = 10**6, 3600 * 10**9


def check_port(number: int, at: At) -> None:
    if not 1 <= number <= 65535:
        at.error(f"port {number} must be from 1 to 65535")


def check_duration(text: str | None, at: At, *, zero: bool = False, most: int | None = None) -> None:
    """What is not given is fine. zero: whether 0 has a meaning of its own (no limit). most: in nanoseconds."""
    if text is None:
        return
    length = nanoseconds(text)
    if length is None:
        at.error(f"`{text}` is no length of time: write numbers with units, such as `300ms`, `1.5s` or `1h30m`")
    elif length == 0 and zero:
        return
    elif length < _MS:
        at.error(f"`{text}` must be at least 1ms" + (", or 0s to turn it off" if zero else ""))
    elif length % _MS:
        at.error(f"`{text}` must be whole milliseconds")
    elif most is not None and length > most:
        at.error(f"`{text}` must be at most {most // _HOUR}h")


def check_connect_timeout(text: str | None, at: At) -> None:
    """Of the mesh, where Istio bounds it."""
    check_duration(text, at, most=_HOUR)


def check_percent(value: float, at: At) -> None:
    if not 0 <= value <= 100:
        at.error(f"{value:g} must be a percentage, from 0 to 100")


def check_not_negative(value: int, at: At) -> None:
    if value < 0:
        at.error(f"{value} can't be negative; leave it out for the default")


def check_count(items: Sequence[Any], at: At, most: int) -> None:
    if len(items) > most:
        at.error(f"{len(items)} entries are too many: {most} at most")


def check_one_of(message: Any, at: At, **fields: str) -> int:
    """That at most one of the fields is given, by their names in Python and in the document. Returns how many are."""
    given = [name for attribute, name in fields.items() if getattr(message, attribute) is not None]
    if len(given) > 1:
        at.field(given[1]).error(f"only one of {', '.join(f'`{name}`' for name in given)} may be given: keep one")
    return len(given)
