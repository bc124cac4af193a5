"""How one text is compared with a value, as Envoy's StringMatcher."""

from __future__ import annotations

import re
from typing import Any

from tulle.ir.access import Test, Value

# Also over line breaks, which a claim may hold.
SOMETHING = "(?s).+"


def string_match(value: Value) -> dict[str, Any]:
    if value.test is Test.PRESENT:
        return regex(SOMETHING)
    return {value.test.value: value.text}


def regex(pattern: str) -> dict[str, Any]:
    """The pattern fits the whole text (RE2)."""
    return {"safe_regex": {"regex": pattern}}


def pattern(value: Value, anything: str = ".*", something: str = ".+") -> str:
    """The same as a part of a regular expression. anything, something: what a `*` stands for."""
    text = re.escape(value.text)
    match value.test:
        case Test.PRESENT:
            return something
        case Test.PREFIX:
            return f"{text}{anything}"
        case Test.SUFFIX:
            return f"{anything}{text}"
        case _:
            return text
