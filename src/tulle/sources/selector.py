"""Label selectors as kubectl takes them: `app=web,tier!=cache,env in (dev, test),owner,!old`.

Source: Kubernetes, "Labels and Selectors". All requirements must hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Labels = Mapping[str, str]

_KEY = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_VALUE = r"[A-Za-z0-9._-]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_THERE = re.compile(rf"(!?)\s*({_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")


def selector(text: str) -> Callable[[Labels], bool]:
    """Whether labels are meant. Raises ValueError, whose text is for the user; an empty text means all."""
    wanted = [_requirement(part.strip()) for part in _COMMA.split(text)] if text.strip() else []
    return lambda labels: all(holds(labels) for holds in wanted)


def _requirement(text: str) -> Callable[[Labels], bool]:
    if found := _SET.fullmatch(text):
        key, operator, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        if operator == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: key not in labels or labels[key] not in values
    if found := _EQUAL.fullmatch(text):
        key, value = found[1], found[3]
        if found[2] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _THERE.fullmatch(text):
        key, is_there = found[2], not found[1]
        return lambda labels: (key in labels) is is_there
    raise ValueError(f"{text!r} selects nothing: write KEY=VALUE, KEY!=VALUE, KEY, !KEY, or KEY in (VALUE, VALUE)")
